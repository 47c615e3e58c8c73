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

std::string hex(std::string_view bytes) {
  std::string text;
  for (const unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// Journals written by one version are read by the next: these bytes never change.
TEST(BoundaryPayload, HasTheseBytes) {
  std::string payload;
  BoundaryEncoder encoder(payload);
  encoder.add({kWorkspace, kOwner, 300, kLargestCount});
  encoder.finish();
  EXPECT_EQ(hex(payload),
            "01000000"
            "00000000000040008000000000000001"
            "00000000000040008000000000000002"
            "ac02"
            "ffffffffffffff0f");
}

TEST(KeyedPayload, HasTheseBytes) {
  std::string payload;
  KeyedEncoder encoder(payload);
  encoder.begin_effect(kOwner, 0x0807060504030201);
  encoder.add({kWorkspace, kOwner, 1, 0});
  encoder.finish();
  EXPECT_EQ(hex(payload),
            "01000000"
            "00000000000040008000000000000002"
            "0102030405060708"
            "01000000"
            "00000000000040008000000000000001"
            "00000000000040008000000000000002"
            "01"
            "00");
}

TEST(BoundaryPayload, GrowsBehindWhatIsThere) {
  std::string payload = "before";
  BoundaryEncoder encoder(payload);
  for (std::uint64_t i = 0; i < 1000; ++i) encoder.add({kWorkspace, kOwner, i, kLargestCount - i});
  encoder.finish();
  EXPECT_EQ(payload.substr(0, 6), "before");
  std::uint64_t seen = 0;
  EXPECT_TRUE(for_each_increment(RecordType::boundary, std::as_bytes(std::span(payload)).subspan(6),
                                 [&](const Increment& increment) {
                                   EXPECT_EQ(increment, (Increment{kWorkspace, kOwner, seen, kLargestCount - seen}));
                                   ++seen;
                                 }));
  EXPECT_EQ(seen, 1000u);
}

TEST(BoundaryPayload, RefusesCountsThatNoEncoderWrites) {
  std::string payload;
  BoundaryEncoder encoder(payload);
  encoder.add({kWorkspace, kOwner, 0, kLargestCount + 1});
  encoder.finish();
  EXPECT_FALSE(for_each_increment(RecordType::boundary, std::as_bytes(std::span(payload)), [](const Increment&) {}));
}

TEST(BoundaryPayload, RefusesTrailingBytesAndOtherTypes) {
  std::string payload;
  BoundaryEncoder encoder(payload);
  encoder.add({kWorkspace, kOwner, 1, 1});
  encoder.finish();
  const auto walk = [&](RecordType type) {
    return for_each_increment(type, std::as_bytes(std::span(payload)), [](const Increment&) {});
  };
  EXPECT_TRUE(walk(RecordType::boundary));
  EXPECT_FALSE(walk(RecordType::connection));
  EXPECT_FALSE(walk(RecordType::boundary_keyed));
  payload += 'x';
  EXPECT_FALSE(walk(RecordType::boundary));
}

TEST(KeyedPayload, IsWalkedEffectByEffect) {
  std::string payload;
  KeyedEncoder encoder(payload);
  encoder.begin_effect(kWorkspace, 7);
  encoder.begin_effect(kOwner, 8);
  encoder.add({kWorkspace, kOwner, 1, 2});
  encoder.finish();
  std::vector<std::string> walk;
  const auto bytes = std::as_bytes(std::span(payload));
  EXPECT_TRUE(for_each_effect(
      bytes,
      [&](const Uuid& key, std::uint64_t body, std::uint32_t count) {
        walk.push_back(key.to_string().substr(35) + " " + std::to_string(body) + " " + std::to_string(count));
      },
      [&](const Increment& increment) { walk.push_back(std::to_string(increment.denied)); }));
  EXPECT_EQ(walk, (std::vector<std::string>{"1 7 0", "2 8 1", "2"}));
  std::size_t increments = 0;
  EXPECT_TRUE(for_each_increment(RecordType::boundary_keyed, bytes, [&](const Increment&) { ++increments; }));
  EXPECT_EQ(increments, 1u);
  for (std::size_t size = 0; size < payload.size(); ++size)
    EXPECT_FALSE(for_each_increment(RecordType::boundary_keyed, bytes.first(size), [](const Increment&) {})) << size;
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
