#include "db/detail/on_pool.hpp"
#include "db/pg_store.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Errc;
using tracker::PeriodId;
using tracker::Report;
using tracker::Result;

namespace {

/// C1. The new period opens when the lock is held, not when the statement began.
constexpr Query kClose{"close_period", R"sql(
  WITH old AS MATERIALIZED (
    SELECT period_id, cluster_id, opened_at FROM tallyd.period_clock
     WHERE one
       AND period_id = $1  -- [C1: AND $1::bigint IS NOT NULL]
       FOR UPDATE),
  moved AS (
    UPDATE tallyd.period_clock c
       SET period_id = old.period_id + 1, opened_at = greatest(clock_timestamp(), old.opened_at)
      FROM old WHERE c.one
    RETURNING c.opened_at AS closed_at)
  INSERT INTO tallyd.boundary_usage_reports (period_id, cluster_id, request_id, started_at, ended_at, discarded
  -- [M2: , allowed, denied, unique_workspaces, unique_users, summed_at]
  )
  SELECT old.period_id, old.cluster_id, $2, old.opened_at, moved.closed_at, $3
  -- [M2: , f.allowed, f.denied, f.unique_workspaces, f.unique_users, now()]
    FROM old, moved
  -- [M2: , LATERAL tallyd.period_figures($1) f]
  RETURNING period_id
)sql"};

/// Which request closed it; nothing: not a closed period.
constexpr Query kWhoClosed{"who_closed", R"sql(
  SELECT request_id FROM tallyd.boundary_usage_reports WHERE period_id = $1
)sql",
                           true};

constexpr Query kClosedBy{"closed_by", R"sql(
  SELECT period_id FROM tallyd.boundary_usage_reports WHERE request_id = $1 ORDER BY period_id DESC LIMIT 1
)sql",
                          true};

constexpr Query kDue{"period_due", R"sql(
  SELECT period_id FROM tallyd.period_clock
   WHERE one AND period_seconds > 0 AND opened_at + make_interval(secs => period_seconds) <= clock_timestamp()
)sql",
                     true};

constexpr Query kGetReport{"get_report", R"sql(
  SELECT period_id, cluster_id::text, started_at, ended_at, replicas, allowed::text, denied::text, late_increments::text,
         unique_workspaces, unique_users, discarded, summed_at IS NOT NULL, coverage::text
    FROM tallyd.boundary_usage_reports WHERE period_id = $1
)sql",
                           true};

constexpr Query kListReports{"list_reports", R"sql(
  SELECT period_id, cluster_id::text, started_at, ended_at, replicas, allowed::text, denied::text, late_increments::text,
         unique_workspaces, unique_users, discarded, summed_at IS NOT NULL, coverage::text
    FROM tallyd.boundary_usage_reports WHERE period_id < $1 ORDER BY period_id DESC LIMIT $2
)sql",
                             true};

constexpr Query kUnsummed{"unsummed_reports", R"sql(
  SELECT period_id FROM tallyd.boundary_usage_reports WHERE summed_at IS NULL ORDER BY period_id LIMIT 100
)sql",
                          true};

/// C3, first half: the period is frozen, so that reading and writing its figures need not be one statement. `ended_at`
/// ties the two halves to the same close.
constexpr Query kSum{"sum_period", R"sql(
  SELECT r.ended_at, f.replicas, f.allowed::text, f.denied::text, f.dup_allowed::text, f.dup_denied::text,
         f.thrown_away::text, f.increments, f.late_increments, f.unique_workspaces, f.unique_users
    FROM tallyd.boundary_usage_reports r, tallyd.period_figures($1) f
   WHERE r.period_id = $1 AND r.summed_at IS NULL
)sql",
                     true};

constexpr Query kKeepSum{"keep_sum", R"sql(
  UPDATE tallyd.boundary_usage_reports
     SET summed_at = now(), replicas = $3, allowed = $4::text::numeric, denied = $5::text::numeric,
         dup_allowed = $6::text::numeric, dup_denied = $7::text::numeric, thrown_away = $8::text::numeric,
         increments = $9, late_increments = $10, unique_workspaces = $11, unique_users = $12,
         coverage = tallyd.period_coverage($1)
   WHERE period_id = $1 AND ended_at = $2 AND summed_at IS NULL
)sql",
                         true};

constexpr Query kClock{"read_clock", R"sql(
  SELECT c.period_id, c.cluster_id::text, c.opened_at, c.period_seconds, now(), v.version
    FROM tallyd.period_clock c, tallyd.rights_version v WHERE c.one AND v.one
)sql",
                       true};

constexpr Query kAdoptLength{"adopt_period_length", R"sql(
  WITH kept AS (
    UPDATE tallyd.period_clock SET period_seconds = $1 WHERE one AND period_seconds IS NULL RETURNING period_seconds)
  SELECT coalesce((SELECT period_seconds FROM kept), (SELECT period_seconds FROM tallyd.period_clock WHERE one), $1)
)sql",
                             true};

