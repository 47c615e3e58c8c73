#pragma once
#include <cstdint>

#include "metrics/counter_by.hpp"

namespace tally::metrics {

enum class LedgerPart : std::uint8_t { applied, reported, open, discarded, duplicates, set_aside };

/// What the database says about all replicas together, as this one last read it. Thread-safe.
class LedgerMetrics {
 public:
  explicit LedgerMetrics(Registry& registry);

  /// In requests. As a double: exact to 2^53.
  void set(LedgerPart part, double requests) noexcept;
  void set_balanced(bool balanced) noexcept;
  /// Replicas that were not heard of lately, and the streams that only they, or who reads their directories, can bring
  /// in.
  void set_silent(std::uint64_t replicas, std::uint64_t open_streams) noexcept;
  /// Jobs in the background that stand still.
  void set_stalled_jobs(std::uint64_t jobs) noexcept;
  /// Idempotency keys that are kept; an estimate.
  void set_keys(std::int64_t rows) noexcept;
  /// The database stood below what it had confirmed.
  void lost_commits() noexcept;

 private:
  GaugesBy<LedgerPart, 6> requests_;
  prometheus::Gauge& balanced_;
  prometheus::Gauge& silent_replicas_;
  prometheus::Gauge& stale_streams_;
  prometheus::Gauge& stalled_jobs_;
  prometheus::Gauge& keys_;
  prometheus::Counter& lost_commits_;
};

}  // namespace tally::metrics
