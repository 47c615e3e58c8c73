#include "metrics/report_metrics.hpp"

#include "metrics/detail/single.hpp"

namespace tally::metrics {

ReportMetrics::ReportMetrics(Registry& registry)
    : reports_(registry, prometheus::BuildCounter(), "tallyd_reports_total",
               "Periods and their reports, by what happened.", "result",
               {"closed", "discarded", "summed", "delivered", "failed"}),
      period_(detail::gauge(registry, "tallyd_period", "Number of the open period, as this replica last saw it.")),
      undelivered_(detail::gauge(registry, "tallyd_reports_undelivered",
                                 "Closed periods whose report --report-url has not accepted yet; 0 without one.")),
      undelivered_age_(detail::gauge(registry, "tallyd_reports_undelivered_oldest_age_seconds",
                                     "Age of the oldest undelivered report, from the end of its period.")),
      published_(registry, prometheus::BuildCounter(), "tallyd_usage_events_published_total",
                 "Usage events that left the queue, and failed attempts.", "result",
                 {"accepted", "rejected", "expired", "held", "failed"}),
      usage_strangers_(detail::counter(registry, "tallyd_usage_events_strangers_total",
                                       "Usage events that the collector named and that were not sent to it.")),
      usage_pending_(detail::gauge(registry, "tallyd_usage_events_pending", "Usage events that wait to be published.")),
      usage_oldest_(detail::gauge(registry, "tallyd_usage_events_pending_oldest_age_seconds",
                                  "How long the oldest of them has waited since it was received.")),
      usage_resting_(registry, prometheus::BuildGauge(), "tallyd_usage_events_unpublished",
                     "Usage events that came to rest unpublished, by state; requeue them to send them again.", "status",
                     {"rejected", "expired", "held"}) {}

void ReportMetrics::report(ReportResult result) noexcept {
  reports_[result].Increment();
}
void ReportMetrics::set_period(std::int64_t open_period) noexcept {
  period_.Set(static_cast<double>(open_period));
}
void ReportMetrics::set_undelivered(std::int64_t reports, double oldest_age_seconds) noexcept {
  undelivered_.Set(static_cast<double>(reports));
  undelivered_age_.Set(oldest_age_seconds);
}
void ReportMetrics::published(PublishResult result, std::uint64_t events) noexcept {
  published_[result].Increment(static_cast<double>(events));
}
void ReportMetrics::usage_strangers(std::uint64_t events) noexcept {
  usage_strangers_.Increment(static_cast<double>(events));
}
void ReportMetrics::set_usage_waiting(std::int64_t events, double oldest_age_seconds) noexcept {
  usage_pending_.Set(static_cast<double>(events));
  usage_oldest_.Set(oldest_age_seconds);
}
void ReportMetrics::set_usage_resting(std::int64_t rejected, std::int64_t expired, std::int64_t held) noexcept {
  usage_resting_[Resting::rejected].Set(static_cast<double>(rejected));
  usage_resting_[Resting::expired].Set(static_cast<double>(expired));
  usage_resting_[Resting::held].Set(static_cast<double>(held));
}

}  // namespace tally::metrics
