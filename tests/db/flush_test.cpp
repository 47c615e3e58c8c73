#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/db/batches.hpp"

namespace tally::db {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using tracker::Errc;
using tracker::FlushAnswer;
using tracker::FlushBatch;
using tracker::Result;

TEST(Flush, AppliesABatchAndMovesItsStream) {
  Counting db;
  const FlushAnswer answer = db.flush(batch(db.one, 0, 3, 5, 2)).value();
  EXPECT_EQ(answer.clock, 1);
  EXPECT_EQ(answer.applied, 1);
  EXPECT_EQ(answer.ids_epoch, 0);
  EXPECT_EQ(db.applied(db.one), 3u);
  EXPECT_EQ(db.store.run(db.store->read_stream(db.one)).value()->chain, chain(3));
  EXPECT_EQ(db.store.run(db.store->read_stream(db.one)).value()->clock, 1);
  EXPECT_EQ(db.database.query("SELECT allowed || '/' || denied || '/' || increments FROM boundary_usage_stats"),
            "5/2/3");
  EXPECT_TRUE(db.balanced());
}

TEST(Flush, RefusesTheSameBatchTheSecondTime) {
  Counting db;
  ASSERT_TRUE(db.flush(batch(db.one, 0, 3, 5)).value().applied);
  const FlushAnswer again = db.flush(batch(db.one, 0, 3, 5)).value();
  EXPECT_FALSE(again.applied);
  EXPECT_EQ(again.clock, 1);
  EXPECT_EQ(db.close().allowed, "5");
}

TEST(Flush, RefusesAnotherStart) {
  Counting db;
  ASSERT_TRUE(db.flush(batch(db.one, 0, 3)).value().applied);
  EXPECT_FALSE(db.flush(batch(db.one, 2, 5)).value().applied);
  EXPECT_FALSE(db.flush(batch(db.one, 4, 5)).value().applied);
  EXPECT_TRUE(db.flush(batch(db.one, 3, 5)).value().applied);
}

TEST(Flush, RefusesACopyOfTheStreamThatWentAnotherWay) {
  Counting db;
  ASSERT_TRUE(db.flush(batch(db.one, 0, 3)).value().applied);
  FlushBatch forked = batch(db.one, 3, 5);
  forked.chain_from = chain(99);
  EXPECT_FALSE(db.flush(forked).value().applied);
}

TEST(Flush, RefusesAStreamThatIsUnknownDrainedOrGivenUp) {
  Counting db;
  EXPECT_FALSE(db.flush(batch(db.two, 0, 1)).value().applied);
  ASSERT_TRUE(db.flush(batch(db.one, 0, 1)).value().applied);
  ASSERT_TRUE(db.store.run(db.store->mark_drained(db.one, 1)));
  EXPECT_FALSE(db.flush(batch(db.one, 1, 2)).value().applied);
  db.register_stream(db.two, "replica-1");
  ASSERT_TRUE(db.store.run(db.store->give_up_stream(db.two, "test")));
  EXPECT_FALSE(db.flush(batch(db.two, 0, 1)).value().applied);
}

TEST(Flush, TellsAGuardRefusalByTheClock) {
  Counting db;
  FlushBatch guarded = batch(db.one, 0, 1);
  guarded.guard = {1, 0};
  db.close();
  const FlushAnswer refused = db.flush(guarded).value();
  EXPECT_FALSE(refused.applied);
  EXPECT_EQ(refused.clock, 2) << "another clock than the guard's: the guard refused, not the position";
  guarded.guard = {2, 0};
  EXPECT_EQ(db.flush(guarded).value().applied, 2);
}

TEST(Flush, IsGuardedByTheEpochOfItsIdsToo) {
  Counting db;
  ASSERT_TRUE(db.flush(batch(db.one, 0, 1)).value().applied);
  ASSERT_TRUE(db.store.run(db.store->discard_replica("replica-1", "test")));
  FlushBatch guarded = batch(db.one, 1, 2);
  guarded.guard = {1, 0};
  EXPECT_FALSE(db.flush(guarded).value().applied);
  guarded.guard.reset();
  EXPECT_EQ(db.flush(guarded).value().ids_epoch, 1);
}

TEST(Flush, AddsUpBeyond64Bits) {
  Counting db;
  const tracker::Sum huge = static_cast<tracker::Sum>(1) << 100;
  ASSERT_TRUE(db.flush(batch(db.one, 0, 1, huge, huge)).value().applied);
  ASSERT_TRUE(db.flush(batch(db.one, 1, 2, huge, 0)).value().applied);
  const tracker::Report report = db.close();
  EXPECT_EQ(report.allowed, "2535301200456458802993406410752");
  EXPECT_EQ(report.denied, "1267650600228229401496703205376");
  EXPECT_TRUE(db.balanced());
}

TEST(Flush, KeepsIdsOnceHoweverOftenTheBatchHoldsThem) {
  Counting db;
  FlushBatch made = batch(db.one, 0, 1);
  made.workspaces = {id(1), id(2), id(1)};
  made.users = {id(9), id(9)};
  ASSERT_TRUE(db.flush(made).value().applied);
  EXPECT_EQ(db.database.query("SELECT cardinality(workspaces) || '/' || cardinality(users) FROM boundary_usage_ids"),
            "2/1");
}

TEST(Flush, WritesNoRowOfIdsWhereThereAreNone) {
  Counting db;
  ASSERT_TRUE(db.flush(batch(db.one, 0, 1)).value().applied);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM boundary_usage_ids"), "0");
}

TEST(Flush, CountsLateIncrementsByTheOpeningOfThePeriod_UP12) {
  Counting db;
  const std::int64_t opened = db.store.run(db.store->clock()).value().opened_at_us / 1'000'000;
  FlushBatch made = batch(db.one, 0, 7);
  made.appended = {{opened - 3600, 2}, {opened - 62, 1}, {opened - 55, 3}, {opened, 1}};
  ASSERT_TRUE(db.flush(made).value().applied);
  EXPECT_EQ(db.close().late_increments, "3");
}

TEST(Flush, SetsASingleRecordAsideOnRecord) {
  Counting db;
  FlushBatch record = batch(db.one, 0, 1, 7, 1);
  EXPECT_TRUE(db.store.run(db.store->set_aside(record, std::string("\0\x01raw", 5), "22003: out of range")).value());
  EXPECT_FALSE(db.store.run(db.store->set_aside(record, "raw", "again")).value()) << "the position has moved";
  EXPECT_EQ(db.applied(db.one), 1u);
  EXPECT_EQ(db.database.query("SELECT requests || encode(payload, 'hex') || reason FROM records_set_aside"),
            "8000172617722003: out of range");
  const Ledger ledger = db.store.run(db.store->ledger()).value();
  EXPECT_EQ(ledger.set_aside, "8");
  EXPECT_TRUE(ledger.balanced);
}

TEST(FlushKeys, ApplyOnlyEffectsWhoseKeyIsNew) {
  Counting db;
  db.register_stream(db.two, "replica-2");
  FlushBatch first = batch(db.one, 0, 1, 0);
  first.effects = {effect(id(1), 10, {id(11)})};
  EXPECT_THAT(db.flush(first).value().accepted, ElementsAre(0));

  FlushBatch second = batch(db.two, 0, 3, 1);
  second.effects = {effect(id(2), 100, {id(12)}), effect(id(1), 10, {id(13)}), effect(id(3), 1000, {id(12)})};
  const FlushAnswer answer = db.flush(second).value();
  EXPECT_THAT(answer.accepted, ElementsAre(0, 2));
  EXPECT_EQ(answer.conflicts, 0u);

  EXPECT_EQ(db.database.query("SELECT dup_allowed FROM boundary_usage_stats WHERE dup_allowed > 0"), "10");
  const tracker::Report report = db.close();
  EXPECT_EQ(report.allowed, "1111");
  EXPECT_EQ(report.unique_workspaces, 2) << "ids of a refused effect do not count";
  EXPECT_TRUE(db.balanced());
}

TEST(FlushKeys, CountAKeyThatIsHeldByAnotherBodyAsAConflict) {
  Counting db;
  FlushBatch first = batch(db.one, 0, 1, 0);
  first.effects = {effect(id(1), 10, {}, 7)};
  ASSERT_TRUE(db.flush(first));
  FlushBatch second = batch(db.one, 1, 3, 0);
  second.effects = {effect(id(1), 20, {}, 8), effect(id(2), 5)};
  second.repeat_allowed = 5;
  second.repeat_conflicts = 1;
  const FlushAnswer answer = db.flush(second).value();
  EXPECT_THAT(answer.accepted, ElementsAre(1));
  EXPECT_EQ(answer.conflicts, 2u);
  EXPECT_EQ(db.close().allowed, "15");
  EXPECT_TRUE(db.balanced());
}

TEST(FlushKeys, MergeUnkeyedIdsWithThoseOfAcceptedEffects) {
  Counting db;
  FlushBatch made = batch(db.one, 0, 2);
  made.workspaces = {id(1)};
  made.effects = {effect(id(50), 1, {id(1), id(2)})};
  made.effects[0].users = {id(3)};
  ASSERT_TRUE(db.flush(made));
  EXPECT_EQ(db.database.query("SELECT cardinality(workspaces) || '/' || cardinality(users) FROM boundary_usage_ids"),
            "2/1");
}

TEST(FlushKeys, WaitForAnotherSessionWithTheSameKeyAndThenRefuseIt) {
  Counting db;
  test::Session other(db.database.conninfo());
  other.query("BEGIN; INSERT INTO tallyd.ingest_keys VALUES ('" + id(1).to_string() + "', 9, now())");
  FlushBatch made = batch(db.one, 0, 2, 0);
  made.effects = {effect(id(1), 10), effect(id(2), 100)};
  auto waiting = db.store.start(db.store->flush(made));
  db.database.await_lock_waits(1);
  other.query("COMMIT");
  const FlushAnswer answer = waiting.get().value();
  EXPECT_THAT(answer.accepted, ElementsAre(1));
  EXPECT_EQ(answer.conflicts, 1u) << "the other body became visible only while waiting";
}

TEST(FlushKeys, AreTakenOverFromASessionThatRolledBack) {
  Counting db;
  test::Session other(db.database.conninfo());
  other.query("BEGIN; INSERT INTO tallyd.ingest_keys VALUES ('" + id(1).to_string() + "', 9, now())");
  FlushBatch made = batch(db.one, 0, 1, 0);
  made.effects = {effect(id(1), 10)};
  auto waiting = db.store.start(db.store->flush(made));
  db.database.await_lock_waits(1);
  other.query("ROLLBACK");
  EXPECT_THAT(waiting.get().value().accepted, ElementsAre(0));
}

TEST(FlushKeys, InOppositeOrdersDoNotDeadlock) {
  Counting db({.limit = 3});
  db.register_stream(db.two, "replica-2");
  test::Session holder(db.database.conninfo());
  holder.query("BEGIN; INSERT INTO tallyd.ingest_keys VALUES ('" + id(5).to_string() + "', 9, now())");
  // Both reach for keys 1..9 and stop at 5; unsorted, one would hold 9 and the other 1.
  FlushBatch up = batch(db.one, 0, 9, 0), down = batch(db.two, 0, 9, 0);
  for (std::uint8_t i = 1; i <= 9; ++i) {
    up.effects.push_back(effect(id(i), 1));
    down.effects.push_back(effect(id(static_cast<std::uint8_t>(10 - i)), 1));
  }
  auto first = db.store.start(db.store->flush(up));
  auto second = db.store.start(db.store->flush(down));
  db.database.await_lock_waits(2);
  holder.query("ROLLBACK");
  EXPECT_EQ(first.get().value().accepted.size() + second.get().value().accepted.size(), 9u);
  EXPECT_EQ(db.close().allowed, "9");
}

TEST(FlushKeys, HoldAThousandEffectsInOneBatch) {
  Counting db;
  FlushBatch made = batch(db.one, 0, 1000, 0);
  for (int i = 0; i < 1000; ++i) made.effects.push_back(effect(tracker::Uuid::random(), 1, {tracker::Uuid::random()}));
  EXPECT_EQ(db.flush(made).value().accepted.size(), 1000u);
  const tracker::Report report = db.close();
  EXPECT_EQ(report.allowed, "1000");
  EXPECT_EQ(report.unique_workspaces, 1000);
}

TEST(ExpireKeys, WaitsForEveryReplicaThatIsNotGivenUp) {
  Counting db;
  db.store.run(db.store->register_replica("replica-2", "", "")).value();
  FlushBatch made = batch(db.one, 0, 1, 0);
  made.effects = {effect(id(1), 1)};
  ASSERT_TRUE(db.flush(made));
  db.database.query("UPDATE ingest_keys SET seen_at = now() - interval '3 h'");
  db.database.query("UPDATE replicas SET complete_as_of = now() WHERE replica_id = 'replica-1'");
  const auto expire = [&] { return db.store.run(db.store->expire_keys(std::chrono::hours(1))).value(); };
  EXPECT_EQ(expire(), 0) << "replica-2 has not said that it is complete";
  ASSERT_TRUE(db.store.run(db.store->give_up_replica("replica-2", "test")));
  EXPECT_EQ(expire(), 1);
}

TEST(ExpireKeys, KeepsWhatIsInsideTheWindow) {
  Counting db;
  db.database.query("UPDATE replicas SET complete_as_of = now()");
  db.database.query(
      "INSERT INTO ingest_keys SELECT gen_random_uuid(), 1, now() - i * interval '1 min' FROM generate_series(1, 120) "
      "i");
  EXPECT_EQ(db.store.run(db.store->expire_keys(std::chrono::hours(1), 40)).value(), 40);
  EXPECT_EQ(db.store.run(db.store->expire_keys(std::chrono::hours(1), 40)).value(), 20);
}

TEST(RegisterStream, MayBeRepeated) {
  Counting db;
  ASSERT_TRUE(db.flush(batch(db.one, 0, 3)).value().applied);
  db.register_stream(db.one, "replica-1");
  EXPECT_EQ(db.applied(db.one), 3u);
  EXPECT_FALSE(db.store.run(db.store->read_stream(db.two)).value().has_value());
}

TEST(RegisterStream, MakesAGivenUpReplicaAnew) {
  Counting db;
  ASSERT_TRUE(db.store.run(db.store->give_up_replica("replica-1", "test")));
  EXPECT_FALSE(db.store.run(db.store->heartbeat({.replica_id = "replica-1"})).value().known);
  db.register_stream(db.two, "replica-1");
  EXPECT_TRUE(db.store.run(db.store->heartbeat({.replica_id = "replica-1"})).value().known);
}

TEST(MarkDrained, OnlyAtTheLastRecord) {
  Counting db;
  ASSERT_TRUE(db.flush(batch(db.one, 0, 3)).value().applied);
  EXPECT_EQ(db.store.run(db.store->mark_drained(db.one, 2)).error(), Errc::conflict);
  EXPECT_TRUE(db.store.run(db.store->mark_drained(db.one, 3)));
  EXPECT_TRUE(db.store.run(db.store->mark_drained(db.one, 3))) << "a lost answer may be asked for again";
  EXPECT_EQ(db.store.run(db.store->read_stream(db.one)).value()->state, tracker::StreamState::drained);
}

}  // namespace
}  // namespace tally::db
