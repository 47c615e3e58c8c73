#include "db/usage_history.hpp"

#include <algorithm>
#include <cmath>

#include "db/detail/on_pool.hpp"
#include "tracker/sketch.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Errc;
using tracker::PeriodId;
using tracker::Result;
using tracker::Sketch;

namespace {

constexpr Query kSteps{"history_steps", R"sql(
  WITH chosen AS (
    SELECT r.*, date_trunc($3, r.started_at AT TIME ZONE 'UTC') AS step
      FROM tallyd.boundary_usage_reports r
     WHERE r.started_at >= $1 AND r.started_at < $2 AND NOT r.discarded AND r.summed_at IS NOT NULL)
  SELECT step AT TIME ZONE 'UTC', (step + ('1 ' || $3)::interval) AT TIME ZONE 'UTC', count(*),
         sum(allowed)::text, sum(denied)::text, max(unique_workspaces), max(unique_users),
         count(*) FILTER (WHERE ids_purged_at IS NOT NULL)
    FROM chosen GROUP BY step ORDER BY step
)sql",
                       true};

constexpr Query kDistinct{"history_distinct", R"sql(
  WITH chosen AS MATERIALIZED (
    SELECT period_id, ids_purged_at FROM tallyd.boundary_usage_reports
     WHERE started_at >= $1 AND started_at < $2 AND NOT discarded AND summed_at IS NOT NULL)
  SELECT (SELECT count(*) FROM (SELECT DISTINCT unnest(i.workspaces) FROM tallyd.boundary_usage_ids i JOIN chosen USING (period_id)) q),
         (SELECT count(*) FROM (SELECT DISTINCT unnest(i.users) FROM tallyd.boundary_usage_ids i JOIN chosen USING (period_id)) q),
         (SELECT count(*) FROM chosen WHERE ids_purged_at IS NOT NULL)
)sql",
                          true};

constexpr Query kMembers{"history_members", R"sql(
  SELECT period_id, ids_purged_at IS NOT NULL, workspaces_sketch, users_sketch
    FROM tallyd.boundary_usage_reports
   WHERE started_at >= $1 AND started_at < $2 AND NOT discarded AND summed_at IS NOT NULL AND period_id > $3
   ORDER BY period_id LIMIT 100
)sql",
                         true};

constexpr Query kSketches{"period_sketches", R"sql(
  SELECT workspaces_sketch, users_sketch FROM tallyd.boundary_usage_reports
   WHERE period_id = $1 AND ids_purged_at IS NOT NULL
)sql",
                          true};

/// The rows of a closed period are frozen, so pages of them are one snapshot.
constexpr Query kIds{"period_ids", R"sql(
  SELECT stream_id, lsn_to, workspaces, users FROM tallyd.boundary_usage_ids
   WHERE period_id = $1 AND (stream_id, lsn_to) > ($2, $3) ORDER BY stream_id, lsn_to LIMIT 8
)sql",
                     true};

constexpr Query kRetirable{"retirable_period", R"sql(
  SELECT period_id FROM tallyd.boundary_usage_reports
   WHERE summed_at IS NOT NULL AND ids_purged_at IS NULL AND ended_at < now() - make_interval(secs => $1)
   ORDER BY period_id LIMIT 1
)sql",
                           true};

constexpr Query kRetire{"retire_ids", R"sql(
  WITH old AS (
    SELECT period_id FROM tallyd.boundary_usage_reports WHERE period_id = $1 AND ids_purged_at IS NULL FOR UPDATE),
  ids AS (DELETE FROM tallyd.boundary_usage_ids i USING old WHERE i.period_id = old.period_id),
  stats AS (DELETE FROM tallyd.boundary_usage_stats t USING old WHERE t.period_id = old.period_id)
  UPDATE tallyd.boundary_usage_reports r SET ids_purged_at = now(), workspaces_sketch = $2, users_sketch = $3
    FROM old WHERE r.period_id = old.period_id
)sql",
                        true};

struct Sketches {
  Sketch workspaces;
  Sketch users;
};

std::string_view text_of(HistoryStep step) {
  switch (step) {
    case HistoryStep::day:
      return "day";
    case HistoryStep::week:
      return "week";
    case HistoryStep::month:
      return "month";
  }
  return "day";
}

HistoryEntry to_entry(const Rows& rows, int row) {
  HistoryEntry entry;
  entry.start_us = rows.timestamp_us(row, 0);
  entry.end_us = rows.timestamp_us(row, 1);
  entry.periods = rows.integer(row, 2);
  entry.allowed = rows.text(row, 3);
  entry.denied = rows.text(row, 4);
  entry.unique_workspaces = rows.integer(row, 5);
  entry.unique_users = rows.integer(row, 6);
  return entry;
}

/// Adds what a page holds and answers where it ends.
void add_ids(const Rows& rows, Sketches& sketches) {
  for (int i = 0; i < rows.size(); ++i) {
    for (const tracker::Uuid& id : rows.uuids(i, 2)) sketches.workspaces.add(id);
    for (const tracker::Uuid& id : rows.uuids(i, 3)) sketches.users.add(id);
  }
}

asio::awaitable<Result<void>> add_period(Pool& pool, PeriodId period, Sketches& sketches, StoreTimeouts timeouts) {
  tracker::Uuid stream;
  std::int64_t lsn = -1;
  for (;;) {
    const Params params = std::move(Params().int8(period).uuid(stream).int8(lsn));
    Result<Rows> rows = co_await pool.fetch(kIds, params, timeouts.sum);
    if (!rows) co_return rows.error();
    if (rows->empty()) co_return Result<void>();
    add_ids(*rows, sketches);
    stream = rows->uuid(rows->size() - 1, 0);
    lsn = rows->integer(rows->size() - 1, 1);
  }
}

