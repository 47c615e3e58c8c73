#pragma once
#include <prometheus/collectable.h>
#include <array>
#include <cstdint>
#include <vector>

#include "metrics/cells.hpp"
#include "metrics/counter_by.hpp"
#include "metrics/registry.hpp"

namespace tally::metrics {

enum class EventKind : std::uint8_t { boundary, connection, usage };

enum class IngestResult : std::uint8_t {
  accepted,     ///< 202
  invalid,      ///< 4xx for what the request said
  skipped,      ///< in an accepted request, but nothing to count (audit logs without an http_request)
  unavailable,  ///< 503: the journal could not take it
};

/// Events as they come in. The methods with `thread` are called by that http thread, or with `counting_thread()` by the
/// thread that flushes; the gauges by anybody.
class IngestMetrics final : public prometheus::Collectable {
 public:
  IngestMetrics(Registry& registry, std::uint32_t threads);

  void events(std::uint32_t thread, EventKind kind, IngestResult result, std::uint64_t count = 1) noexcept;
  /// Repeats of a key or id that is already counted.
  void duplicates(std::uint32_t thread, EventKind kind, std::uint64_t count = 1) noexcept;
  /// Keys that came again with another body: refused with 422, or by the flush where another replica took the first.
  void key_conflicts(std::uint32_t thread, std::uint64_t count = 1) noexcept;
  /// Sequence numbers of a session that no accepted batch brought.
  void sequence_gap(std::uint32_t thread, std::uint64_t numbers) noexcept;
  std::uint32_t counting_thread() const noexcept { return counting_thread_; }
  void boundary_requests(std::uint32_t thread, std::uint64_t allowed, std::uint64_t denied) noexcept;
  /// Accepted here and not yet in the database.
  void set_pending(EventKind kind, std::uint64_t events) noexcept;

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Cells events_;
  Cells duplicates_;
  Cells boundary_;
  Cells keys_;
  std::uint32_t counting_thread_;
  GaugesBy<EventKind, 3> pending_;
};

}  // namespace tally::metrics
