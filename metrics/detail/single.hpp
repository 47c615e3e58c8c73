#pragma once
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <string>
#include <string_view>

#include "metrics/registry.hpp"

namespace tally::metrics::detail {

/// Families without labels.
inline prometheus::Counter& counter(Registry& registry, std::string_view name, std::string_view help) {
  return prometheus::BuildCounter()
      .Name(std::string(name))
      .Help(std::string(help))
      .Register(registry.families())
      .Add({});
}
inline prometheus::Gauge& gauge(Registry& registry, std::string_view name, std::string_view help) {
  return prometheus::BuildGauge().Name(std::string(name)).Help(std::string(help)).Register(registry.families()).Add({});
}
inline prometheus::Histogram& histogram(Registry& registry, std::string_view name, std::string_view help,
                                        prometheus::Histogram::BucketBoundaries bounds) {
  auto& family =
      prometheus::BuildHistogram().Name(std::string(name)).Help(std::string(help)).Register(registry.families());
  return family.Add({}, std::move(bounds));
}

}  // namespace tally::metrics::detail
