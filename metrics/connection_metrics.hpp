#pragma once
#include <cstdint>

#include "metrics/counter_by.hpp"

namespace tally::metrics {

/// Upkeep of the connection log. Thread-safe.
class ConnectionMetrics {
 public:
  explicit ConnectionMetrics(Registry& registry);

  void purged(std::uint64_t entries) noexcept;  ///< by the retention
  void lost(std::uint64_t sessions) noexcept;   ///< of which nothing was heard for too long

 private:
  prometheus::Counter& purged_;
  prometheus::Counter& lost_;
};

}  // namespace tally::metrics
