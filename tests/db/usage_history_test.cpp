#include "db/usage_history.hpp"

#include <gtest/gtest.h>

#include "tests/db/batches.hpp"
#include "tracker/sketch.hpp"

namespace tally::db {
namespace {

using namespace std::chrono_literals;

/// Closed periods at chosen times.
struct History : Counting {
  UsageHistory history{store.pool()};
  tracker::Lsn at = 0;

  /// Closes a period in which these workspaces made one request each, and moves it to `start` (SQL).
  void period(const std::string& start, const std::vector<tracker::Uuid>& workspaces, bool discard = false) {
    FlushBatchOf made(one, at, workspaces);
    ++at;
    EXPECT_TRUE(flush(made.batch).value().applied);
    const tracker::Report report = close(discard);
    database.query("UPDATE boundary_usage_reports SET started_at = '" + start + "', ended_at = timestamptz '" + start +
                   "' + interval '30 min' WHERE period_id = " + std::to_string(report.period));
  }
  std::vector<HistoryEntry> read(HistoryStep step) {
    return store.run(history.read(1'767'225'600'000'000, 1'772'323'200'000'000, step)).value();  // 2026-01-01 to 03-01
  }
  void retire_all() {
    while (store.run(history.retire_ids(0s)).value()) {
    }
  }

 private:
  struct FlushBatchOf {
    FlushBatchOf(tracker::StreamId stream, tracker::Lsn from, const std::vector<tracker::Uuid>& ids)
        : batch(tally::db::batch(stream, from, from + 1, ids.size())) {
      batch.workspaces = ids;
      batch.users = {id(99)};
    }
    tracker::FlushBatch batch;
  };
};

std::vector<tracker::Uuid> ids(int from, int to) {
  std::vector<tracker::Uuid> all;
  for (int i = from; i < to; ++i) {
    tracker::Uuid made = id(7);
    made.bytes[1] = static_cast<std::uint8_t>(i);
    made.bytes[2] = static_cast<std::uint8_t>(i >> 8);
    all.push_back(made);
  }
  return all;
}

TEST(UsageHistory, AddsUpTheDaysWeeksAndMonthsInWhichPeriodsBegan) {
  History db;
  db.period("2026-01-05 10:00Z", ids(0, 10));
  db.period("2026-01-05 23:45Z", ids(5, 15));
  db.period("2026-01-11 00:00Z", ids(0, 3));
  db.period("2026-02-01 00:00Z", ids(0, 1));
  const auto days = db.read(HistoryStep::day);
  ASSERT_EQ(days.size(), 4u - 1);
  EXPECT_EQ(days[0].periods, 2);
  EXPECT_EQ(days[0].allowed, "20");
  EXPECT_EQ(days[0].unique_workspaces, 15) << "of both together";
  EXPECT_EQ(days[0].unique_users, 1);
  EXPECT_EQ(days[0].end_us - days[0].start_us, 86'400'000'000);
  const auto weeks = db.read(HistoryStep::week);
  ASSERT_EQ(weeks.size(), 2u);
  EXPECT_EQ(weeks[0].periods, 3) << "Monday to Sunday";
  const auto months = db.read(HistoryStep::month);
  ASSERT_EQ(months.size(), 2u);
  EXPECT_EQ(months[0].unique_workspaces, 15);
  EXPECT_EQ(months[1].unique_workspaces, 1);
  for (const auto& entry : months) EXPECT_TRUE(entry.exact);
}

TEST(UsageHistory, LeavesOutWhatWasDiscardedOrLiesOutside) {
  History db;
  db.period("2026-01-05 10:00Z", ids(0, 10), true);
  db.period("2025-12-31 23:59Z", ids(0, 10));
  db.period("2026-03-01 00:00Z", ids(0, 10));
  EXPECT_TRUE(db.read(HistoryStep::month).empty());
}

TEST(UsageHistory, EstimatesFromSketchesOnceTheIdsAreGoneAndSaysSo) {
  History db;
  db.period("2026-01-05 10:00Z", ids(0, 2000));
  db.period("2026-01-05 11:00Z", ids(1000, 3000));
  db.period("2026-01-07 11:00Z", ids(0, 100));
  db.retire_all();
  EXPECT_EQ(db.database.query("SELECT count(*) FROM boundary_usage_ids"), "0");
  const auto days = db.read(HistoryStep::day);
  ASSERT_EQ(days.size(), 2u);
  EXPECT_FALSE(days[0].exact);
  EXPECT_NEAR(static_cast<double>(days[0].unique_workspaces), 3000, 3000 * 5 * tracker::Sketch::kRelativeError);
  EXPECT_EQ(days[0].unique_users, 1);
  EXPECT_EQ(days[0].allowed, "4000") << "sums are always exact";
  EXPECT_TRUE(days[1].exact) << "a period alone is its report";
  EXPECT_EQ(days[1].unique_workspaces, 100);
}

TEST(UsageHistory, JoinsSketchesWithIdsThatAreStillThere) {
  History db;
  db.period("2026-01-05 10:00Z", ids(0, 1000));
  db.period("2026-01-05 11:00Z", ids(500, 1500));
  EXPECT_TRUE(db.store.run(db.history.retire_ids(0s)).value());
  const auto days = db.read(HistoryStep::day);
  ASSERT_EQ(days.size(), 1u);
  EXPECT_FALSE(days[0].exact);
  EXPECT_NEAR(static_cast<double>(days[0].unique_workspaces), 1500, 1500 * 5 * tracker::Sketch::kRelativeError);
}

TEST(RetireIds, RemovesRowsOfOldReportsAndTheLedgerStillBalances) {
  History db;
  db.period("2026-01-05 10:00Z", ids(0, 3));
  EXPECT_TRUE(db.store.run(db.history.retire_ids(0s)).value());
  EXPECT_FALSE(db.store.run(db.history.retire_ids(0s)).value());
  EXPECT_EQ(db.store.run(db.store->report(1)).value().unique_workspaces, 3);
  EXPECT_TRUE(db.balanced());
  const Verification verification = db.store.run(db.store->verify()).value();
  EXPECT_EQ(verification.checked, 0);
  EXPECT_EQ(verification.not_covered, 1);
}

TEST(RetireIds, KeepsWhatIsWithinItsRetention) {
  History db;
  db.period("2026-01-05 10:00Z", ids(0, 3));
  db.database.query("UPDATE boundary_usage_reports SET ended_at = now() - interval '2 h'");
  EXPECT_FALSE(db.store.run(db.history.retire_ids(3h)).value());
  EXPECT_TRUE(db.store.run(db.history.retire_ids(1h)).value());
}

}  // namespace
}  // namespace tally::db
