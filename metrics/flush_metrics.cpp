#include "metrics/flush_metrics.hpp"

#include "metrics/detail/single.hpp"

namespace tally::metrics {

FlushMetrics::FlushMetrics(Registry& registry)
    : duration_(detail::histogram(registry, "tallyd_flush_duration_seconds", "How long one flush statement took.",
                                  {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10})),
      flushes_(registry, prometheus::BuildCounter(), "tallyd_flushes_total", "Flush statements, by result.", "result",
               {"applied", "refused", "unknown", "failed"}),
      last_success_(detail::gauge(registry, "tallyd_flush_last_success_timestamp_seconds",
                                  "When a flush was last applied; 0 before the first.")),
      reread_(detail::counter(registry, "tallyd_flush_reread_records_total",
                              "Records added up from the journal again after anything unexpected.")) {}

void FlushMetrics::flushed(FlushResult result, std::chrono::nanoseconds took) noexcept {
  flushes_[result].Increment();
  duration_.Observe(std::chrono::duration<double>(took).count());
}

void FlushMetrics::set_last_success(std::chrono::sys_time<std::chrono::milliseconds> when) noexcept {
  last_success_.Set(std::chrono::duration<double>(when.time_since_epoch()).count());
}

void FlushMetrics::reread(std::uint64_t records) noexcept {
  reread_.Increment(static_cast<double>(records));
}

DbMetrics::DbMetrics(Registry& registry)
    : connections_(registry, prometheus::BuildGauge(), "tallyd_db_connections", "Database connections, by state.",
                   "state", {"idle", "busy", "connecting"}),
      errors_(registry, prometheus::BuildCounter(), "tallyd_db_errors_total", "Database errors, by class.", "class",
              {"connection", "serialization", "data", "refused", "timeout", "other"}) {}

void DbMetrics::set_connections(DbConnectionState state, std::uint64_t count) noexcept {
  connections_[state].Set(static_cast<double>(count));
}

void DbMetrics::error(DbErrorClass error) noexcept {
  errors_[error].Increment();
}

}  // namespace tally::metrics