Params window(std::int64_t from_us, std::int64_t to_us) {
  Params params;
  params.timestamptz(from_us).timestamptz(to_us);
  return params;
}

/// A sketch that is not there or not readable counts as empty: the estimate is then too low, and it says so of itself.
void merge_stored(const Rows& rows, int row, int column, Sketch& into) {
  if (rows.is_null(row, column)) return;
  if (const auto stored = Sketch::decode(rows.text(row, column))) into.merge(*stored);
}

asio::awaitable<Result<void>> estimate(Pool& pool, std::int64_t from_us, std::int64_t to_us, HistoryEntry& entry,
                                       StoreTimeouts timeouts) {
  Sketches sketches;
  for (PeriodId after = -1;;) {
    Params params = window(from_us, to_us);
    params.int8(after);
    Result<Rows> rows = co_await pool.fetch(kMembers, params, timeouts.sum);
    if (!rows) co_return rows.error();
    if (rows->empty()) break;
    for (int i = 0; i < rows->size(); ++i) {
      after = rows->integer(i, 0);
      merge_stored(*rows, i, 2, sketches.workspaces);
      merge_stored(*rows, i, 3, sketches.users);
      if (rows->boolean(i, 1)) continue;
      Result<void> added = co_await add_period(pool, after, sketches, timeouts);
      if (!added) co_return added.error();
      // Its ids may have gone while they were read; then its sketch is there.
      const Params which = std::move(Params().int8(after));
      Result<Rows> retired = co_await pool.fetch(kSketches, which, timeouts.read);
      if (!retired) co_return retired.error();
      if (retired->empty()) continue;
      merge_stored(*retired, 0, 0, sketches.workspaces);
      merge_stored(*retired, 0, 1, sketches.users);
    }
  }
  entry.exact = false;
  entry.unique_workspaces = std::llround(sketches.workspaces.estimate());
  entry.unique_users = std::llround(sketches.users.estimate());
  co_return Result<void>();
}

/// False: ids of some have gone, and only an estimate is left.
asio::awaitable<Result<bool>> count(Pool& pool, std::int64_t from_us, std::int64_t to_us, HistoryEntry& entry,
                                    StoreTimeouts timeouts) {
  const Params params = window(from_us, to_us);
  Result<Rows> rows = co_await pool.fetch(kDistinct, params, timeouts.sum);
  if (!rows) co_return detail::failed_bool(rows.error());
  if (rows->integer(0, 2) > 0) co_return false;
  entry.unique_workspaces = rows->integer(0, 0);
  entry.unique_users = rows->integer(0, 1);
  co_return true;
}

asio::awaitable<Result<std::vector<HistoryEntry>>> run_read(Pool& pool, std::int64_t from_us, std::int64_t to_us,
                                                            HistoryStep step, StoreTimeouts timeouts) {
  Params params = window(from_us, to_us);
  params.text(text_of(step));
  Result<Rows> rows = co_await pool.fetch(kSteps, params, timeouts.sum);
  if (!rows) co_return rows.error();
  std::vector<HistoryEntry> entries;
  for (int i = 0; i < rows->size(); ++i) {
    HistoryEntry entry = to_entry(*rows, i);
    const std::int64_t begin = std::max(from_us, entry.start_us), end = std::min(to_us, entry.end_us);
    // The figures of a period alone are its report's, for ever exact.
    if (entry.periods > 1) {
      Result<bool> counted = false;
      if (rows->integer(i, 7) == 0) counted = co_await count(pool, begin, end, entry, timeouts);
      if (!counted) co_return counted.error();
      if (!*counted) {
        Result<void> estimated = co_await estimate(pool, begin, end, entry, timeouts);
        if (!estimated) co_return estimated.error();
      }
    }
    entries.push_back(std::move(entry));
  }
  co_return entries;
}

asio::awaitable<Result<bool>> run_retire(Pool& pool, std::chrono::seconds retention, StoreTimeouts timeouts) {
  const Params age = std::move(Params().float8(static_cast<double>(retention.count())));
  Result<Rows> old = co_await pool.fetch(kRetirable, age, timeouts.read);
  if (!old) co_return detail::failed_bool(old.error());
  if (old->empty()) co_return false;
  const PeriodId period = old->integer(0, 0);
  Sketches sketches;
  Result<void> added = co_await add_period(pool, period, sketches, timeouts);
  if (!added) co_return detail::failed_bool(added.error());
  const std::string workspaces = sketches.workspaces.encode(), users = sketches.users.encode();
  Params params;
  params.int8(period);
  for (const std::string* bytes : {&workspaces, &users})
    params.bytea({reinterpret_cast<const std::uint8_t*>(bytes->data()), bytes->size()});
  Result<Rows> gone = co_await pool.fetch(kRetire, params, timeouts.sum);
  if (!gone) co_return detail::failed_bool(gone.error());
  co_return gone->affected() > 0;
}

}  // namespace

UsageHistory::Async<std::vector<HistoryEntry>> UsageHistory::read(std::int64_t from_us, std::int64_t to_us,
                                                                  HistoryStep step) {
  return detail::on_pool(pool_, run_read(pool_, from_us, to_us, step, timeouts_));
}

UsageHistory::Async<bool> UsageHistory::retire_ids(std::chrono::seconds retention) {
  return detail::on_pool(pool_, run_retire(pool_, retention, timeouts_));
}

}  // namespace tally::db
