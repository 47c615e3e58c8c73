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
  /// Closed periods whose report was not accepted yet, and how long ago the oldest of them was closed.
  void set_undelivered(std::int64_t reports, double oldest_age_seconds) noexcept;
  /// `failed`: an attempt; the others: the event's final state.
  void published(PublishResult result, std::uint64_t events = 1) noexcept;
  /// Events that an answer named and that were not sent.
  void usage_strangers(std::uint64_t events) noexcept;
  void set_usage_waiting(std::int64_t events, double oldest_age_seconds) noexcept;
  /// At rest without having been published.
  void set_usage_resting(std::int64_t rejected, std::int64_t expired, std::int64_t held) noexcept;

 private:
  CountersBy<ReportResult, 5> reports_;
  prometheus::Gauge& period_;
  prometheus::Gauge& undelivered_;
  prometheus::Gauge& undelivered_age_;
  CountersBy<PublishResult, 5> published_;
  prometheus::Counter& usage_strangers_;
  prometheus::Gauge& usage_pending_;
  prometheus::Gauge& usage_oldest_;
  enum class Resting : std::uint8_t { rejected, expired, held };
  GaugesBy<Resting, 3> usage_resting_;
};

}  // namespace tally::metrics
