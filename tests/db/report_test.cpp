#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "db/usage_history.hpp"
#include "tests/db/batches.hpp"

namespace tally::db {
namespace {

using testing::ElementsAre;
using tracker::Errc;
using tracker::FlushAnswer;
using tracker::FlushBatch;
using tracker::Report;
using tracker::Uuid;

TEST(Close, MovesTheClockOnceForAllWhoNameThePeriod) {
  Counting db({.limit = 8});
  ASSERT_TRUE(db.flush(batch(db.one, 0, 1, 5)).value().applied);
  std::vector<std::future<tracker::Result<bool>>> closes;
  for (int i = 0; i < 8; ++i) closes.push_back(db.store.start(db.store->close(1, Uuid::random(), false)));
  int moved = 0;
  for (auto& close : closes) moved += close.get().value() ? 1 : 0;
  EXPECT_EQ(moved, 1);
  EXPECT_EQ(db.store.run(db.store->clock()).value().period, 2);
}

TEST(Close, IsStillOursWhenItsAnswerWasLost) {
  Counting db;
  EXPECT_TRUE(db.store.run(db.store->close(1, id(1), false)).value());
  EXPECT_TRUE(db.store.run(db.store->close(1, id(1), false)).value());
  EXPECT_FALSE(db.store.run(db.store->close(1, id(2), false)).value());
  EXPECT_EQ(db.store.run(db.store->clock()).value().period, 2) << "a repeat closes nothing more";
  EXPECT_EQ(db.store.run(db.store->closed_by(id(1))).value(), 1);
  EXPECT_FALSE(db.store.run(db.store->closed_by(id(2))).value().has_value());
}

TEST(Close, RefusesAPeriodThatIsNeitherOpenNorClosed) {
  Counting db;
  EXPECT_EQ(db.store.run(db.store->close(7, id(1), false)).error(), Errc::conflict);
  EXPECT_EQ(db.store.run(db.store->report(7)).error(), Errc::not_found);
  EXPECT_EQ(db.store.run(db.store->report(1)).error(), Errc::not_found) << "the open period has no report";
}

TEST(Close, WaitsForAFlushThatHoldsTheClock_BU20) {
  Counting db;
  test::Session flusher(db.database.conninfo());
  flusher.query("BEGIN");
  flusher.query("SELECT * FROM tallyd.flush_v1('" + db.one.uuid.to_string() +
                "', 0, 1, '\\x0000000000000000', '\\x01', NULL, NULL, 7, 1, 7, 0, '{}', '{}', 0, 0, NULL, '{}', '{}', "
                "'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')");
  auto closing = db.store.start(db.store->close(1, id(1), false));
  db.database.await_lock_waits(1);
  flusher.query("COMMIT");
  EXPECT_TRUE(closing.get().value());
  EXPECT_EQ(db.store.run(db.store->report(1)).value().allowed, "7");
}

TEST(Close, SendsAFlushThatWaitsForItIntoTheNextPeriod_BU19) {
  Counting db;
  test::Session closer(db.database.conninfo());
  closer.query("BEGIN; UPDATE tallyd.period_clock SET period_id = 2");
  const FlushBatch sent = batch(db.one, 0, 1, 7);
  auto flushing = db.store.start(db.store->flush(sent));
  db.database.await_lock_waits(1);
  closer.query("COMMIT");
  EXPECT_EQ(flushing.get().value().applied, 2);
}

TEST(Close, LetsAWaitingGuardedFlushSeeTheNewClock) {
  Counting db;
  test::Session closer(db.database.conninfo());
  closer.query("BEGIN; UPDATE tallyd.period_clock SET period_id = 2");
  FlushBatch guarded = batch(db.one, 0, 1);
  guarded.guard = {1, 0};
  auto flushing = db.store.start(db.store->flush(guarded));
  db.database.await_lock_waits(1);
  closer.query("COMMIT");
  const FlushAnswer answer = flushing.get().value();
  EXPECT_FALSE(answer.applied);
  EXPECT_EQ(answer.clock, 2);
}

TEST(CloseIfDue, AsksTheDatabaseClockOnly) {
  Counting db;
  EXPECT_FALSE(db.store.run(db.store->close_if_due()).value()) << "no length was ever set";
  EXPECT_EQ(db.store.run(db.store->adopt_period_length(1800)).value(), 1800);
  EXPECT_EQ(db.store.run(db.store->adopt_period_length(60)).value(), 1800) << "the first one holds";
  EXPECT_FALSE(db.store.run(db.store->close_if_due()).value());
  db.database.query("UPDATE period_clock SET opened_at = now() - interval '31 min'");
  EXPECT_EQ(db.store.run(db.store->close_if_due()).value(), 1);
  EXPECT_FALSE(db.store.run(db.store->close_if_due()).value());
  db.store.run(db.store->set_period_length(0)).value();
  db.database.query("UPDATE period_clock SET opened_at = now() - interval '31 days'");
  EXPECT_FALSE(db.store.run(db.store->close_if_due()).value()) << "0: only on request";
}

TEST(Report, IsTheUnionOverReplicasAndStreams_BU17) {
  Counting db;
  const tracker::StreamId three{id(203)};
  db.register_stream(db.two, "replica-2");
  db.register_stream(three, "replica-2");
  const auto flush_ids = [&](tracker::StreamId stream, tracker::Lsn from, std::vector<Uuid> workspaces,
                             std::vector<Uuid> users) {
    FlushBatch made = batch(stream, from, from + 1, 1, 2);
    made.workspaces = std::move(workspaces);
    made.users = std::move(users);
    ASSERT_TRUE(db.flush(made).value().applied);
  };
  flush_ids(db.one, 0, {id(1), id(2)}, {id(9)});
  flush_ids(db.one, 1, {id(2), id(3)}, {id(9)});
  flush_ids(db.two, 0, {id(3), id(4)}, {id(9), id(8)});
  flush_ids(three, 0, {id(1)}, {});
  const Summary summary = db.store.run(db.store->summary()).value();
  EXPECT_EQ(summary.unique_workspaces, 4);
  const Report report = db.close();
  EXPECT_EQ(report.unique_workspaces, 4);
  EXPECT_EQ(report.unique_users, 2);
  EXPECT_EQ(report.replicas, 2);
  EXPECT_EQ(report.allowed, "4");
  EXPECT_EQ(report.denied, "8");
  EXPECT_EQ(report.started_at_us, summary.started_at_us);
  EXPECT_GE(report.ended_at_us, report.started_at_us);
}

TEST(Report, OfAnIdlePeriodIsZero_BU03) {
  Counting db;
  FlushBatch made = batch(db.one, 0, 1, 5);
  made.workspaces = {id(1)};
  ASSERT_TRUE(db.flush(made).value().applied);
  EXPECT_EQ(db.close().allowed, "5");
  const Report idle = db.close();
  EXPECT_EQ(idle.allowed, "0");
  EXPECT_EQ(idle.unique_workspaces, 0);
  EXPECT_EQ(idle.replicas, 0);
}

TEST(Report, IsNeverSummedTwice) {
  Counting db;
  ASSERT_TRUE(db.flush(batch(db.one, 0, 1, 5)).value().applied);
  const Report first = db.close();
  db.database.query("UPDATE boundary_usage_stats SET allowed = 99");
  EXPECT_EQ(db.store.run(db.store->report(1)).value(), first);
  const Verification verification = db.store.run(db.store->verify()).value();
  EXPECT_EQ(verification.checked, 1);
  ASSERT_EQ(verification.mismatches.size(), 1u) << "verify looks at the rows";
  EXPECT_EQ(verification.mismatches[0].recomputed.allowed, "99");
}

TEST(Report, IsTheSameForAllWhoSumItAtOnce) {
  Counting db({.limit = 8});
  ASSERT_TRUE(db.flush(batch(db.one, 0, 1, 5)).value().applied);
  db.store.run(db.store->close(1, id(1), false)).value();
  std::vector<std::future<tracker::Result<Report>>> reads;
  for (int i = 0; i < 8; ++i) reads.push_back(db.store.start(db.store->report(1)));
  const Report first = reads[0].get().value();
  for (std::size_t i = 1; i < reads.size(); ++i) EXPECT_EQ(reads[i].get().value(), first);
}

TEST(Reports, ListNewestFirstAndSumWhatNobodyHas) {
  Counting db;
  for (tracker::Lsn i = 0; i < 4; ++i) {
    ASSERT_TRUE(db.flush(batch(db.one, i, i + 1, i + 1)).value().applied);
    db.store.run(db.store->close(static_cast<tracker::PeriodId>(i) + 1, Uuid::random(), i == 1)).value();
  }
  const auto page = db.store.run(db.store->reports(2, std::nullopt)).value();
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(page[0].period, 4);
  EXPECT_EQ(page[0].allowed, "4");
  const auto rest = db.store.run(db.store->reports(50, page[1].period)).value();
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[0].period, 2);
  EXPECT_TRUE(rest[0].discarded);
  EXPECT_EQ(rest[0].allowed, "2") << "what was thrown away stays on record";
  EXPECT_TRUE(db.store.run(db.store->verify()).value().mismatches.empty());
}

TEST(Ledger, BalancesOverOpenClosedUnsummedDiscardedAndDuplicates) {
  Counting db;
  tracker::Lsn at = 0;
  const auto flush = [&](tracker::Sum allowed) {
    FlushBatch made = batch(db.one, at, at + 1, allowed, 1);
    made.effects = {effect(id(77), 3)};
    ASSERT_TRUE(db.flush(made).value().applied);
    ++at;
  };
  flush(10);
  db.close();
  flush(100);
  db.close(true);
  flush(1000);
  ASSERT_TRUE(db.store.run(db.store->discard_replica("replica-1", "test")));
  flush(10000);
  db.store.run(db.store->close(3, id(1), false)).value();  // not summed
  flush(100000);
  Ledger ledger = db.store.run(db.store->ledger()).value();
  EXPECT_TRUE(ledger.balanced);
  EXPECT_EQ(ledger.applied, "111130");
  EXPECT_EQ(ledger.reported, "10015");  // 10+1+3, 10000+1
  EXPECT_EQ(ledger.discarded, "1102");
  EXPECT_EQ(ledger.open, "100001");
  EXPECT_EQ(ledger.duplicates, "12");
  db.store.run(db.store->report(3)).value();
  EXPECT_EQ(db.store.run(db.store->ledger()).value().reported, "10015") << "summing changes nothing";
}

TEST(DiscardReplica, ThrowsAwayItsOpenFiguresOnly) {
  Counting db;
  db.register_stream(db.two, "replica-2");
  FlushBatch made = batch(db.one, 0, 1, 5);
  made.workspaces = {id(1)};
  ASSERT_TRUE(db.flush(made).value().applied);
  EXPECT_EQ(db.close().allowed, "5");
  made = batch(db.one, 1, 2, 50);
  made.workspaces = {id(1), id(2)};
  ASSERT_TRUE(db.flush(made).value().applied);
  FlushBatch other = batch(db.two, 0, 1, 500);
  other.workspaces = {id(2)};
  ASSERT_TRUE(db.flush(other).value().applied);
  ASSERT_TRUE(db.store.run(db.store->discard_replica("replica-1", "test")));
  FlushBatch after = batch(db.one, 2, 3, 7);
  after.workspaces = {id(3)};
  ASSERT_TRUE(db.flush(after).value().applied);
  const Report report = db.close();
  EXPECT_EQ(report.allowed, "507");
  EXPECT_EQ(report.unique_workspaces, 2);
  EXPECT_EQ(db.store.run(db.store->report(1)).value().allowed, "5");
  EXPECT_EQ(db.store.run(db.store->discard_replica("nobody", "test")).error(), Errc::not_found);
  EXPECT_EQ(db.database.query("SELECT detail->>'requests' FROM audit_log WHERE action = 'discard_replica'"), "50");
}

TEST(DiscardReplica, EndsTheGuardUnderWhichIdsWereLeftOut) {
  Counting db;
  FlushBatch made = batch(db.one, 0, 1, 5);
  made.workspaces = {id(1)};
  const FlushAnswer answer = db.flush(made).value();
  ASSERT_TRUE(db.store.run(db.store->discard_replica("replica-1", "test")));
  // Workspace 1 is left out, as confirmed before: it no longer is.
  FlushBatch next = batch(db.one, 1, 2, 7);
  next.guard = tracker::Guard{*answer.applied, answer.ids_epoch};
  EXPECT_FALSE(db.flush(next).value().applied);
  next.guard.reset();
  next.workspaces = {id(1)};
  EXPECT_TRUE(db.flush(next).value().applied);
  const Report report = db.close();
  EXPECT_EQ(report.allowed, "7");
  EXPECT_EQ(report.unique_workspaces, 1);
}

TEST(DiscardReplica, WaitsForAFlushInProgressAndTakesItToo) {
  Counting db;
  test::Session flusher(db.database.conninfo());
  flusher.query("BEGIN");
  flusher.query("SELECT * FROM tallyd.flush_v1('" + db.one.uuid.to_string() +
                "', 0, 1, '\\x0000000000000000', '\\x01', NULL, NULL, 7, 1, 7, 0, '{" + id(1).to_string() +
                "}', '{}', 0, 0, NULL, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')");
  auto discarding = db.store.start(db.store->discard_replica("replica-1", "test"));
  db.database.await_lock_waits(1);
  flusher.query("COMMIT");
  ASSERT_TRUE(discarding.get());
  const Report report = db.close();
  EXPECT_EQ(report.allowed, "0");
  EXPECT_EQ(report.unique_workspaces, 0);
  EXPECT_TRUE(db.balanced());
}

TEST(Summary, NamesTheReplicasItHasNotHeardFrom) {
  Counting db;
  db.store.run(db.store->register_replica("replica-2", "", "")).value();
  const std::int64_t now = db.store.run(db.store->clock()).value().database_time_us;
  db.store.run(db.store->heartbeat({.replica_id = "replica-1", .complete_as_of_us = now})).value();
  db.database.query("UPDATE replicas SET heartbeat_at = now() - interval '16 s' WHERE replica_id = 'replica-2'");
  const Summary summary = db.store.run(db.store->summary()).value();
  EXPECT_EQ(summary.as_of_us, now);
  EXPECT_THAT(summary.missing_replicas, ElementsAre("replica-2"));
}

TEST(Heartbeat, NeverMovesCompletenessBackOrAheadOfTheDatabase) {
  Counting db;
  const auto beat = [&](std::optional<std::int64_t> complete) {
    return db.store
        .run(db.store->heartbeat({.replica_id = "replica-1",
                                  .host = "h",
                                  .version = "1",
                                  .complete_as_of_us = complete,
                                  .unflushed_requests = 12}))
        .value();
  };
  const std::int64_t now = beat(std::nullopt).clock.database_time_us;
  EXPECT_TRUE(beat(now).known);
  beat(now - 1'000'000);
  const auto complete = [&] { return db.store.run(db.store->replicas()).value()[0].complete_as_of_us; };
  EXPECT_EQ(complete(), now);
  beat(now + 3'600'000'000);
  EXPECT_LT(complete(), now + 3'000'000'000);
  const Ledger ledger = db.store.run(db.store->ledger()).value();
  ASSERT_EQ(ledger.replicas.size(), 1u);
  EXPECT_EQ(ledger.replicas[0].unflushed, "12");
  EXPECT_LT(ledger.replicas[0].age_seconds, 60);
}

TEST(GiveUpStream, GivesUpAReplicaWithItsLastOpenStream) {
  Counting db;
  db.register_stream(db.two, "replica-1");
  ASSERT_TRUE(db.store.run(db.store->give_up_stream(db.one, "admin")));
  EXPECT_FALSE(db.store.run(db.store->replicas()).value()[0].given_up);
  ASSERT_TRUE(db.store.run(db.store->give_up_stream(db.two, "admin")));
  EXPECT_TRUE(db.store.run(db.store->replicas()).value()[0].given_up);
  EXPECT_EQ(db.store.run(db.store->give_up_stream({id(99)}, "admin")).error(), Errc::not_found);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM audit_log WHERE actor = 'admin'"), "2");
  EXPECT_EQ(db.store.run(db.store->streams()).value().size(), 2u);
}

TEST(ExpireReports, CarriesWhatTheySaidSoThatTheLedgerStillBalances) {
  Counting db;
  FlushBatch made = batch(db.one, 0, 1, 5);
  made.effects = {effect(id(1), 3)};
  ASSERT_TRUE(db.flush(made).value().applied);
  FlushBatch again = batch(db.one, 1, 2, 2);
  again.effects = {effect(id(1), 3)};
  ASSERT_TRUE(db.flush(again).value().applied);
  db.close();
  ASSERT_TRUE(db.flush(batch(db.one, 2, 3, 7)).value().applied);
  ASSERT_TRUE(db.store.run(db.store->close(2, id(9), true)).value());
  db.store.run(db.store->report(2)).value();
  ASSERT_TRUE(db.flush(batch(db.one, 3, 4, 11)).value().applied);
  const Ledger before = db.store.run(db.store->ledger()).value();
  EXPECT_EQ(db.store.run(db.store->expire_reports(std::chrono::hours(1), false)).value(), 0);
  db.database.query("UPDATE boundary_usage_reports SET ended_at = now() - interval '2 h'");
  EXPECT_EQ(db.store.run(db.store->expire_reports(std::chrono::hours(1), true)).value(), 0) << "not delivered";
  EXPECT_EQ(db.store.run(db.store->expire_reports(std::chrono::hours(1), false)).value(), 2);
  EXPECT_EQ(db.store.run(db.store->expire_reports(std::chrono::hours(1), false)).value(), 0);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM boundary_usage_reports"), "0");
  EXPECT_EQ(db.database.query("SELECT count(DISTINCT period_id) FROM boundary_usage_stats"), "1") << "the open one";
  const Ledger after = db.store.run(db.store->ledger()).value();
  EXPECT_TRUE(after.balanced);
  EXPECT_EQ(after.applied, before.applied);
  EXPECT_EQ(after.reported, before.reported);
  EXPECT_EQ(after.discarded, before.discarded);
  EXPECT_EQ(after.duplicates, before.duplicates);
  EXPECT_EQ(after.open, "11");
}

TEST(ExpireStreams, CarriesWhatEndedStreamsBroughtOnceTheirPeriodsAreGone) {
  Counting db;
  ASSERT_TRUE(db.flush(batch(db.one, 0, 1, 5)).value().applied);
  db.close();
  db.store.run(db.store->mark_drained(db.one, 1)).value();
  const auto expire = [&] { return db.store.run(db.store->expire_streams(std::chrono::hours(1))).value(); };
  db.database.query("UPDATE streams SET updated_at = now() - interval '2 h'");
  EXPECT_EQ(expire(), 0) << "verify still needs to know whose rows those are";
  db.database.query("UPDATE boundary_usage_reports SET ended_at = now() - interval '2 h'");
  UsageHistory history(db.store.pool());
  ASSERT_TRUE(db.store.run(history.retire_ids(std::chrono::hours(1))).value());
  db.database.query("UPDATE streams SET state = 0");
  EXPECT_EQ(expire(), 0) << "an open one stays, however old (M13)";
  db.database.query("UPDATE streams SET state = 1");
  EXPECT_EQ(expire(), 1);
  EXPECT_FALSE(db.store.run(db.store->read_stream(db.one)).value().has_value());
  const Ledger after = db.store.run(db.store->ledger()).value();
  EXPECT_TRUE(after.balanced);
  EXPECT_EQ(after.applied, "5");
  EXPECT_EQ(after.reported, "5");
}

TEST(Rebase, TakesANewClusterAndKeepsTheOpenFiguresInAReport) {
  Counting db;
  ASSERT_TRUE(db.flush(batch(db.one, 0, 1, 5)).value().applied);
  const std::string cluster = db.store.run(db.store->clock()).value().cluster_id;
  ASSERT_TRUE(db.store.run(db.store->rebase(10, "admin")));
  const ClockRow clock = db.store.run(db.store->clock()).value();
  EXPECT_EQ(clock.period, 10);
  EXPECT_NE(clock.cluster_id, cluster);
  EXPECT_EQ(db.store.run(db.store->report(1)).value().allowed, "5");
  EXPECT_TRUE(db.balanced());
}

TEST(View, ShowsTheOpenPeriodByReplica) {
  Counting db;
  db.register_stream(db.two, "replica-1");
  for (tracker::StreamId stream : {db.one, db.two}) {
    FlushBatch made = batch(stream, 0, 1, 5, 1);
    made.workspaces = {id(1), stream.uuid};
    made.users = {id(9)};
    ASSERT_TRUE(db.flush(made).value().applied);
  }
  EXPECT_EQ(db.database.query(
                "SELECT concat_ws('/', replica_id, unique_workspaces_count, unique_users_count, allowed_requests, "
                "denied_requests, window_start = (SELECT opened_at FROM period_clock), updated_at >= window_start) "
                "FROM boundary_usage_by_replica"),
            "replica-1/3/1/10/2/t/t");
  db.close();
  EXPECT_EQ(db.database.query("SELECT count(*) FROM boundary_usage_by_replica"), "0");
}

}  // namespace
}  // namespace tally::db
