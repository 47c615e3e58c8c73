#include "db/report_delivery.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/db/batches.hpp"

namespace tally::db {
namespace {

using namespace std::chrono_literals;

/// Closed periods, and what delivers them.
struct Delivering : Counting {
  ReportDelivery delivery{store.pool()};

  std::optional<LeasedReport> lease(const std::string& holder, std::chrono::milliseconds lease = 15s) {
    return store.run(delivery.lease(holder, lease)).value();
  }
  tracker::PeriodId leased_period(const std::string& holder) {
    const auto leased = lease(holder);
    return leased ? leased->period : 0;
  }
  void fail(LeasedReport leased, const std::string& holder, std::chrono::milliseconds wait) {
    store.run(delivery.failed(leased, holder, wait, "answered 500")).value();
  }
  std::string column(const std::string& name, tracker::PeriodId period = 1) {
    return database.query("SELECT " + name +
                          " FROM boundary_usage_reports WHERE period_id = " + std::to_string(period));
  }
};

TEST(ReportDelivery, LeasesTheOldestFirstAndEachToOneHolder) {
  Delivering db;
  for (int i = 0; i < 3; ++i) db.close();
  EXPECT_EQ(db.leased_period("a"), 1);
  EXPECT_EQ(db.leased_period("b"), 2);
  EXPECT_EQ(db.leased_period("a"), 3);
  EXPECT_EQ(db.leased_period("b"), 0);
}

TEST(ReportDelivery, LeasesNothingThatIsNotSummed) {
  Delivering db;
  db.store.run(db.store->close(1, id(1), false)).value();
  EXPECT_FALSE(db.lease("a"));
  EXPECT_TRUE(db.store.run(db.store->sum_closed()).has_value());
  EXPECT_EQ(db.leased_period("a"), 1);
}

TEST(ReportDelivery, PassesOverWhatAnotherTransactionHoldsInsteadOfWaiting) {
  Delivering db;
  db.close();
  db.close();
  test::Session other(db.database.conninfo());
  other.query("BEGIN");
  other.query("SELECT * FROM tallyd.boundary_usage_reports WHERE period_id = 1 FOR UPDATE");
  EXPECT_EQ(db.leased_period("a"), 2);
}

TEST(ReportDelivery, GoesToAnotherOnceTheLeaseHasRunOut_BU12) {
  Delivering db;
  db.close();
  EXPECT_EQ(db.lease("a")->attempt, 1);
  db.database.query("UPDATE boundary_usage_reports SET leased_until = now()");
  EXPECT_EQ(db.lease("b")->attempt, 2);
}

TEST(ReportDelivery, AHolderWhoseLeaseRanOutUndoesNothing) {
  Delivering db;
  db.close();
  const LeasedReport old = *db.lease("a");
  db.database.query("UPDATE boundary_usage_reports SET leased_until = now()");
  const LeasedReport current = *db.lease("a");
  db.fail(old, "a", 0ms);
  db.store.run(db.delivery.give_back(old, "a")).value();
  EXPECT_FALSE(db.lease("b")) << "the lease still holds";
  EXPECT_TRUE(db.store.run(db.delivery.delivered(current.period)).value());
  db.fail(current, "a", 0ms);
  EXPECT_FALSE(db.lease("b")) << "what was delivered stays so";
  EXPECT_FALSE(db.store.run(db.delivery.delivered(current.period)).value()) << "known already";
}

TEST(ReportDelivery, WaitsInBackoffWithoutDelayingOthers) {
  Delivering db;
  db.close();
  db.close();
  const LeasedReport first = *db.lease("a");
  db.fail(first, "a", 1h);
  EXPECT_EQ(db.leased_period("a"), 2);
  EXPECT_EQ(db.leased_period("a"), 0);
  EXPECT_EQ(db.column("last_error"), "answered 500");
  db.database.query("UPDATE boundary_usage_reports SET next_attempt_at = now()");
  EXPECT_EQ(db.leased_period("b"), 1);
}

TEST(ReportDelivery, SaysSinceWhenItFails) {
  Delivering db;
  EXPECT_EQ(db.store.run(db.delivery.undelivered()).value().count, 0);
  db.close();
  EXPECT_FALSE(db.store.run(db.delivery.undelivered()).value().failing_since_us) << "not delivered is not failing";
  db.fail(*db.lease("a"), "a", 0ms);
  const std::string since = db.column("first_failed_at");
  db.fail(*db.lease("a"), "a", 0ms);
  EXPECT_EQ(db.column("first_failed_at"), since) << "the first failure stays";
  const UndeliveredReports now = db.store.run(db.delivery.undelivered()).value();
  EXPECT_EQ(now.count, 1);
  EXPECT_TRUE(now.failing_since_us);
  EXPECT_EQ(now.last_error, "answered 500");
  db.store.run(db.delivery.delivered(1)).value();
  EXPECT_FALSE(db.store.run(db.delivery.undelivered()).value().failing_since_us);
}

TEST(ReportDelivery, AReportGivenBackIsDueAtOnceAndHasLostNoAttempt) {
  Delivering db;
  db.close();
  db.store.run(db.delivery.give_back(*db.lease("a"), "a")).value();
  EXPECT_EQ(db.lease("b")->attempt, 1);
}

TEST(Report, SaysWhatEachReplicaBroughtAndItsRecomputationAgrees_BU15) {
  Delivering db;
  db.register_stream(db.two, "replica-2");
  ASSERT_TRUE(db.flush(batch(db.one, 0, 1, 5, 1)).value().applied);
  ASSERT_TRUE(db.flush(batch(db.two, 0, 2, 7)).value().applied);
  const tracker::Report report = db.close();
  EXPECT_THAT(report.coverage, testing::HasSubstr(R"("replica_id": "replica-1")"));
  EXPECT_THAT(report.coverage, testing::HasSubstr(R"("allowed_requests": 7)"));
  EXPECT_THAT(report.coverage, testing::HasSubstr("first_batch_at"));
  const Verification verification = db.store.run(db.store->verify()).value();
  EXPECT_EQ(verification.checked, 1);
  EXPECT_TRUE(verification.mismatches.empty());
}

}  // namespace
}  // namespace tally::db
