#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "tests/db/batches.hpp"

namespace tally::db {
namespace {

using tracker::FlushAnswer;
using tracker::FlushBatch;
using tracker::Lsn;
using tracker::PeriodId;
using tracker::Result;
using tracker::Uuid;

constexpr int kBatches = 120;
constexpr int kKeys = 400;  // shared by all drivers, so that most are met several times

Uuid number_id(std::uint8_t kind, std::uint64_t number) {
  Uuid uuid;
  uuid.bytes[0] = kind;
  for (int i = 0; i < 8; ++i)
    uuid.bytes[static_cast<std::size_t>(15 - i)] = static_cast<std::uint8_t>(number >> (8 * i));
  return uuid;
}

/// Sends batches of one stream by the rules of accounting.md section 5, F2 to F5, leaving confirmed ids out under the
/// guard.
class Driver {
 public:
  Driver(PgStore& store, tracker::StreamId stream, std::uint64_t seed)
      : store_(store), stream_(stream), random_(seed) {}

  boost::asio::awaitable<void> run() {
    for (int i = 0; i < kBatches; ++i) {
      make();
      co_await send();
    }
  }

  tracker::Sum unkeyed = 0;
  std::set<Uuid> keys;
  std::map<PeriodId, std::set<Uuid>> seen;  ///< ids of batches whose period is known
  int unknown = 0;
  int guard_refusals = 0;

 private:
  void make() {
    whole_ = batch(stream_, at_, at_ + 1, random_() % 5);
    for (int i = 0; i < 3; ++i) whole_.workspaces.push_back(number_id(1, random_() % 40));
    std::set<Uuid> own;
    for (int i = 0; i < 3; ++i) own.insert(number_id(2, random_() % kKeys));
    for (const Uuid& key : own) whole_.effects.push_back(effect(key, 1));
    unkeyed += whole_.allowed;
    keys.insert(own.begin(), own.end());
  }

  FlushBatch without_confirmed() const {
    FlushBatch sent = whole_;
    std::erase_if(sent.workspaces, [&](const Uuid& each) { return confirmed_.contains(each); });
    if (sent.workspaces.size() != whole_.workspaces.size()) sent.guard = guard_;
    return sent;
  }

  void confirm(const FlushAnswer& answer) {
    seen[*answer.applied].insert(whole_.workspaces.begin(), whole_.workspaces.end());
    if (guard_.period != *answer.applied || guard_.ids_epoch != answer.ids_epoch) confirmed_.clear();
    guard_.period = *answer.applied;
    guard_.ids_epoch = answer.ids_epoch;
    confirmed_.insert(whole_.workspaces.begin(), whole_.workspaces.end());
  }

  boost::asio::awaitable<void> send() {
    for (;;) {
      const FlushBatch sent = without_confirmed();
      const Result<FlushAnswer> answer = co_await store_.flush(sent);
      if (answer && answer->applied) {
        confirm(*answer);
        break;
      }
      if (answer && sent.guard && answer->clock != sent.guard->period) {
        ++guard_refusals;
        confirmed_.clear();
        continue;
      }
      ++unknown;
      const Lsn now = co_await read_back();
      if (now == sent.to) {
        confirmed_.clear();  // applied, but in which period?
        break;
      }
    }
    ++at_;
  }

  boost::asio::awaitable<Lsn> read_back() {
    for (;;) {
      const auto row = co_await store_.read_stream(stream_);
      if (row) co_return (*row)->applied_lsn;
    }
  }

  PgStore& store_;
  tracker::StreamId stream_;
  std::mt19937_64 random_;
  Lsn at_ = 0;
  FlushBatch whole_;
  std::set<Uuid> confirmed_;
  tracker::Guard guard_;
};

TEST(Stress, KillsAndClosesLoseAndDoubleNothing) {
  const std::uint64_t seed =
      std::getenv("TALLYD_TEST_SEED") ? std::stoull(std::getenv("TALLYD_TEST_SEED")) : std::random_device{}();
  SCOPED_TRACE("TALLYD_TEST_SEED=" + std::to_string(seed));
  PoolOptions options;
  options.limit = 6;
  options.longest_backoff = std::chrono::milliseconds(5);
  options.first_backoff = std::chrono::milliseconds(1);
  Counting db(options);
  std::vector<std::unique_ptr<Driver>> drivers;
  std::vector<std::future<void>> running;
  for (std::uint8_t i = 0; i < 4; ++i) {
    const tracker::StreamId stream{id(static_cast<std::uint8_t>(210 + i))};
    db.register_stream(stream, "replica-" + std::to_string(i % 3));
    drivers.push_back(std::make_unique<Driver>(*db.store, stream, seed + i));
  }
  for (auto& driver : drivers) running.push_back(db.store.start(driver->run()));

  test::Session disturber(db.database.conninfo());
  int rounds = 0;
  while (std::any_of(running.begin(), running.end(), [](auto& each) {
    return each.wait_for(std::chrono::milliseconds(3)) != std::future_status::ready;
  })) {
    disturber.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY random() LIMIT 1");
    if (++rounds % 4 == 0) {
      // As a close does it, in a session that is not killed.
      disturber.query(
          "WITH o AS MATERIALIZED (SELECT * FROM tallyd.period_clock WHERE one FOR UPDATE), m AS (UPDATE "
          "tallyd.period_clock c "
          "SET period_id = o.period_id + 1 FROM o WHERE c.one RETURNING 1) INSERT INTO tallyd.boundary_usage_reports "
          "(period_id, cluster_id, request_id, started_at, ended_at) SELECT period_id, cluster_id, gen_random_uuid(), "
          "opened_at, now() FROM o, m");
    }
  }
  for (auto& each : running) each.get();
  db.close();

  tracker::Sum expected = 0;
  std::set<Uuid> keys;
  std::map<PeriodId, std::set<Uuid>> seen;
  int unknown = 0, guard_refusals = 0;
  for (const auto& driver : drivers) {
    expected += driver->unkeyed;
    keys.insert(driver->keys.begin(), driver->keys.end());
    for (const auto& [period, ids] : driver->seen) seen[period].insert(ids.begin(), ids.end());
    unknown += driver->unknown;
    guard_refusals += driver->guard_refusals;
  }
  expected += keys.size();
  const auto reports = db.store.run(db.store->reports(500, std::nullopt)).value();
  EXPECT_EQ(db.database.query("SELECT sum(allowed) FROM boundary_usage_reports"), tracker::to_string(expected));
  EXPECT_EQ(db.database.query("SELECT count(*) FROM ingest_keys"), std::to_string(keys.size()));
  EXPECT_TRUE(db.balanced());
  EXPECT_TRUE(db.store.run(db.store->verify()).value().mismatches.empty());
  for (const tracker::Report& report : reports) {
    EXPECT_GE(report.unique_workspaces, static_cast<std::int64_t>(seen[report.period].size()))
        << "period " << report.period;
  }
  // Otherwise the test has not looked at what it is about.
  EXPECT_GT(unknown, 0);
  EXPECT_GT(guard_refusals, 0);
  EXPECT_GT(reports.size(), 3u);
}

}  // namespace
}  // namespace tally::db
