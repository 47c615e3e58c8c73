#pragma once
#include <prometheus/metric_family.h>
#include <string_view>
#include <utility>
#include <vector>

namespace tally::metrics::detail {

/// Builds families out of numbers that are summed when somebody asks.
prometheus::MetricFamily family(std::string_view name, prometheus::MetricType type, std::string_view help);
using LabelValues = std::initializer_list<std::pair<std::string_view, std::string_view>>;
/// Adds a sample; `family` is a counter or a gauge.
void add_sample(prometheus::MetricFamily& family, LabelValues labels, double value);

}  // namespace tally::metrics::detail
