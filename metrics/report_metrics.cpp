#include "metrics/report_metrics.hpp"

#include "metrics/detail/single.hpp"

namespace tally::metrics {

ReportMetrics::ReportMetrics(Registry& registry)
    : reports_(registry, prometheus::BuildCounter(), "tallyd_reports_total",
               "Periods and their reports, by what happened.", "result",
               {"closed", "discarded", "summed", "delivered", "failed"}),
      period_(detail::gauge(registry, "tallyd_period", "Number of the open period, as this replica last saw it.")),
      published_(registry, prometheus::BuildCounter(), "tallyd_usage_events_published_total",
                 "Usage events that left the queue, and failed attempts.", "result",
                 {"accepted", "rejected", "expired", "held", "failed"}),
      usage_pending_(
          detail::gauge(registry, "tallyd_usage_events_pending", "Usage events that wait to be published.")) {}

void ReportMetrics::report(ReportResult result) noexcept {
  reports_[result].Increment();
}
void ReportMetrics::set_period(std::int64_t open_period) noexcept {
  period_.Set(static_cast<double>(open_period));
}
void ReportMetrics::published(PublishResult result, std::uint64_t events) noexcept {
  published_[result].Increment(static_cast<double>(events));
}
void ReportMetrics::set_usage_events_pending(std::uint64_t events) noexcept {
  usage_pending_.Set(static_cast<double>(events));
}

}  // namespace tally::metrics
