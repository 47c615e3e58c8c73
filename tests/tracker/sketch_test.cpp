#include "tracker/sketch.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace tally::tracker {
namespace {

Uuid random_id(std::mt19937_64& random) {
  Uuid id;
  for (auto& byte : id.bytes) byte = static_cast<std::uint8_t>(random());
  return id;
}

Sketch sketch_of(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Sketch sketch;
  for (std::size_t i = 0; i < count; ++i) sketch.add(random_id(random));
  return sketch;
}

TEST(Sketch, OfNothingSaysNothing) {
  EXPECT_EQ(Sketch().estimate(), 0.0);
  EXPECT_EQ(Sketch::decode(Sketch().encode())->estimate(), 0.0);
}

TEST(Sketch, OfAFewIsAlmostExact) {
  for (const std::size_t count : {1u, 2u, 10u, 100u})
    EXPECT_NEAR(sketch_of(count, count).estimate(), count, 0.5 + count * 0.004);
}

/// The bound of the standard error, seen over many sets: 0.5 %.
TEST(Sketch, ItsErrorOverManySetsIsWithinHalfAPercentAtEverySize) {
  for (const std::size_t count : {1'000u, 20'000u, 60'000u, 150'000u, 400'000u}) {
    const int sets = count > 100'000 ? 12 : 40;
    double squares = 0;
    for (int set = 0; set < sets; ++set) {
      const double error = sketch_of(count, count * 1000 + set).estimate() / static_cast<double>(count) - 1.0;
      squares += error * error;
      EXPECT_LT(std::abs(error), 5 * Sketch::kRelativeError) << count << " ids, set " << set;
    }
    EXPECT_LE(std::sqrt(squares / sets), 0.0065) << count << " ids";
  }
}

TEST(Sketch, CountsARepeatedIdOnce) {
  Sketch once = sketch_of(5'000, 7);
  Sketch twice = once;
  std::mt19937_64 random(7);
  for (int i = 0; i < 5'000; ++i) twice.add(random_id(random));
  EXPECT_EQ(once, twice);
}

TEST(Sketch, MergedIsTheSketchOfAllIdsTogetherInAnyOrder) {
  std::mt19937_64 random(3);
  Sketch whole, left, right;
  for (int i = 0; i < 30'000; ++i) {
    const Uuid id = random_id(random);
    whole.add(id);
    if (i % 3 != 0) left.add(id);
    if (i % 3 != 1) right.add(id);
  }
  Sketch one = left, other = right;
  one.merge(right);
  other.merge(left);
  EXPECT_EQ(one, whole);
  EXPECT_EQ(other, whole);
  Sketch empty;
  empty.merge(whole);
  EXPECT_EQ(empty, whole);
  whole.merge(Sketch());
  EXPECT_EQ(empty, whole);
}

TEST(Sketch, IsTheSameAfterBeingStored) {
  for (const std::size_t count : {1u, 1'000u, 16'000u, 17'500u, 100'000u}) {
    const Sketch sketch = sketch_of(count, count);
    const std::string bytes = sketch.encode();
    EXPECT_LE(bytes.size(), 49'153u);
    EXPECT_EQ(Sketch::decode(bytes), sketch) << count;
  }
  EXPECT_EQ(sketch_of(10, 1).encode().size(), 31u) << "a small one takes little room";
}

TEST(Sketch, RefusesBytesThatAreNone) {
  std::string dense = sketch_of(100'000, 1).encode();
  EXPECT_FALSE(Sketch::decode(""));
  EXPECT_FALSE(Sketch::decode("\x03"));
  EXPECT_FALSE(Sketch::decode(std::string_view("\x01\x00\x00", 3)));
  EXPECT_FALSE(Sketch::decode(std::string_view("\x01\x00\x00\x00", 4))) << "rank 0";
  EXPECT_FALSE(Sketch::decode(std::string_view("\x01\x00\x00\x32", 4))) << "rank 50";
  EXPECT_FALSE(Sketch::decode(std::string_view(dense).substr(1)));
  EXPECT_FALSE(Sketch::decode(std::string_view(dense).substr(0, 1000)));
  dense[1] = '\xff';
  EXPECT_FALSE(Sketch::decode(dense)) << "rank 63";
}

TEST(Sketch, StaysReadableForEver) {
  Sketch sketch;
  for (std::uint8_t i = 1; i <= 3; ++i) {
    Uuid id;
    id.bytes[15] = i;
    sketch.add(id);
  }
  std::string hex;
  for (const unsigned char c : sketch.encode()) {
    constexpr char kHex[] = "0123456789abcdef";
    hex += kHex[c >> 4];
    hex += kHex[c & 15];
  }
  EXPECT_EQ(hex, "01020c01524102238701");
}

}  // namespace
}  // namespace tally::tracker
