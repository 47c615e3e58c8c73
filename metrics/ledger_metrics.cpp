#include "metrics/ledger_metrics.hpp"

#include "metrics/detail/single.hpp"

namespace tally::metrics {

LedgerMetrics::LedgerMetrics(Registry& registry)
    : requests_(registry, prometheus::BuildGauge(), "tallyd_ledger_requests",
                "Where the requests of all replicas are; applied is the sum of the others.", "part",
                {"applied", "reported", "open", "discarded", "duplicates", "set_aside"}),
      balanced_(detail::gauge(registry, "tallyd_ledger_balanced",
                              "1 while what was applied is what the periods hold, else 0.")),
      silent_replicas_(
          detail::gauge(registry, "tallyd_silent_replicas", "Replicas not heard of for 15 seconds and not given up.")),
      stale_streams_(detail::gauge(registry, "tallyd_stale_streams",
                                   "Open streams of silent replicas: what they hold is not counted yet.")),
      stalled_jobs_(detail::gauge(registry, "tallyd_stalled_jobs", "Jobs in the background that stand still.")),
      keys_(detail::gauge(registry, "tallyd_ingest_keys", "Idempotency keys that are kept; an estimate.")),
      lost_commits_(detail::counter(registry, "tallyd_database_lost_commits_total",
                                    "Times that the database stood below what it had confirmed.")) {
  balanced_.Set(1);
}

void LedgerMetrics::set(LedgerPart part, double requests) noexcept {
  requests_[part].Set(requests);
}

void LedgerMetrics::set_balanced(bool balanced) noexcept {
  balanced_.Set(balanced ? 1 : 0);
}

void LedgerMetrics::set_silent(std::uint64_t replicas, std::uint64_t open_streams) noexcept {
  silent_replicas_.Set(static_cast<double>(replicas));
  stale_streams_.Set(static_cast<double>(open_streams));
}

void LedgerMetrics::set_stalled_jobs(std::uint64_t jobs) noexcept {
  stalled_jobs_.Set(static_cast<double>(jobs));
}

void LedgerMetrics::set_keys(std::int64_t rows) noexcept {
  keys_.Set(static_cast<double>(rows));
}

void LedgerMetrics::lost_commits() noexcept {
  lost_commits_.Increment();
}

}  // namespace tally::metrics
