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

/// Events as they come in. The methods with `thread` are called by that http thread; the gauges by anybody.
class IngestMetrics final : public prometheus::Collectable {
 public:
  IngestMetrics(Registry& registry, std::uint32_t threads);

  void events(std::uint32_t thread, EventKind kind, IngestResult result, std::uint64_t count = 1) noexcept;
  /// Repeats of a key or id that is already counted.
  void duplicates(std::uint32_t thread, EventKind kind, std::uint64_t count = 1) noexcept;
  void boundary_requests(std::uint32_t thread, std::uint64_t allowed, std::uint64_t denied) noexcept;
  /// Accepted here and not yet in the database.
  void set_pending(EventKind kind, std::uint64_t events) noexcept;

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Cells events_;
  Cells duplicates_;
  Cells boundary_;
  GaugesBy<EventKind, 3> pending_;
};

}  // namespace tally::metrics