constexpr Query kSetLength{"set_period_length", R"sql(
  UPDATE tallyd.period_clock SET period_seconds = $1 WHERE one
)sql",
                           true};

/// as_of: what live replicas acknowledged before it is in. Heard from within 15 s is live.
constexpr Query kSummary{"summary", R"sql(
  SELECT c.period_id, c.opened_at,
         coalesce((SELECT min(r.complete_as_of) FROM tallyd.replicas r
                    WHERE NOT r.given_up AND r.heartbeat_at >= now() - interval '15 s'), c.opened_at),
         f.replicas, f.allowed::text, f.denied::text, f.unique_workspaces, f.unique_users,
         ARRAY(SELECT r.replica_id FROM tallyd.replicas r
                WHERE NOT r.given_up AND r.heartbeat_at < now() - interval '15 s' ORDER BY r.replica_id)
    FROM tallyd.period_clock c, LATERAL tallyd.period_figures(c.period_id) f
   WHERE c.one
)sql",
                         true};

constexpr Query kVerifiable{"verifiable_reports", R"sql(
  SELECT period_id FROM tallyd.boundary_usage_reports
   WHERE summed_at IS NOT NULL AND ids_purged_at IS NULL ORDER BY period_id
)sql",
                            true};

constexpr Query kNotCovered{"uncovered_reports", R"sql(
  SELECT count(*) FROM tallyd.boundary_usage_reports WHERE summed_at IS NOT NULL AND ids_purged_at IS NOT NULL
)sql",
                            true};

constexpr Query kRecompute{"recompute_report", R"sql(
  SELECT r.period_id, r.cluster_id::text, r.started_at, r.ended_at, f.replicas, f.allowed::text, f.denied::text,
         f.late_increments::text, f.unique_workspaces, f.unique_users, r.discarded, true,
         tallyd.period_coverage($1)::text
    FROM tallyd.boundary_usage_reports r, LATERAL tallyd.period_figures(r.period_id) f
   WHERE r.period_id = $1 AND r.ids_purged_at IS NULL
)sql",
                           true};

/// For the transaction only: unique ids of a busy period are counted in memory instead of on disk.
constexpr Query kMoreMemory{"more_memory", R"sql(
  SELECT set_config('work_mem', '128MB', true)
)sql",
                            true};

/// A query over all ids of a period.
asio::awaitable<Result<Rows>> fetch_large(Pool& pool, const Query& query, Params params,
                                          std::chrono::milliseconds timeout) {
  std::vector<Statement> statements(2);
  statements[0].query = &kMoreMemory;
  statements[1].query = &query;
  statements[1].params = std::move(params);
  Result<std::vector<Rows>> answers = co_await pool.transact(statements, timeout);
  if (!answers) co_return answers.error();
  co_return std::move(answers->back());
}

struct StoredReport {
  Report report;
  bool summed;
};

StoredReport to_report(const Rows& rows, int row) {
  Report report;
  report.period = rows.integer(row, 0);
  report.cluster_id = rows.text(row, 1);
  report.started_at_us = rows.timestamp_us(row, 2);
  report.ended_at_us = rows.timestamp_us(row, 3);
  report.replicas = rows.integer(row, 4);
  report.allowed = rows.text(row, 5);
  report.denied = rows.text(row, 6);
  report.late_increments = rows.text(row, 7);
  report.unique_workspaces = rows.integer(row, 8);
  report.unique_users = rows.integer(row, 9);
  report.discarded = rows.boolean(row, 10);
  report.coverage = rows.text(row, 12);
  return {std::move(report), rows.boolean(row, 11)};
}

ClockRow to_clock(const Rows& rows) {
  ClockRow clock;
  clock.period = rows.integer(0, 0);
  clock.cluster_id = rows.text(0, 1);
  clock.opened_at_us = rows.timestamp_us(0, 2);
  clock.period_seconds = rows.maybe_integer(0, 3);
  clock.database_time_us = rows.timestamp_us(0, 4);
  clock.rights_version = rows.integer(0, 5);
  return clock;
}

asio::awaitable<Result<bool>> run_close(Pool& pool, PeriodId expected, tracker::Uuid request, bool discard,
                                        StoreTimeouts timeouts) {
  const Params params = std::move(Params().int8(expected).uuid(request).boolean(discard));
  Result<Rows> moved = co_await pool.fetch(kClose, params, timeouts.write);
  if (!moved) co_return detail::failed_bool(moved.error());
  if (!moved->empty()) co_return true;
  // C2: somebody closed it; perhaps we did, in an attempt whose answer was lost.
  const Params period = std::move(Params().int8(expected));
  Result<Rows> closer = co_await pool.fetch(kWhoClosed, period, timeouts.read);
  if (!closer) co_return detail::failed_bool(closer.error());
  if (closer->empty()) co_return Errc::conflict;
  co_return closer->uuid(0, 0) == request;
}

