#include "metrics/log_metrics.hpp"

#include "metrics/detail/sampled.hpp"

namespace tally::metrics {

LogMetrics::LogMetrics(Registry& registry, Count lines, Count events)
    : lines_(std::move(lines)), events_(std::move(events)) {
  registry.add(*this);
}

std::vector<prometheus::MetricFamily> LogMetrics::Collect() const {
  auto dropped = detail::family("tallyd_log_lines_dropped_total", prometheus::MetricType::Counter,
                                "Log lines that gave way because whoever reads them is too slow, by queue.");
  detail::add_sample(dropped, {{"queue", "log"}}, static_cast<double>(lines_()));
  detail::add_sample(dropped, {{"queue", "connection_log"}}, static_cast<double>(events_()));
  return {std::move(dropped)};
}

}  // namespace tally::metrics
