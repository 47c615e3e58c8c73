#include "metrics/detail/sampled.hpp"

#include <string>

namespace tally::metrics::detail {

prometheus::MetricFamily family(std::string_view name, prometheus::MetricType type, std::string_view help) {
  return {std::string(name), std::string(help), type, {}};
}

void add_sample(prometheus::MetricFamily& family, LabelValues labels, double value) {
  prometheus::ClientMetric metric;
  for (const auto& [name, label] : labels) metric.label.push_back({std::string(name), std::string(label)});
  (family.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  family.metric.push_back(std::move(metric));
}

}  // namespace tally::metrics::detail