asio::awaitable<Result<void>> sum_period(Pool& pool, PeriodId period, StoreTimeouts timeouts) {
  const Params which = std::move(Params().int8(period));
  Result<Rows> figures = co_await fetch_large(pool, kSum, which, timeouts.sum);
  if (!figures) co_return figures.error();
  if (figures->empty()) co_return Result<void>();  // summed meanwhile
  Params kept;
  kept.int8(period).timestamptz(figures->timestamp_us(0, 0)).int8(figures->integer(0, 1));
  for (int column = 2; column <= 6; ++column) kept.text(figures->text(0, column));
  for (int column = 7; column <= 10; ++column) kept.int8(figures->integer(0, column));
  Result<Rows> stored = co_await pool.fetch(kKeepSum, kept, timeouts.write);
  if (!stored) co_return stored.error();
  co_return Result<void>();
}

asio::awaitable<Result<Report>> run_report(Pool& pool, PeriodId period, StoreTimeouts timeouts) {
  const Params which = std::move(Params().int8(period));
  for (bool summed_now = false;; summed_now = true) {
    Result<Rows> rows = co_await pool.fetch(kGetReport, which, timeouts.read);
    if (!rows) co_return rows.error();
    if (rows->empty()) co_return Errc::not_found;
    StoredReport stored = to_report(*rows, 0);
    if (stored.summed) co_return std::move(stored.report);
    if (summed_now) co_return Errc::conflict;
    Result<void> summed = co_await sum_period(pool, period, timeouts);
    if (!summed) co_return summed.error();
  }
}

asio::awaitable<Result<void>> sum_all(Pool& pool, StoreTimeouts timeouts) {
  for (;;) {
    Result<Rows> rows = co_await pool.fetch(kUnsummed, {}, timeouts.read);
    if (!rows) co_return rows.error();
    if (rows->empty()) co_return Result<void>();
    for (int i = 0; i < rows->size(); ++i) {
      Result<Report> report = co_await run_report(pool, rows->integer(i, 0), timeouts);
      if (!report) co_return report.error();
    }
  }
}

asio::awaitable<Result<std::vector<Report>>> run_reports(Pool& pool, std::int64_t limit, std::optional<PeriodId> before,
                                                         StoreTimeouts timeouts) {
  Result<void> summed = co_await sum_all(pool, timeouts);
  if (!summed) co_return summed.error();
  const Params page = std::move(Params().int8(before.value_or(INT64_MAX)).int8(limit));
  Result<Rows> rows = co_await pool.fetch(kListReports, page, timeouts.read);
  if (!rows) co_return rows.error();
  std::vector<Report> reports;
  for (int i = 0; i < rows->size(); ++i) {
    StoredReport stored = to_report(*rows, i);
    // Closed since we looked.
    if (!stored.summed) {
      Result<Report> report = co_await run_report(pool, stored.report.period, timeouts);
      if (!report) co_return report.error();
      stored.report = std::move(*report);
    }
    reports.push_back(std::move(stored.report));
  }
  co_return reports;
}

asio::awaitable<Result<std::optional<PeriodId>>> run_close_if_due(Pool& pool, StoreTimeouts timeouts) {
  Result<Rows> due = co_await pool.fetch(kDue, {}, timeouts.read);
  if (!due) co_return due.error();
  if (due->empty()) co_return std::optional<PeriodId>();
  const PeriodId period = due->integer(0, 0);
  Result<bool> closed = co_await run_close(pool, period, tracker::Uuid::random(), false, timeouts);
  if (!closed) co_return closed.error();
  co_return *closed ? std::optional(period) : std::nullopt;
}

asio::awaitable<Result<std::optional<PeriodId>>> run_closed_by(Pool& pool, tracker::Uuid request,
                                                               StoreTimeouts timeouts) {
  const Params params = std::move(Params().uuid(request));
  Result<Rows> rows = co_await pool.fetch(kClosedBy, params, timeouts.read);
  if (!rows) co_return rows.error();
  co_return rows->empty() ? std::nullopt : std::optional(rows->integer(0, 0));
}

asio::awaitable<Result<ClockRow>> run_clock(Pool& pool, StoreTimeouts timeouts) {
  Result<Rows> rows = co_await pool.fetch(kClock, {}, timeouts.read);
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return Errc::store_refuses;
  co_return to_clock(*rows);
}

