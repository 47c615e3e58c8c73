// Costs of the statements of the counting core: db_bench CONNINFO
// The database is filled with schema tallyd and a table bench_peer; its server should have fsync on.
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstring>
#include <random>

#include "db/migrations.hpp"
#include "db/pg_store.hpp"

namespace {

using namespace tally;
using namespace std::chrono_literals;
using tracker::FlushBatch;
namespace asio = boost::asio;

constexpr int kRounds = 15;
constexpr int kPerRound = 100;

/// A clock the benchmark may read: the house rule allows no other.
const tracker::SystemClock kClock;

tracker::Uuid some_id(std::mt19937_64& random) {
  tracker::Uuid id;
  const std::uint64_t words[] = {random(), random()};
  std::memcpy(id.bytes.data(), words, sizeof words);
  return id;
}

/// One stream and its position.
struct Source {
  tracker::StreamId stream;
  tracker::Lsn at = 0;
  FlushBatch next() {
    FlushBatch batch;
    batch.stream = stream;
    batch.from = at;
    batch.to = at + 1;
    batch.chain_from = at;
    batch.chain_to = at + 1;
    batch.allowed = 3;
    batch.denied = 1;
    batch.increments = 2;
    batch.appended = {{kClock.wall().time_since_epoch().count() / 1000, 2}};
    ++at;
    return batch;
  }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double milliseconds_since(tracker::SteadyTime start) {
  return std::chrono::duration<double, std::milli>(kClock.steady() - start).count();
}

constexpr db::Query kPeer{"bench_peer", R"sql(
  INSERT INTO tallyd.bench_peer AS p (id, n) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = p.n + excluded.n
)sql"};

constexpr db::Query kTable{"bench_table", R"sql(
  CREATE TABLE IF NOT EXISTS tallyd.bench_peer (id bigint PRIMARY KEY, n numeric) WITH (fillfactor = 50)
)sql"};
constexpr db::Query kAnalyze{"bench_analyze", "ANALYZE tallyd.boundary_usage_ids"};

asio::awaitable<void> upsert(db::Pool& pool) {
  db::Params params;
  params.int8(1).int8(3);
  (co_await pool.fetch(kPeer, params, 10s)).value();
}

asio::awaitable<void> flush(db::PgStore& store, const FlushBatch& batch) {
  const auto answer = co_await store.flush(batch);
  if (!answer.value().applied) throw std::runtime_error("a flush was refused");
}

struct Shape {
  const char* name;
  int ids;
  int keys;
  int per_round;
};

constexpr Shape kShapes[] = {{"steady", 0, 0, kPerRound},
                             {"40 new ids", 40, 0, kPerRound},
                             {"100 keys", 0, 100, 20},
                             {"1,000 keys", 0, 1000, 4}};

asio::awaitable<void> measure_flush(db::Pool& pool) {
  db::PgStore store(pool);
  std::mt19937_64 random(1);
  Source source{{tracker::Uuid::random()}};
  (co_await store.register_stream(source.stream, "bench")).value();
  for (const Shape& shape : kShapes) {
    std::vector<double> ours, peer;
    for (int round = 0; round < kRounds; ++round) {
      for (int i = 0; i < shape.per_round; ++i) {
        FlushBatch batch = source.next();
        for (int id = 0; id < shape.ids; ++id) batch.workspaces.push_back(some_id(random));
        for (int key = 0; key < shape.keys; ++key) {
          tracker::KeyedEffect effect;
          effect.key = some_id(random);
          effect.allowed = 1;
          batch.effects.push_back(std::move(effect));
        }
        auto start = kClock.steady();
        co_await flush(store, batch);
        ours.push_back(milliseconds_since(start));
        start = kClock.steady();
        co_await upsert(pool);
        peer.push_back(milliseconds_since(start));
      }
    }
    const double mine = median(ours), theirs = median(peer);
    fmt::print("{:<12} flush {:7.3f} ms   one-row upsert {:7.3f} ms   ratio {:5.2f}\n", shape.name, mine, theirs,
               mine / theirs);
  }
}

/// `replicas` streams that each flushed `flushes` times `ids` ids out of `pool_size`, then one close and its report.
asio::awaitable<void> measure_report(db::Pool& pool, int replicas, int flushes, int ids, int population) {
  db::PgStore store(pool);
  constexpr db::Query kFillIds{"bench_fill", R"sql(
    WITH c AS (SELECT period_id FROM tallyd.period_clock),
    s AS (INSERT INTO tallyd.streams (stream_id, replica_id, applied_lsn)
          SELECT gen_random_uuid(), 'bench-' || r, $2 FROM generate_series(1, $1) r RETURNING stream_id),
    t AS (INSERT INTO tallyd.boundary_usage_stats (period_id, stream_id, allowed, denied, increments)
          SELECT c.period_id, s.stream_id, 10, 1, 11 FROM c, s)
    INSERT INTO tallyd.boundary_usage_ids (period_id, stream_id, lsn_to, workspaces, users)
    SELECT c.period_id, s.stream_id, f, q.ids, q.ids
      FROM c, s, generate_series(1, $2) f,
           LATERAL (SELECT ARRAY(SELECT md5(floor(random() * $4)::bigint::text)::uuid FROM generate_series(1, $3) WHERE f > 0 AND s.stream_id IS NOT NULL) AS ids) q
  )sql"};
  db::Params params;
  params.int8(replicas).int8(flushes).int8(ids).float8(population);
  (co_await pool.fetch(kFillIds, params, 600s)).value();
  const db::Params none;
  (co_await pool.fetch(kAnalyze, none, 600s)).value();
  const tracker::PeriodId period = (co_await store.clock()).value().period;
  auto start = kClock.steady();
  (co_await store.summary()).value();
  const double summary_ms = milliseconds_since(start);
  const tracker::Uuid request = tracker::Uuid::random();
  start = kClock.steady();
  (co_await store.close(period, request, false)).value();
  const double close_ms = milliseconds_since(start);
  start = kClock.steady();
  (co_await store.report(period)).value();
  const double report_ms = milliseconds_since(start);
  const tracker::Report summed = (co_await store.report(period)).value();
  fmt::print("{} replicas, {} flushes of {} ids: summary {:.0f} ms, close {:.1f} ms, report {:.0f} ms ({} unique)\n",
             replicas, flushes, ids, summary_ms, close_ms, report_ms, summed.unique_workspaces);
}

asio::awaitable<void> measure(asio::any_io_executor executor, std::string conninfo, db::Observer& observer) {
  db::PoolOptions options;
  options.conninfo = conninfo;
  options.limit = 1;
  db::Pool pool(executor, options, kClock, observer);
  (co_await db::migrate(pool)).value();
  const db::Params none;
  (co_await pool.fetch(kTable, none, 10s)).value();
  co_await measure_flush(pool);
  // Last: the server goes on writing for a while afterwards.
  co_await measure_report(pool, 1000, 10, 40, 20'000);
  co_await measure_report(pool, 1000, 60, 40, 1'000'000);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    fmt::print(stderr, "usage: db_bench CONNINFO\n");
    return 2;
  }
  asio::io_context context(1);
  db::Observer observer;
  int code = 0;
  asio::co_spawn(context, measure(context.get_executor(), arguments[1], observer), [&](std::exception_ptr failure) {
    try {
      if (failure) std::rethrow_exception(failure);
    } catch (const std::exception& problem) {
      fmt::print(stderr, "db_bench: {}\n", problem.what());
      code = 1;
    }
    context.stop();
  });
  context.run();
  return code;
}
