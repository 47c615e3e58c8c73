#pragma once
#include <prometheus/metric_family.h>
#include <string>
#include <vector>

namespace tally::metrics::detail {

/// OpenMetrics 1.0 text: a counter's family goes without `_total`, its samples with it; ends with `# EOF`.
std::string openmetrics(const std::vector<prometheus::MetricFamily>& families);

}  // namespace tally::metrics::detail
