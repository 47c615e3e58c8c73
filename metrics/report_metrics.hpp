#pragma once
#include <cstdint>

#include "metrics/counter_by.hpp"

namespace tally::metrics {

enum class ReportResult : std::uint8_t {
  closed,     ///< this replica closed a period
  discarded,  ///< closed with its figures thrown away
  summed,
  delivered,  ///< the report URL accepted it
  failed,     ///< an attempt to close, sum or deliver failed and will be repeated
};

enum class PublishResult : std::uint8_t { accepted, rejected, expired, held, failed };

/// Periods, reports and the usage publisher. Thread-safe.
class ReportMetrics {
 public:
  explicit ReportMetrics(Registry& registry);

  void report(ReportResult result) noexcept;
  void set_period(std::int64_t open_period) noexcept;
  /// `failed`: an attempt; the others: the event's final state.
  void published(PublishResult result, std::uint64_t events = 1) noexcept;
  void set_usage_events_pending(std::uint64_t events) noexcept;

 private:
  CountersBy<ReportResult, 5> reports_;
  prometheus::Gauge& period_;
  CountersBy<PublishResult, 5> published_;
  prometheus::Gauge& usage_pending_;
};

}  // namespace tally::metrics
