#include "metrics/journal_metrics.hpp"

#include "metrics/detail/single.hpp"

namespace tally::metrics {

JournalMetrics::JournalMetrics(Registry& registry)
    : bytes_(detail::gauge(registry, "tallyd_journal_bytes", "Bytes of journal segments on disk, all streams.")),
      streams_(
          detail::gauge(registry, "tallyd_journal_streams", "Streams in the state directory, the own one included.")),
      sync_duration_(detail::histogram(
          registry, "tallyd_journal_sync_duration_seconds", "How long making one group of records durable took.",
          {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5})),
      records_(detail::counter(registry, "tallyd_journal_records_total", "Records made durable.")),
      written_bytes_(detail::counter(registry, "tallyd_journal_written_bytes_total", "Bytes of records made durable.")),
      recovered_(detail::counter(registry, "tallyd_journal_records_recovered_total",
                                 "Records of earlier boots found in the journal at the start.")),
      lost_(detail::counter(registry, "tallyd_journal_records_lost_total",
                            "Acknowledged records that damage to the journal has made unreadable.")),
      failures_(registry, prometheus::BuildCounter(), "tallyd_journal_failures_total",
                "Failures of the journal, by kind.", "kind", {"write", "sync", "full", "corrupt"}) {}

void JournalMetrics::set_bytes(std::uint64_t bytes) noexcept {
  bytes_.Set(static_cast<double>(bytes));
}
void JournalMetrics::set_streams(std::uint64_t streams) noexcept {
  streams_.Set(static_cast<double>(streams));
}

void JournalMetrics::synced(std::uint64_t records, std::uint64_t bytes, std::chrono::nanoseconds took) noexcept {
  records_.Increment(static_cast<double>(records));
  written_bytes_.Increment(static_cast<double>(bytes));
  sync_duration_.Observe(std::chrono::duration<double>(took).count());
}

void JournalMetrics::recovered(std::uint64_t records) noexcept {
  recovered_.Increment(static_cast<double>(records));
}
void JournalMetrics::lost(std::uint64_t records) noexcept {
  lost_.Increment(static_cast<double>(records));
}
void JournalMetrics::failed(JournalFailure failure) noexcept {
  failures_[failure].Increment();
}

}  // namespace tally::metrics
