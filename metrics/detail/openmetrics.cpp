#include "metrics/detail/openmetrics.hpp"

#include <charconv>
#include <cmath>
#include <string_view>

namespace tally::metrics::detail {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    char digits[32];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }
}

/// A bound of a bucket or a quantile is written like a float, so that 1 and 1.0 are not two series.
void append_bound(std::string& out, double value) {
  const std::size_t start = out.size();
  append_number(out, value);
  if (std::isfinite(value) && out.find_first_of(".e", start) == std::string::npos) out += ".0";
}

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || c == '"') out += '\\';
      out += c;
    }
  }
}

std::string_view type_name(MetricType type) {
  switch (type) {
    case MetricType::Counter:
      return "counter";
    case MetricType::Gauge:
      return "gauge";
    case MetricType::Summary:
      return "summary";
    case MetricType::Histogram:
      return "histogram";
    case MetricType::Untyped:
      return "unknown";
  }
  return "unknown";
}

/// The family's name in OpenMetrics: without the suffix that its samples carry.
std::string_view family_name(const MetricFamily& family) {
  constexpr std::string_view kTotal = "_total";
  std::string_view name = family.name;
  if (family.type == MetricType::Counter && name.ends_with(kTotal)) name.remove_suffix(kTotal.size());
  return name;
}

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void family(const MetricFamily& family) {
    name_ = family_name(family);
    comment("HELP", family.help, true);
    comment("TYPE", type_name(family.type), false);
    for (const ClientMetric& metric : family.metric) samples(family.type, metric);
  }

 private:
  void comment(std::string_view keyword, std::string_view text, bool escape) {
    out_ += "# ";
    out_ += keyword;
    out_ += ' ';
    out_ += name_;
    out_ += ' ';
    if (escape) {
      append_escaped(out_, text);
    } else {
      out_ += text;
    }
    out_ += '\n';
  }

  void samples(MetricType type, const ClientMetric& metric) {
    switch (type) {
      case MetricType::Counter:
        return sample("_total", metric, metric.counter.value);
      case MetricType::Gauge:
        return sample("", metric, metric.gauge.value);
      case MetricType::Untyped:
        return sample("", metric, metric.untyped.value);
      case MetricType::Histogram:
        return histogram(metric);
      case MetricType::Summary:
        return summary(metric);
    }
  }

  void histogram(const ClientMetric& metric) {
    bool infinite = false;
    for (const ClientMetric::Bucket& bucket : metric.histogram.bucket) {
      sample("_bucket", metric, static_cast<double>(bucket.cumulative_count), "le", bucket.upper_bound);
      infinite = std::isinf(bucket.upper_bound);
    }
    const auto count = static_cast<double>(metric.histogram.sample_count);
    if (!infinite) sample("_bucket", metric, count, "le", INFINITY);
    sample("_count", metric, count);
    sample("_sum", metric, metric.histogram.sample_sum);
  }

  void summary(const ClientMetric& metric) {
    for (const ClientMetric::Quantile& quantile : metric.summary.quantile) {
      sample("", metric, quantile.value, "quantile", quantile.quantile);
    }
    sample("_count", metric, static_cast<double>(metric.summary.sample_count));
    sample("_sum", metric, metric.summary.sample_sum);
  }

  void sample(std::string_view suffix, const ClientMetric& metric, double value, std::string_view bound_name = {},
              double bound = 0) {
    out_ += name_;
    out_ += suffix;
    char separator = '{';
    for (const ClientMetric::Label& label : metric.label) {
      out_ += separator;
      out_ += label.name;
      out_ += "=\"";
      append_escaped(out_, label.value);
      out_ += '"';
      separator = ',';
    }
    if (!bound_name.empty()) {
      out_ += separator;
      out_ += bound_name;
      out_ += "=\"";
      append_bound(out_, bound);
      out_ += '"';
      separator = ',';
    }
    if (separator == ',') out_ += '}';
    out_ += ' ';
    append_number(out_, value);
    out_ += '\n';
  }

  std::string& out_;
  std::string_view name_;
};

}  // namespace

std::string openmetrics(const std::vector<MetricFamily>& families) {
  std::string out;
  Writer writer(out);
  for (const MetricFamily& family : families) writer.family(family);
  out += "# EOF\n";
  return out;
}

}  // namespace tally::metrics::detail