asio::awaitable<Result<std::int64_t>> run_adopt_length(Pool& pool, std::int64_t seconds, StoreTimeouts timeouts) {
  const Params params = std::move(Params().int8(seconds));
  Result<Rows> rows = co_await pool.fetch(kAdoptLength, params, timeouts.write);
  if (!rows) co_return rows.error();
  co_return rows->integer(0, 0);
}

asio::awaitable<Result<void>> run_set_length(Pool& pool, std::int64_t seconds, StoreTimeouts timeouts) {
  const Params params = std::move(Params().int8(seconds));
  Result<Rows> rows = co_await pool.fetch(kSetLength, params, timeouts.write);
  if (!rows) co_return rows.error();
  co_return Result<void>();
}

asio::awaitable<Result<Summary>> run_summary(Pool& pool, StoreTimeouts timeouts) {
  Result<Rows> rows = co_await fetch_large(pool, kSummary, Params(), timeouts.sum);
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return Errc::store_refuses;
  Summary summary;
  summary.period = rows->integer(0, 0);
  summary.started_at_us = rows->timestamp_us(0, 1);
  summary.as_of_us = rows->timestamp_us(0, 2);
  summary.replicas = rows->integer(0, 3);
  summary.allowed = rows->text(0, 4);
  summary.denied = rows->text(0, 5);
  summary.unique_workspaces = rows->integer(0, 6);
  summary.unique_users = rows->integer(0, 7);
  summary.missing_replicas = rows->texts(0, 8);
  co_return summary;
}

asio::awaitable<Result<Verification>> run_verify(Pool& pool, StoreTimeouts timeouts) {
  Verification verification;
  Result<Rows> uncovered = co_await pool.fetch(kNotCovered, {}, timeouts.read);
  if (!uncovered) co_return uncovered.error();
  verification.not_covered = uncovered->integer(0, 0);
  Result<Rows> periods = co_await pool.fetch(kVerifiable, {}, timeouts.read);
  if (!periods) co_return periods.error();
  for (int i = 0; i < periods->size(); ++i) {
    const Params which = std::move(Params().int8(periods->integer(i, 0)));
    Result<Rows> again = co_await fetch_large(pool, kRecompute, which, timeouts.sum);
    if (!again) co_return again.error();
    Result<Rows> stored = co_await pool.fetch(kGetReport, which, timeouts.read);
    if (!stored) co_return stored.error();
    if (again->empty() || stored->empty()) continue;  // purged meanwhile
    ++verification.checked;
    Mismatch pair;
    pair.stored = to_report(*stored, 0).report;
    pair.recomputed = to_report(*again, 0).report;
    if (!(pair.stored == pair.recomputed)) verification.mismatches.push_back(std::move(pair));
  }
  co_return verification;
}

}  // namespace

PgStore::Async<bool> PgStore::close(PeriodId expected, tracker::Uuid request, bool discard) {
  return detail::on_pool(pool_, run_close(pool_, expected, request, discard, timeouts_));
}

PgStore::Async<std::optional<PeriodId>> PgStore::closed_by(tracker::Uuid request) {
  return detail::on_pool(pool_, run_closed_by(pool_, request, timeouts_));
}

PgStore::Async<std::optional<PeriodId>> PgStore::close_if_due() {
  return detail::on_pool(pool_, run_close_if_due(pool_, timeouts_));
}

PgStore::Async<Report> PgStore::report(PeriodId period) {
  return detail::on_pool(pool_, run_report(pool_, period, timeouts_));
}

PgStore::Async<Report> PgStore::report_within(PeriodId period, std::chrono::milliseconds time) {
  StoreTimeouts timeouts = timeouts_;
  timeouts.sum = std::min(timeouts.sum, time);
  return detail::on_pool(pool_, run_report(pool_, period, timeouts));
}

PgStore::Async<void> PgStore::sum_closed() {
  return detail::on_pool(pool_, sum_all(pool_, timeouts_));
}

PgStore::Async<std::vector<Report>> PgStore::reports(std::int64_t limit, std::optional<PeriodId> before) {
  return detail::on_pool(pool_, run_reports(pool_, limit, before, timeouts_));
}

PgStore::Async<ClockRow> PgStore::clock() {
  return detail::on_pool(pool_, run_clock(pool_, timeouts_));
}

PgStore::Async<std::int64_t> PgStore::adopt_period_length(std::int64_t seconds) {
  return detail::on_pool(pool_, run_adopt_length(pool_, seconds, timeouts_));
}

PgStore::Async<void> PgStore::set_period_length(std::int64_t seconds) {
  return detail::on_pool(pool_, run_set_length(pool_, seconds, timeouts_));
}

PgStore::Async<Summary> PgStore::summary() {
  return detail::on_pool(pool_, run_summary(pool_, timeouts_));
}

PgStore::Async<Verification> PgStore::verify() {
  return detail::on_pool(pool_, run_verify(pool_, timeouts_));
}

}  // namespace tally::db
