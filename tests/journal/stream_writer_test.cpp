#include "journal/stream_writer.hpp"

#include <gmock/gmock.h>

#include <cerrno>

#include "fixture.hpp"

namespace tally::journal {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using tracker::Errc;
using Call = test::FaultDisk::Call;

class Writer : public JournalOnFaultDisk {
 protected:
  void SetUp() override { start(); }
};

TEST_F(Writer, DeliversInOrderWithDenseLsnsAndTheBytesOnTheDisk) {
  writer->append(a_group({"a", "b"}));
  writer->append(a_group({"c"}));
  ASSERT_EQ(delivered.good.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(delivered.good[i].lsn, i + 1);
  EXPECT_THAT(read(*writer->stream()).payloads, ElementsAre("a", "b", "c"));
}

TEST_F(Writer, GivesEachShardItsRecords) {
  tracker::AppendGroup group;
  group.push_back(a_record("a", 1));
  group.push_back(a_record("b", 0));
  group.push_back(a_record("c", 1));
  writer->append(std::move(group));
  EXPECT_THAT(delivered.order, ElementsAre("b", "a", "c"));
}

TEST_F(Writer, RotatesWithoutSplittingARecordAndKeepsTheChain) {
  for (int i = 0; i < 100; ++i) writer->append(a_group({std::to_string(i) + std::string(90, 'x')}));
  EXPECT_GT(directory->segments(*writer->stream())->size(), 10u);
  writer->cut(7);
  const auto back = read(*writer->stream());
  ASSERT_EQ(back.payloads.size(), 100u);
  EXPECT_EQ(back.end.last, delivered.cuts.back().upto);
  EXPECT_EQ(back.end.chain, delivered.cuts.back().chain);
  EXPECT_EQ(delivered.cuts.back().ticket, 7u);
}

TEST_F(Writer, MakesAnOversizedSegmentForAnOversizedRecord) {
  writer->append(a_group({"a", std::string(5000, 'b'), "c"}));
  const auto back = read(*writer->stream());
  ASSERT_EQ(back.payloads.size(), 3u);
  EXPECT_EQ(back.payloads[1].size(), 5000u);
}

TEST_F(Writer, RefusesARecordThatNoReaderWouldTake) {
  writer->append(a_group({"a", std::string(kMaxPayloadBytes + 1, 'b'), "c"}));
  EXPECT_EQ(delivered.good.size(), 2u);
  ASSERT_EQ(delivered.refused.size(), 1u);
  EXPECT_EQ(delivered.refused[0].second, Errc::data_refused);
  EXPECT_THAT(read(*writer->stream()).payloads, ElementsAre("a", "c"));
}

TEST_F(Writer, CutsAfterWhatWasDelivered) {
  writer->cut(1);
  writer->append(a_group({"a"}));
  writer->cut(2);
  EXPECT_THAT(delivered.order, ElementsAre("|", "a", "|"));
  EXPECT_EQ(delivered.cuts[0].upto, 0u);
  EXPECT_EQ(delivered.cuts[0].chain, 0u);
  EXPECT_EQ(delivered.cuts[1].upto, 1u);
}

TEST_F(Writer, SealsTheStreamWhenASyncFailsAndGoesOnInAnother) {
  const auto old = *writer->stream();
  writer->append(a_group({"a"}));
  disk.fail_at(disk.calls() + 2, EIO);  // the group's sync
  writer->append(a_group({"b"}));
  writer->append(a_group({"c"}));

  EXPECT_THAT(delivered.order, ElementsAre("a", "!b", "||", "c"));
  EXPECT_EQ(delivered.refused[0].second, Errc::journal_failed);
  EXPECT_EQ(delivered.cuts[0].stream, old);
  EXPECT_EQ(delivered.cuts[0].upto, 1u);
  EXPECT_NE(delivered.good[1].stream, old);
  EXPECT_EQ(delivered.good[1].lsn, 1u);
  EXPECT_EQ(seen.sealed, 1u);
  EXPECT_TRUE(directory->claim(old)) << "whoever drains it may have it";
}

TEST_F(Writer, EndsAStreamOnDemandAndGoesOnInAnother) {
  const auto old = *writer->stream();
  writer->append(a_group({"a"}));
  const auto before = directory->quota().used();
  writer->roll(old);
  writer->roll(old);  // asked again, late: another stream is the current one by now
  writer->append(a_group({"b"}));

  EXPECT_THAT(delivered.order, ElementsAre("a", "||", "b"));
  EXPECT_EQ(delivered.cuts[0].stream, old);
  EXPECT_EQ(delivered.cuts[0].upto, 1u);
  EXPECT_NE(delivered.good[1].stream, old);
  EXPECT_EQ(delivered.good[1].lsn, 1u);
  EXPECT_TRUE(directory->claim(old)) << "whoever drains it may have it";
  EXPECT_THAT(read(old).payloads, ElementsAre("a"));
  EXPECT_LT(directory->quota().used(), before + 1024) << "what was not used was given back";
}

TEST_F(Writer, NeverTouchesAFileAgainAfterAFailure) {
  writer->append(a_group({"a"}));
  const auto path = segment_path(*writer->stream(), 1);
  disk.fail_at(disk.calls() + 1, EIO);
  disk.write_before_failing(10);
  writer->append(a_group({"b"}));
  const auto then = disk.content(path);
  writer->append(a_group({"c"}));
  writer->close();
  EXPECT_EQ(disk.content(path), then);
}

TEST_F(Writer, WhatWasWrittenBeforeAFailedSyncMayStillBeFound) {
  const auto old = *writer->stream();
  disk.fail_at(disk.calls() + 2, EIO);
  writer->append(a_group({"a"}));
  EXPECT_THAT(read(old).payloads, ElementsAre("a"));
  disk.lose_power({.choose = [](auto) { return 0; }});
  start();
  EXPECT_TRUE(read(old).payloads.empty());
}

TEST_F(Writer, AnswersJournalFullWhileTheDiskIsFullAndRecoversAlone) {
  const auto old = *writer->stream();
  disk.fail_calls(Call::allocate, ENOSPC);
  for (int i = 0; i < 20; ++i) writer->append(a_group({std::string(100, 'x')}));
  EXPECT_EQ(delivered.good.size(), 7u);
  EXPECT_EQ(delivered.refused.size(), 13u);
  for (const auto& [payload, error] : delivered.refused) EXPECT_EQ(error, Errc::journal_full);
  EXPECT_FALSE(writer->stream());
  EXPECT_EQ(directory->streams()->size(), 1u) << "failed attempts leave nothing behind";
  EXPECT_EQ(seen.open_failures, 1u) << "it is not tried again for each request";

  writer->cut(9);
  EXPECT_EQ(delivered.cuts.back().stream, old);
  EXPECT_EQ(delivered.cuts.back().ticket, 9u);
  EXPECT_TRUE(delivered.cuts.back().sealed);

  disk.fail_calls(Call::allocate, 0);
  ASSERT_TRUE(writer->next_tick());
  clock.advance(milliseconds(100));
  writer->tick();
  ASSERT_TRUE(writer->stream());
  writer->append(a_group({"later"}));
  EXPECT_EQ(delivered.good.back().payload, "later");
}

TEST_F(Writer, TriesLessAndLessOften) {
  disk.fail_calls(Call::make_directory, EIO);
  disk.fail_at(disk.calls() + 1, EIO);
  writer->append(a_group({"a"}));
  EXPECT_FALSE(writer->open());
  for (int i = 0; i < 200; ++i) {
    clock.advance(milliseconds(100));
    writer->tick();
  }
  EXPECT_GE(seen.open_failures, 7u);
  EXPECT_LE(seen.open_failures, 12u);
}

TEST_F(Writer, OverTheQuotaKeepsItsStreamAndWaitsForSpace) {
  options.max_bytes = 3 * 1024;
  start();
  const auto stream = *writer->stream();
  for (int i = 0; i < 40; ++i) writer->append(a_group({std::string(100, 'x')}));
  EXPECT_FALSE(delivered.refused.empty());
  for (const auto& [payload, error] : delivered.refused) EXPECT_EQ(error, Errc::journal_full);
  EXPECT_EQ(writer->stream(), stream);
  EXPECT_EQ(seen.full, 1u);
  EXPECT_LE(directory->quota().used(), 3 * 1024u);

  ASSERT_GT(directory->trim(stream, delivered.good.back().lsn, {}).value(), 0u)
      << "short of quota: retention does not hold";
  writer->append(a_group({"later"}));
  EXPECT_EQ(delivered.good.back().payload, "later");
  EXPECT_EQ(delivered.good.back().stream, stream);
  EXPECT_EQ(seen.sealed, 0u);
}

TEST_F(Writer, WithoutRoomForOneStreamStartsAnywayAndRefuses) {
  options.path = "/other";
  options.max_bytes = 100;
  start();
  writer->append(a_group({"a"}));
  writer->cut(1);
  EXPECT_EQ(delivered.refused[0].second, Errc::journal_full);
  EXPECT_TRUE(delivered.cuts[0].stream.uuid.is_nil());
}

TEST_F(Writer, GivesBackUnusedSpaceWhenClosed) {
  const auto stream = *writer->stream();
  writer->append(a_group({"a"}));
  const auto before = directory->quota().used();
  writer->close();
  EXPECT_EQ(disk.content(segment_path(stream, 1)).size(), kSegmentHeaderBytes + kRecordHeaderBytes + 1);
  EXPECT_EQ(before - directory->quota().used(), 1024 - kSegmentHeaderBytes - kRecordHeaderBytes - 1);
  writer->append(a_group({"b"}));
  EXPECT_EQ(delivered.refused[0].second, Errc::shutting_down);
  EXPECT_THAT(read(stream).payloads, ElementsAre("a"));
}

class RelaxedWriter : public JournalOnFaultDisk {
 protected:
  void SetUp() override {
    writer_options.sync = SyncMode::interval;
    writer_options.sync_interval = milliseconds(10);
    start();
  }
};

TEST_F(RelaxedWriter, DeliversBeforeTheSyncAndSyncsWhenDue) {
  disk.fail_calls(Call::sync, EIO);
  writer->append(a_group({"a"}));
  writer->append(a_group({"b"}));
  EXPECT_THAT(delivered.order, ElementsAre("a", "b"));
  clock.advance(milliseconds(9));
  writer->tick();
  EXPECT_EQ(seen.sealed, 0u);
  EXPECT_EQ(*writer->next_tick(), clock.steady() + milliseconds(1));
  clock.advance(milliseconds(1));
  writer->tick();
  EXPECT_EQ(seen.sealed, 1u);
}

TEST_F(RelaxedWriter, SyncsWhatItEndsOnDemand) {
  const auto old = *writer->stream();
  writer->append(a_group({"a"}));
  writer->roll(old);
  stop();
  disk.lose_power({.choose = [](auto) { return 0; }});
  start();
  EXPECT_THAT(read(old).payloads, ElementsAre("a"));
}

TEST_F(RelaxedWriter, CutsOnlyWhatIsDurable) {
  const auto stream = *writer->stream();
  writer->append(a_group({"a"}));
  writer->cut(1);
  disk.lose_power({.choose = [](auto) { return 0; }});
  start();
  EXPECT_THAT(read(stream).payloads, ElementsAre("a"));
}

TEST_F(RelaxedWriter, SealsAtTheLastDeliveredRecordWhenTheSyncOfACutFails) {
  const auto old = *writer->stream();
  writer->append(a_group({"a", "b"}));
  disk.fail_at(disk.calls() + 1, EIO);
  writer->cut(5);
  ASSERT_EQ(delivered.cuts.size(), 2u);
  EXPECT_EQ(delivered.cuts[0].stream, old);
  EXPECT_EQ(delivered.cuts[0].upto, 2u) << "both were acknowledged, and memory still has them";
  EXPECT_TRUE(delivered.cuts[0].sealed);
  EXPECT_EQ(delivered.cuts[0].ticket, 0u);
  EXPECT_EQ(delivered.cuts[1].ticket, 5u);
  writer->append(a_group({"c"}));
  EXPECT_NE(delivered.good.back().stream, old);
}

TEST_F(RelaxedWriter, ATornTailOfManyUnsyncedGroupsIsNotDamage) {
  options.segment_bytes = 16 << 10;
  options.max_bytes = 1 << 30;
  std::mt19937_64 random(1);
  for (int round = 0; round < 50; ++round) {
    start();
    const auto stream = *writer->stream();
    for (int i = 0; i < 5; ++i) writer->append(a_group({std::string(700, 'x')}));
    disk.lose_power({.choose = [&](std::uint64_t most) { return random() % (most + 1); }, .any_sectors = true});
    start();
    EXPECT_FALSE(read(stream).error);
  }
  EXPECT_EQ(seen.corruptions, 0u);
}

TEST_F(RelaxedWriter, NeverLeavesItAllToTheKernel) {
  writer_options.sync = SyncMode::never;
  start();
  const auto calls = disk.calls();
  writer->append(a_group({"a"}));
  writer->cut(1);
  EXPECT_EQ(disk.calls(), calls + 1);
  EXPECT_EQ(delivered.cuts[0].upto, 1u);
  EXPECT_FALSE(writer->next_tick());
}

}  // namespace
}  // namespace tally::journal
