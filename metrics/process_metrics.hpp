#pragma once
#include <prometheus/collectable.h>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/registry.hpp"

namespace tally::metrics {

/// The usual `process_*` metrics, read from /proc when somebody asks, and `tallyd_build_info`.
class ProcessMetrics final : public prometheus::Collectable {
 public:
  ProcessMetrics(Registry& registry, std::string_view version, std::string_view revision);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::string version_;
  std::string revision_;
};

}  // namespace tally::metrics
