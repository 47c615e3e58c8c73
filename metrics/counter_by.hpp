#pragma once
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <array>
#include <string>
#include <string_view>

#include "metrics/registry.hpp"

namespace tally::metrics {

/// One family whose only label takes the enumerators of `Enum` (0, 1, 2, ...), all of them present from the start.
/// `Metric` is `prometheus::Counter` or `prometheus::Gauge`; `builder` is `BuildCounter()` or `BuildGauge()`.
/// Thread-safe.
template <class Enum, class Metric, std::size_t N>
class FamilyBy {
 public:
  template <class Builder>
  FamilyBy(Registry& registry, Builder&& builder, std::string_view name, std::string_view help, std::string_view label,
           const std::array<std::string_view, N>& values) {
    auto& family = builder.Name(std::string(name)).Help(std::string(help)).Register(registry.families());
    for (std::size_t i = 0; i < N; ++i) metrics_[i] = &family.Add({{std::string(label), std::string(values[i])}});
  }
  Metric& operator[](Enum which) noexcept { return *metrics_[static_cast<std::size_t>(which)]; }

 private:
  std::array<Metric*, N> metrics_;
};

template <class Enum, std::size_t N>
using CountersBy = FamilyBy<Enum, prometheus::Counter, N>;
template <class Enum, std::size_t N>
using GaugesBy = FamilyBy<Enum, prometheus::Gauge, N>;

}  // namespace tally::metrics
