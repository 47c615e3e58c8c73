#include "tracker/id_set.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace tally::tracker {
namespace {

Uuid numbered(std::uint64_t high, std::uint64_t low) {
  Uuid id;
  std::memcpy(id.bytes.data(), &high, 8);
  std::memcpy(id.bytes.data() + 8, &low, 8);
  return id;
}

TEST(IdSet, AgreesWithStdSetOnRandomAndOnDenseIds) {
  std::mt19937_64 random(42);
  IdSet set;
  std::set<Uuid> reference;
  for (int i = 0; i < 200'000; ++i) {
    const Uuid id = i % 2 ? numbered(0, random() % 50'000) : numbered(random() % 300, random() % 300);
    ASSERT_EQ(set.insert(id), reference.insert(id).second);
  }
  EXPECT_EQ(set.size(), reference.size());
  for (const Uuid& id : reference) ASSERT_TRUE(set.contains(id));
  EXPECT_FALSE(set.contains(numbered(1, 1ULL << 60)));
}

TEST(IdSet, CountsTheNilIdLikeAnyOther) {
  IdSet set;
  EXPECT_FALSE(set.contains(Uuid{}));
  EXPECT_TRUE(set.insert(Uuid{}));
  EXPECT_FALSE(set.insert(Uuid{}));
  EXPECT_EQ(set.size(), 1u);
  set.clear();
  EXPECT_FALSE(set.contains(Uuid{}));
}

TEST(IdSet, NeverTakesMoreThan41BytesAnIdOnceItHoldsAThousand) {
  IdSet set;
  std::mt19937_64 random(7);
  for (int i = 0; i < 300'000; ++i) {
    set.insert(numbered(random(), random()));
    if (i > 1000) {
      ASSERT_LE(static_cast<double>(set.memory_bytes()) / static_cast<double>(set.size()), 41.0) << i;
    }
  }
}

TEST(IdSet, IdsChosenToShareTheirWordsDoNotCluster) {
  // A client may choose ids; without the seed in the hash these would all meet in one slot.
  IdSet set;
  for (std::uint64_t i = 0; i < 20'000; ++i) set.insert(numbered(i, i));
  for (std::uint64_t i = 0; i < 20'000; ++i) set.insert(numbered(i, ~i));
  EXPECT_EQ(set.size(), 40'000u);
}

TEST(IdSet, GivesItsMemoryBackWhenCleared) {
  IdSet set;
  for (std::uint64_t i = 1; i < 100'000; ++i) set.insert(numbered(i, i * i));
  const std::size_t full = set.memory_bytes();
  set.clear();
  EXPECT_LT(set.memory_bytes(), full / 100);
  EXPECT_EQ(set.size(), 0u);
}

}  // namespace
}  // namespace tally::tracker
