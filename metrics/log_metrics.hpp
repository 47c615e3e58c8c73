#pragma once
#include <cstdint>
#include <functional>

#include "metrics/registry.hpp"

namespace tally::metrics {

/// Lines of the log that gave way to later ones, asked for at each scrape. Thread-safe.
class LogMetrics final : public prometheus::Collectable {
 public:
  using Count = std::function<std::uint64_t()>;
  /// `lines`: of the log; `events`: of the lines that a setting asks for, one for each event.
  LogMetrics(Registry& registry, Count lines, Count events);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Count lines_;
  Count events_;
};

}  // namespace tally::metrics
