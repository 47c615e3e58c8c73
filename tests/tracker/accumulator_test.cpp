#include "tracker/accumulator.hpp"

#include <gtest/gtest.h>

#include "tests/support/payloads.hpp"
#include "tracker/shard.hpp"

namespace tally::tracker {
namespace {

using test::boundary_payload;
using test::id;
using test::keyed_payload;

auto bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}
WallTime at_second(std::int64_t second) {
  return WallTime(std::chrono::seconds(second));
}

TEST(Accumulator, SumsRequestsAndListsEachNewIdOnce) {
  Accumulator accumulator;
  const auto payload = boundary_payload({{id(1), id(9), 5, 1}, {id(1), id(9), 2, 0}, {id(2), id(9), 0, 0}});
  ASSERT_EQ(accumulator.add(RecordType::boundary, bytes(payload), {}), Accumulator::Added::yes);
  const FlushBatch batch = accumulator.take();
  EXPECT_EQ(to_string(batch.allowed), "7");
  EXPECT_EQ(to_string(batch.denied), "1");
  EXPECT_EQ(batch.workspaces, (std::vector{id(1), id(2)}));
  EXPECT_EQ(batch.users, (std::vector{id(9)}));
  EXPECT_EQ(batch.increments, 3u);
}

TEST(Accumulator, LeavesOutIdsOfItsEpochUntilTheNextOneBegins) {
  Accumulator accumulator;
  const auto payload = boundary_payload({{id(1), id(2), 1, 1}});
  accumulator.add(RecordType::boundary, bytes(payload), {});
  accumulator.take();
  accumulator.add(RecordType::boundary, bytes(payload), {});
  EXPECT_TRUE(accumulator.take().workspaces.empty());
  accumulator.begin_epoch();
  accumulator.add(RecordType::boundary, bytes(payload), {});
  EXPECT_EQ(accumulator.take().workspaces.size(), 1u);
}

TEST(Accumulator, ManyLargestCountsDoNotOverflow) {  // BU-31
  Accumulator accumulator;
  const std::uint64_t most = (1ULL << 53) - 1;
  const auto payload = boundary_payload(std::vector<Increment>(5000, {id(1), id(2), most, most}));
  accumulator.add(RecordType::boundary, bytes(payload), {});
  EXPECT_EQ(to_string(accumulator.take().allowed), "45035996273704955000");  // 5000 * (2^53 - 1) > 2^64
}

TEST(Accumulator, MergesRepeatsOfAKeyIntoTheRefusedSums) {
  Accumulator accumulator;
  const auto payload = keyed_payload({{id(100), 7, {{id(1), id(2), 3, 1}}},
                                      {id(101), 7, {{id(1), id(2), 10, 0}}},
                                      {id(100), 7, {{id(1), id(2), 3, 1}}},
                                      {id(100), 8, {{id(5), id(6), 4, 0}}}});
  ASSERT_EQ(accumulator.add(RecordType::boundary_keyed, bytes(payload), {}), Accumulator::Added::yes);
  const FlushBatch batch = accumulator.take();
  ASSERT_EQ(batch.effects.size(), 2u);
  EXPECT_EQ(to_string(batch.repeat_allowed), "7");
  EXPECT_EQ(to_string(batch.repeat_denied), "1");
  EXPECT_EQ(batch.repeat_conflicts, 1u);
  EXPECT_TRUE(batch.workspaces.empty()) << "ids of keyed effects travel with the effect";
  EXPECT_EQ(batch.effects[0].workspaces, std::vector{id(1)});
}

TEST(Accumulator, AnUnkeyedIdIsSentEvenIfAKeyedEffectOfTheBatchCarriesIt) {  // KM12
  Accumulator accumulator;
  accumulator.add(RecordType::boundary_keyed, bytes(keyed_payload({{id(100), 7, {{id(1), id(2), 3, 1}}}})), {});
  accumulator.add(RecordType::boundary, bytes(boundary_payload({{id(1), id(2), 1, 0}})), {});
  EXPECT_EQ(accumulator.take().workspaces, std::vector{id(1)});
}

TEST(Accumulator, RefusesWhatWouldPassABoundAndKeepsTheRest) {
  Accumulator accumulator({.ids = 4, .effects = 2, .effect_ids = 100});
  const auto two = boundary_payload({{id(1), id(2), 1, 0}, {id(3), id(4), 1, 0}});
  ASSERT_EQ(accumulator.add(RecordType::boundary, bytes(two), {}), Accumulator::Added::yes);
  EXPECT_EQ(accumulator.add(RecordType::boundary, bytes(two), {}), Accumulator::Added::full);
  const auto keyed = keyed_payload({{id(100), 1, {}}, {id(101), 1, {}}});
  EXPECT_EQ(accumulator.add(RecordType::boundary_keyed, bytes(keyed), {}), Accumulator::Added::yes);
  EXPECT_EQ(accumulator.add(RecordType::boundary_keyed, bytes(keyed), {}), Accumulator::Added::full);
  EXPECT_EQ(to_string(accumulator.take().allowed), "2");
}

TEST(Accumulator, ARecordLargerThanTheBoundsStillFitsAlone) {
  Accumulator accumulator({.ids = 2, .effects = 1, .effect_ids = 1});
  const auto big = boundary_payload({{id(1), id(2), 1, 0}, {id(3), id(4), 1, 0}, {id(5), id(6), 1, 0}});
  EXPECT_EQ(accumulator.add(RecordType::boundary, bytes(big), {}), Accumulator::Added::yes);
  const auto keyed = keyed_payload({{id(100), 1, {}}, {id(101), 1, {}}});
  EXPECT_EQ(accumulator.add(RecordType::boundary_keyed, bytes(keyed), {}), Accumulator::Added::yes);
}

TEST(Accumulator, NoticesPayloadsThatDoNotDecode) {
  const auto good = boundary_payload({{id(1), id(2), 300, 70000}});
  for (std::size_t size = 0; size < good.size(); ++size) {
    Accumulator accumulator;
    EXPECT_EQ(accumulator.add(RecordType::boundary, bytes(good).first(size), {}), Accumulator::Added::malformed)
        << size;
  }
  Accumulator accumulator;
  EXPECT_EQ(accumulator.add(RecordType::boundary, bytes(good + "x"), {}), Accumulator::Added::malformed);
  EXPECT_EQ(accumulator.add(static_cast<RecordType>(77), bytes(good), {}), Accumulator::Added::malformed);
}

TEST(Accumulator, RemembersWhenIncrementsWereAppendedInABoundedList) {
  Accumulator accumulator;
  const auto payload = boundary_payload({{id(1), id(2), 1, 0}, {id(1), id(2), 1, 0}});
  for (int second = 0; second < 5000; ++second)
    accumulator.add(RecordType::boundary, bytes(payload), at_second(second));
  const FlushBatch batch = accumulator.take();
  EXPECT_LE(batch.appended.size(), 512u);
  std::uint64_t total = 0;
  for (const auto& span : batch.appended) total += span.increments;
  EXPECT_EQ(total, 10'000u);
}

TEST(Shards, PartsOfOneCutAddUpToTheWhole) {
  Shard first, second;
  Append append;
  append.type = RecordType::boundary;
  append.payload = boundary_payload({{id(1), id(9), 5, 1}});
  first.track(append);
  append.payload = boundary_payload({{id(1), id(8), 2, 0}});
  second.track(append);
  std::vector<Shard::Part> parts;
  parts.push_back(first.cut(1));
  parts.push_back(second.cut(1));
  const Gathered whole = join(std::move(parts), 0, Cut{.stream = {}, .upto = 2, .chain = 5}, 1000);
  EXPECT_TRUE(whole.complete);
  EXPECT_EQ(to_string(whole.content.allowed), "7");
  EXPECT_EQ(whole.content.users.size(), 2u);
  EXPECT_EQ(whole.upto, 2u);
}

TEST(Shards, AnOverfullShardMakesTheWholeIncompleteUntilANewEpoch) {  // BU-27
  Shard shard({.ids = 2, .effects = 10, .effect_ids = 10});
  Append append;
  append.type = RecordType::boundary;
  append.payload = boundary_payload({{id(1), id(9), 5, 1}, {id(2), id(9), 5, 1}});
  shard.track(append);
  shard.track(append);
  EXPECT_TRUE(shard.wants_cut());
  EXPECT_FALSE(shard.cut(1).complete);
  EXPECT_FALSE(shard.cut(2).complete) << "the same epoch goes on being incomplete";
  shard.track(append);
  EXPECT_TRUE(shard.cut(2).complete);
}

TEST(Shards, ARepeatOfAKeyInAnotherShardIsMerged) {
  Shard first, second;
  Append append;
  append.type = RecordType::boundary_keyed;
  append.payload = keyed_payload({{id(100), 7, {{id(1), id(9), 5, 1}}}});
  first.track(append);
  second.track(append);
  std::vector<Shard::Part> parts;
  parts.push_back(first.cut(1));
  parts.push_back(second.cut(1));
  const Gathered whole = join(std::move(parts), 0, Cut{.stream = {}, .upto = 2, .chain = 5}, 1000);
  ASSERT_EQ(whole.content.effects.size(), 1u);
  EXPECT_EQ(to_string(whole.content.repeat_allowed), "5");
}

}  // namespace
}  // namespace tally::tracker
