#pragma once
#include <prometheus/histogram.h>
#include <chrono>
#include <cstdint>

#include "metrics/counter_by.hpp"

namespace tally::metrics {

enum class JournalFailure : std::uint8_t {
  write,    ///< a write or a new segment failed
  sync,     ///< fdatasync failed; the stream was sealed
  full,     ///< a group was refused because of the size limit
  corrupt,  ///< a damaged record was met while reading
};

/// The journal, this process's stream and those it drains. Thread-safe.
class JournalMetrics {
 public:
  explicit JournalMetrics(Registry& registry);

  void set_bytes(std::uint64_t bytes) noexcept;
  void set_streams(std::uint64_t streams) noexcept;
  /// One group made durable: what it held and how long fdatasync took.
  void synced(std::uint64_t records, std::uint64_t bytes, std::chrono::nanoseconds took) noexcept;
  /// Records of earlier boots that were found and will be flushed.
  void recovered(std::uint64_t records) noexcept;
  /// Records that are known to be lost to damage.
  void lost(std::uint64_t records) noexcept;
  void failed(JournalFailure failure) noexcept;

 private:
  prometheus::Gauge& bytes_;
  prometheus::Gauge& streams_;
  prometheus::Histogram& sync_duration_;
  prometheus::Counter& records_;
  prometheus::Counter& written_bytes_;
  prometheus::Counter& recovered_;
  prometheus::Counter& lost_;
  CountersBy<JournalFailure, 4> failures_;
};

}  // namespace tally::metrics
