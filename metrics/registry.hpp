#pragma once
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <string>
#include <string_view>
#include <vector>

namespace tally::metrics {

/// Every metric of the process. Classes of this folder register themselves here when they are built and must stay until
/// the last scrape. Thread-safe once all are built.
class Registry {
 public:
  prometheus::Registry& families() noexcept { return families_; }
  /// For metrics that are summed up when somebody asks. `source` outlives the registry's last `collect`.
  void add(const prometheus::Collectable& source) { sources_.push_back(&source); }

  /// Sorted by name.
  std::vector<prometheus::MetricFamily> collect() const;

 private:
  prometheus::Registry families_;
  std::vector<const prometheus::Collectable*> sources_;
};

enum class Format { text, openmetrics };

/// What a scraper asks for: OpenMetrics when its Accept prefers it, else the Prometheus text format.
Format choose_format(std::string_view accept);
std::string_view content_type(Format format);
std::string expose(const std::vector<prometheus::MetricFamily>& families, Format format);

}  // namespace tally::metrics
