#include "db/report_delivery.hpp"

#include "db/detail/on_pool.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Result;

namespace {

constexpr Query kLease{"lease_report", R"sql(
  WITH due AS MATERIALIZED (
    SELECT period_id FROM tallyd.boundary_usage_reports
     WHERE delivered_at IS NULL AND summed_at IS NOT NULL
       AND coalesce(leased_until, '-infinity') <= now() AND coalesce(next_attempt_at, '-infinity') <= now()
     ORDER BY period_id LIMIT 1 FOR UPDATE SKIP LOCKED)
  UPDATE tallyd.boundary_usage_reports r
     SET leased_by = $1, leased_until = now() + make_interval(secs => $2), attempts = r.attempts + 1
    FROM due WHERE r.period_id = due.period_id
  RETURNING r.period_id, r.attempts
)sql"};

constexpr Query kDelivered{"report_delivered", R"sql(
  UPDATE tallyd.boundary_usage_reports
     SET delivered_at = now(), leased_until = NULL, leased_by = NULL, next_attempt_at = NULL, last_error = NULL
   WHERE period_id = $1 AND delivered_at IS NULL
)sql",
                           true};

constexpr Query kFailed{"report_not_delivered", R"sql(
  UPDATE tallyd.boundary_usage_reports
     SET leased_until = NULL, leased_by = NULL, next_attempt_at = now() + make_interval(secs => $4), last_error = $5,
         first_failed_at = coalesce(first_failed_at, now())
   WHERE period_id = $1 AND leased_by = $2 AND attempts = $3 AND delivered_at IS NULL
)sql",
                        true};

constexpr Query kGiveBack{"give_back_report", R"sql(
  UPDATE tallyd.boundary_usage_reports
     SET leased_until = NULL, leased_by = NULL, attempts = attempts - 1
   WHERE period_id = $1 AND leased_by = $2 AND attempts = $3 AND delivered_at IS NULL
)sql"};

constexpr Query kUndelivered{"undelivered_reports", R"sql(
  SELECT count(*), coalesce(extract(epoch FROM now() - min(ended_at)) * 1000, 0)::bigint, min(first_failed_at),
         coalesce((array_agg(last_error ORDER BY first_failed_at NULLS LAST))[1], '')
    FROM tallyd.boundary_usage_reports WHERE delivered_at IS NULL
)sql",
                             true};

double seconds(std::chrono::milliseconds time) {
  return static_cast<double>(time.count()) / 1000.0;
}

asio::awaitable<Result<std::optional<LeasedReport>>> run_lease(Pool& pool, std::string holder,
                                                               std::chrono::milliseconds lease,
                                                               std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().text(holder).float8(seconds(lease)));
  Result<Rows> rows = co_await pool.fetch(kLease, params, timeout);
  if (!rows) co_return rows.error();
  std::optional<LeasedReport> leased;
  if (!rows->empty()) {
    leased.emplace();
    leased->period = rows->integer(0, 0);
    leased->attempt = rows->integer(0, 1);
  }
  co_return leased;
}

asio::awaitable<Result<bool>> run_delivered(Pool& pool, tracker::PeriodId period, std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().int8(period));
  Result<Rows> rows = co_await pool.fetch(kDelivered, params, timeout);
  if (!rows) co_return detail::failed_bool(rows.error());
  co_return rows->affected() > 0;
}

asio::awaitable<Result<void>> run_failed(Pool& pool, LeasedReport leased, std::string holder,
                                         std::chrono::milliseconds wait, std::string error,
                                         std::chrono::milliseconds timeout) {
  const Params params =
      std::move(Params().int8(leased.period).text(holder).int8(leased.attempt).float8(seconds(wait)).text(error));
  Result<Rows> rows = co_await pool.fetch(kFailed, params, timeout);
  if (!rows) co_return rows.error();
  co_return Result<void>();
}

asio::awaitable<Result<void>> run_give_back(Pool& pool, LeasedReport leased, std::string holder,
                                            std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().int8(leased.period).text(holder).int8(leased.attempt));
  Result<Rows> rows = co_await pool.fetch(kGiveBack, params, timeout);
  if (!rows) co_return rows.error();
  co_return Result<void>();
}

asio::awaitable<Result<UndeliveredReports>> run_undelivered(Pool& pool, std::chrono::milliseconds timeout) {
  Result<Rows> rows = co_await pool.fetch(kUndelivered, {}, timeout);
  if (!rows) co_return rows.error();
  UndeliveredReports undelivered;
  undelivered.count = rows->integer(0, 0);
  undelivered.oldest_age_seconds = static_cast<double>(rows->integer(0, 1)) / 1000.0;
  undelivered.failing_since_us = rows->maybe_timestamp_us(0, 2);
  undelivered.last_error = rows->text(0, 3);
  co_return undelivered;
}

}  // namespace

ReportDelivery::Async<std::optional<LeasedReport>> ReportDelivery::lease(std::string holder,
                                                                         std::chrono::milliseconds lease) {
  return detail::on_pool(pool_, run_lease(pool_, std::move(holder), lease, timeouts_.write));
}

ReportDelivery::Async<bool> ReportDelivery::delivered(tracker::PeriodId period) {
  return detail::on_pool(pool_, run_delivered(pool_, period, timeouts_.write));
}

ReportDelivery::Async<void> ReportDelivery::failed(LeasedReport leased, std::string holder,
                                                   std::chrono::milliseconds wait, std::string error) {
  return detail::on_pool(pool_, run_failed(pool_, leased, std::move(holder), wait, std::move(error), timeouts_.write));
}

ReportDelivery::Async<void> ReportDelivery::give_back(LeasedReport leased, std::string holder) {
  return detail::on_pool(pool_, run_give_back(pool_, leased, std::move(holder), timeouts_.write));
}

ReportDelivery::Async<UndeliveredReports> ReportDelivery::undelivered() {
  return detail::on_pool(pool_, run_undelivered(pool_, timeouts_.read));
}

}  // namespace tally::db
