#include "tracker/record.hpp"

#include <gtest/gtest.h>

namespace tally::tracker {
namespace {

const Uuid kWorkspace = *Uuid::parse("00000000-0000-4000-8000-000000000001");
const Uuid kOwner = *Uuid::parse("00000000-0000-4000-8000-000000000002");

TEST(BoundaryPayload, GivesBackWhatWasPutIn) {
  const std::vector<Increment> increments = {
      {kWorkspace, kOwner, 0, 0}, {kOwner, kWorkspace, 127, 128}, {kWorkspace, kOwner, (1ULL << 53) - 1, 1}};
  std::string payload;
  BoundaryEncoder encoder(payload);
  for (const auto& increment : increments) encoder.add(increment);
  encoder.finish();

  const auto bytes = std::as_bytes(std::span(payload));
  std::size_t at = 0;
  std::uint32_t count = 0;
  ASSERT_TRUE(decode_u32(bytes, at, count));
  ASSERT_EQ(count, increments.size());
  for (const auto& expected : increments) {
    Increment read;
    ASSERT_TRUE(decode_increment(bytes, at, read));
    EXPECT_EQ(read, expected);
  }
  EXPECT_EQ(at, payload.size());
}

TEST(BoundaryPayload, EveryTruncationIsNoticed) {
  std::string payload;
  BoundaryEncoder encoder(payload);
  encoder.add({kWorkspace, kOwner, 300, 70000});
  encoder.finish();
  for (std::size_t size = 0; size < payload.size(); ++size) {
    const auto bytes = std::as_bytes(std::span(payload)).first(size);
    std::size_t at = 0;
    std::uint32_t count = 0;
    Increment read;
    EXPECT_FALSE(decode_u32(bytes, at, count) && decode_increment(bytes, at, read)) << size;
  }
}

TEST(KeyedPayload, KeepsEffectsApart) {
  std::string payload;
  KeyedEncoder encoder(payload);
  encoder.begin_effect(kWorkspace, 7);
  encoder.add({kWorkspace, kOwner, 1, 2});
  encoder.add({kWorkspace, kOwner, 3, 4});
  encoder.begin_effect(kOwner, 8);
  encoder.finish();

  const auto bytes = std::as_bytes(std::span(payload));
  std::size_t at = 0;
  std::uint32_t effects = 0, count = 0;
  Uuid key;
  std::uint64_t body = 0;
  Increment read;
  ASSERT_TRUE(decode_u32(bytes, at, effects));
  EXPECT_EQ(effects, 2u);
  ASSERT_TRUE(decode_uuid(bytes, at, key) && decode_u64(bytes, at, body) && decode_u32(bytes, at, count));
  EXPECT_EQ(key, kWorkspace);
  EXPECT_EQ(body, 7u);
  ASSERT_EQ(count, 2u);
  ASSERT_TRUE(decode_increment(bytes, at, read) && decode_increment(bytes, at, read));
  EXPECT_EQ(read.denied, 4u);
  ASSERT_TRUE(decode_uuid(bytes, at, key) && decode_u64(bytes, at, body) && decode_u32(bytes, at, count));
  EXPECT_EQ(key, kOwner);
  EXPECT_EQ(count, 0u);
  EXPECT_EQ(at, payload.size());
}

}  // namespace
}  // namespace tally::tracker
