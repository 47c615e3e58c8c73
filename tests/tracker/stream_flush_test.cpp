#include "tracker/stream_flush.hpp"

#include <gtest/gtest.h>

#include "tests/support/memory_journal.hpp"
#include "tests/support/payloads.hpp"

namespace tally::tracker {
namespace {

using Do = StreamFlush::Do;
using Alarm = StreamFlush::Alarm;
using test::id;

const StreamId kStream{id(77)};

Gathered gathered(Lsn from, Lsn upto, std::uint64_t epoch, Chain chain = 1) {
  Gathered part;
  part.from = from;
  part.upto = upto;
  part.chain = chain;
  part.epoch = epoch;
  part.content.allowed = upto - from;
  return part;
}

FlushAnswer applied_in(PeriodId period) {
  return {.clock = period, .ids_epoch = 0, .applied = period};
}
FlushAnswer refused(PeriodId clock) {
  return {.clock = clock};
}

StreamRow row_at(Lsn applied, Chain chain, PeriodId clock = 1) {
  return {.applied_lsn = applied, .chain = chain, .clock = clock};
}

/// A machine of a registered stream whose first batch (0, 3] of epoch 1 was confirmed in period 1.
StreamFlush confirmed_once() {
  StreamFlush flush(kStream, StreamFlush::Owner::this_process);
  flush.row(row_at(0, 0));
  flush.gathered(gathered(0, 3, 1, 30));
  flush.answer(applied_in(1));
  return flush;
}

TEST(StreamFlush, RegistersAStreamThatHasNoRowAndReadsTheRowAgain) {
  StreamFlush flush(kStream, StreamFlush::Owner::this_process);
  ASSERT_EQ(flush.next().what, Do::read_row);
  flush.row(std::nullopt);
  ASSERT_EQ(flush.next().what, Do::register_stream);
  flush.registered();
  ASSERT_EQ(flush.next().what, Do::read_row);
  flush.row(row_at(0, 0));
  EXPECT_EQ(flush.next().what, Do::nothing);
}

TEST(StreamFlush, SendsTheFirstBatchOfAnEpochWithoutGuardAndTheNextUnderIt) {  // M9
  StreamFlush flush(kStream, StreamFlush::Owner::this_process);
  flush.row(row_at(0, 0));
  flush.gathered(gathered(0, 3, 1, 30));
  ASSERT_EQ(flush.next().what, Do::send);
  EXPECT_FALSE(flush.batch().guard);
  EXPECT_EQ(flush.batch().from, 0u);
  EXPECT_EQ(flush.batch().to, 3u);
  flush.answer(applied_in(4));
  EXPECT_EQ(flush.next().what, Do::nothing);

  flush.gathered(gathered(3, 5, 1, 50));
  ASSERT_EQ(flush.next().what, Do::send);
  EXPECT_EQ(flush.batch().guard, (Guard{4, 0}));
  EXPECT_EQ(flush.batch().chain_from, 30u);
}

TEST(StreamFlush, DoesNothingForACutThatBringsNothing) {
  StreamFlush flush = confirmed_once();
  flush.gathered(gathered(3, 3, 1, 30));
  EXPECT_EQ(flush.next().what, Do::nothing);
}

TEST(StreamFlush, AfterARefusedGuardSendsEverythingFromTheJournalAndStartsANewEpoch) {
  StreamFlush flush = confirmed_once();
  flush.gathered(gathered(3, 5, 1, 50));
  flush.answer(refused(2));
  EXPECT_EQ(flush.counts().refused_guard, 1u);
  EXPECT_TRUE(flush.wants_new_epoch());
  ASSERT_EQ(flush.next().what, Do::read_row);
  flush.row(row_at(3, 30, 2));
  const auto action = flush.next();
  ASSERT_EQ(action.what, Do::read_journal);
  EXPECT_EQ(action.from, 3u);
  EXPECT_EQ(action.upto, 5u);
  FlushBatch batch;
  batch.from = 3;
  batch.to = 5;
  batch.chain_to = 50;
  flush.rebuilt(batch);
  ASSERT_EQ(flush.next().what, Do::send);
  EXPECT_FALSE(flush.batch().guard);
  flush.answer(applied_in(2));

  // What the shards gathered under the broken epoch is not sent; what they gather after the new one began is.
  flush.new_epoch_asked();
  flush.gathered(gathered(5, 6, 1, 60));
  EXPECT_EQ(flush.next().what, Do::read_journal);
  FlushBatch next;
  next.from = 5;
  next.to = 6;
  next.chain_to = 60;
  flush.rebuilt(next);
  flush.answer(applied_in(2));
  flush.gathered(gathered(6, 7, 2, 70));
  ASSERT_EQ(flush.next().what, Do::send);
  EXPECT_FALSE(flush.batch().guard);
}

TEST(StreamFlush, AnUnknownOutcomeThatCommittedIsNotSentAgain) {  // BU-09
  StreamFlush flush = confirmed_once();
  flush.gathered(gathered(3, 5, 1, 50));
  flush.failed(Errc::outcome_unknown);
  EXPECT_GT(flush.backoff_ceiling().count(), 0);
  ASSERT_EQ(flush.next().what, Do::read_row);
  flush.row(row_at(5, 50));
  ASSERT_EQ(flush.next().what, Do::check_chain);
  flush.chain(Chain{50});
  EXPECT_EQ(flush.next().what, Do::nothing);
  EXPECT_EQ(flush.applied(), 5u);
  EXPECT_EQ(flush.counts().unknown_applied, 1u);
}

TEST(StreamFlush, AnUnknownOutcomeConfirmsNoIds) {  // KM11
  StreamFlush flush = confirmed_once();
  flush.gathered(gathered(3, 5, 1, 50));
  flush.failed(Errc::outcome_unknown);
  flush.row(row_at(5, 50));
  flush.chain(Chain{50});
  flush.gathered(gathered(5, 6, 1, 60));
  EXPECT_EQ(flush.next().what, Do::read_journal) << "ids left out in epoch 1 may be missing in the open period";
}

TEST(StreamFlush, AnUnknownOutcomeThatDidNotCommitIsRebuiltFromTheJournal) {  // BU-08
  StreamFlush flush = confirmed_once();
  flush.gathered(gathered(3, 5, 1, 50));
  flush.failed(Errc::outcome_unknown);
  flush.row(row_at(3, 30));
  const auto action = flush.next();
  ASSERT_EQ(action.what, Do::read_journal);
  EXPECT_EQ(action.from, 3u);
  EXPECT_EQ(flush.counts().unknown_not_applied, 1u);
}

TEST(StreamFlush, KeepsTheBatchAndItsEpochWhileTheDatabaseIsAway) {
  StreamFlush flush = confirmed_once();
  flush.gathered(gathered(3, 5, 1, 50));
  auto before = std::chrono::milliseconds::zero();
  for (int i = 0; i < 20; ++i) {
    flush.failed(Errc::store_unavailable);
    ASSERT_EQ(flush.next().what, Do::send);
    EXPECT_GE(flush.backoff_ceiling(), before);
    before = flush.backoff_ceiling();
  }
  EXPECT_EQ(before, std::chrono::seconds(30));
  EXPECT_FALSE(flush.wants_new_epoch());
  flush.answer(applied_in(1));
  EXPECT_EQ(flush.backoff_ceiling().count(), 0);
}

TEST(StreamFlush, AnIncompleteGatheringIsReReadAndBreaksTheEpoch) {
  StreamFlush flush = confirmed_once();
  Gathered part = gathered(3, 5, 1, 50);
  part.complete = false;
  flush.gathered(std::move(part));
  EXPECT_EQ(flush.next().what, Do::read_journal);
  EXPECT_TRUE(flush.wants_new_epoch());
}

TEST(StreamFlush, AMissedCutBreaksTheEpoch) {
  StreamFlush flush = confirmed_once();
  flush.gathered(gathered(4, 6, 1, 60));
  const auto action = flush.next();
  EXPECT_EQ(action.what, Do::read_journal);
  EXPECT_EQ(action.from, 3u);
}

TEST(StreamFlush, ARowThatVanishedStopsTheStreamAndKeepsTheJournal) {  // M13
  StreamFlush flush = confirmed_once();
  flush.gathered(gathered(3, 5, 1, 50));
  flush.failed(Errc::outcome_unknown);
  flush.row(std::nullopt);
  EXPECT_EQ(flush.next().what, Do::halt);
  EXPECT_EQ(flush.alarm(), Alarm::row_gone);
}

TEST(StreamFlush, AForeignStreamWithoutRowIsRegisteredOnlyIfItNeverWas) {
  StreamFlush never(kStream, StreamFlush::Owner::another);
  never.durable(2);
  never.row(std::nullopt);
  ASSERT_EQ(never.next().what, Do::find_registration);
  never.registration(false);
  EXPECT_EQ(never.next().what, Do::register_stream);

  StreamFlush once(kStream, StreamFlush::Owner::another);
  once.row(std::nullopt);
  once.registration(true);
  EXPECT_EQ(once.alarm(), Alarm::row_gone);
}

TEST(StreamFlush, AnotherChainAtTheSameLsnIsAForkAndStops) {
  StreamFlush flush(kStream, StreamFlush::Owner::another);
  flush.durable(9);
  flush.row(row_at(4, 44));
  ASSERT_EQ(flush.next().what, Do::check_chain);
  EXPECT_EQ(flush.next().upto, 4u);
  flush.chain(Chain{45});
  EXPECT_EQ(flush.alarm(), Alarm::forked);
}

TEST(StreamFlush, MoreAppliedThanTheJournalHoldsIsAFork) {  // fault 18: a rolled-back copy of the directory
  StreamFlush flush(kStream, StreamFlush::Owner::another);
  flush.durable(9);
  flush.row(row_at(12, 44));
  flush.chain(Errc::not_found);
  EXPECT_EQ(flush.alarm(), Alarm::forked);
}

TEST(StreamFlush, GoesOnFromALowerLsnWhenTheDatabaseLostCommits) {
  StreamFlush flush = confirmed_once();
  flush.gathered(gathered(3, 5, 1, 50));
  flush.answer(refused(1));
  flush.row(row_at(1, 10));
  flush.chain(Chain{10});
  const auto action = flush.next();
  ASSERT_EQ(action.what, Do::read_journal);
  EXPECT_EQ(action.from, 1u);
  EXPECT_EQ(flush.counts().lost_commits, 1u);
}

TEST(StreamFlush, StopsWhenTheClockRunsBackwards) {
  StreamFlush flush(kStream, StreamFlush::Owner::this_process);
  flush.row(row_at(0, 0, 9));
  flush.gathered(gathered(0, 1, 1));
  flush.failed(Errc::outcome_unknown);
  flush.row(row_at(0, 0, 8));
  EXPECT_EQ(flush.alarm(), Alarm::clock_back);
}

TEST(StreamFlush, HalvesARefusedBatchUntilTheRecordStandsAloneAndSetsItAside) {
  StreamFlush flush(kStream, StreamFlush::Owner::this_process);
  flush.row(row_at(0, 0));
  flush.gathered(gathered(0, 4, 1, 40));
  flush.failed(Errc::data_refused);
  auto action = flush.next();
  ASSERT_EQ(action.what, Do::read_journal);
  EXPECT_EQ(action.records, 2u);
  FlushBatch two;
  two.to = 2;
  flush.rebuilt(two);
  flush.failed(Errc::data_refused);
  EXPECT_EQ(flush.next().records, 1u);
  FlushBatch one;
  one.to = 1;
  flush.rebuilt(one);
  flush.failed(Errc::data_refused);
  action = flush.next();
  ASSERT_EQ(action.what, Do::set_aside);
  EXPECT_EQ(action.from, 0u);
  EXPECT_EQ(action.upto, 1u);
  flush.set_aside_done(true);
  ASSERT_EQ(flush.next().what, Do::read_row);
  flush.row(row_at(1, 11));
  flush.chain(Chain{11});
  action = flush.next();
  EXPECT_EQ(action.what, Do::read_journal);
  EXPECT_EQ(action.from, 1u);
  EXPECT_EQ(flush.counts().set_aside, 1u);
}

TEST(StreamFlush, AClosedRowStopsTheStream) {
  for (const StreamState state : {StreamState::given_up, StreamState::removed, StreamState::drained}) {
    StreamFlush flush(kStream, StreamFlush::Owner::this_process);
    flush.row(StreamRow{.applied_lsn = 0, .chain = 0, .state = state, .clock = 1});
    EXPECT_EQ(flush.alarm(), Alarm::closed);
  }
}

TEST(RebuildBatch, TakesAPrefixWithinItsLimitsAndCarriesTheChain) {
  test::MemoryJournal journal;
  for (int i = 1; i <= 10; ++i) journal.append(RecordType::boundary, test::boundary_payload({{id(i), id(1), 1, 0}}));
  const auto all = rebuild_batch(journal, kStream, 2, journal.at(2).chain, 10, UINT64_MAX);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->from, 2u);
  EXPECT_EQ(all->to, 10u);
  EXPECT_EQ(all->chain_to, journal.chain());
  EXPECT_EQ(all->workspaces.size(), 8u);
  const auto two = rebuild_batch(journal, kStream, 2, journal.at(2).chain, 10, 2);
  EXPECT_EQ(two->to, 4u);
  EXPECT_EQ(two->chain_to, journal.at(4).chain);
}

TEST(RebuildBatch, StopsBeforeMoreThanAThousandEffects) {
  test::MemoryJournal journal;
  for (int i = 1; i <= 1500; ++i)
    journal.append(RecordType::boundary_keyed, test::keyed_payload({{id(i), 1, {{id(1), id(2), 1, 0}}}}));
  const auto batch = rebuild_batch(journal, kStream, 0, 0, 1500, UINT64_MAX);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->effects.size(), 1000u);
  EXPECT_EQ(batch->to, 1000u);
}

TEST(RebuildBatch, StopsBeforeARecordOfALaterVersionWithoutATraceOfIt) {
  test::MemoryJournal journal;
  journal.append(RecordType::boundary, test::boundary_payload({{id(1), id(2), 1, 0}}));
  journal.append(RecordType::boundary, test::boundary_payload({{id(3), id(4), 1, 0}}) + "more");
  const auto batch = rebuild_batch(journal, kStream, 0, 0, 2, UINT64_MAX);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->to, 1u);
  EXPECT_EQ(batch->workspaces, std::vector{id(1)});
  EXPECT_EQ(rebuild_batch(journal, kStream, 1, batch->chain_to, 2, UINT64_MAX).error(), Errc::conflict);
}

}  // namespace
}  // namespace tally::tracker
