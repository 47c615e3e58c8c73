#include "metrics/registry.hpp"

#include <prometheus/text_serializer.h>
#include <algorithm>
#include <charconv>

#include "metrics/detail/openmetrics.hpp"

namespace tally::metrics {
namespace {

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Takes what precedes `separator` off the front of `rest`.
std::string_view next(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view part = trim(rest.substr(0, end));
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return part;
}

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return (x | 0x20) == (y | 0x20); });
}

/// Quality of a range as thousandths; 0 when it is refused or malformed.
int quality(std::string_view text) {
  int whole = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error != std::errc{} || whole < 0 || whole > 1) return 0;
  int thousandths = whole * 1000;
  int weight = 100;
  for (const char* at = end + 1; end < text.data() + text.size() && at < text.data() + text.size();
       ++at, weight /= 10) {
    if (*at < '0' || *at > '9') return 0;
    thousandths += (*at - '0') * weight;
  }
  return std::min(thousandths, 1000);
}

}  // namespace

std::vector<prometheus::MetricFamily> Registry::collect() const {
  std::vector<prometheus::MetricFamily> all = families_.Collect();
  for (const prometheus::Collectable* source : sources_) {
    for (prometheus::MetricFamily& family : source->Collect()) all.push_back(std::move(family));
  }
  std::ranges::sort(all, {}, &prometheus::MetricFamily::name);
  return all;
}

Format choose_format(std::string_view accept) {
  int openmetrics = 0;
  int text = 0;
  while (!accept.empty()) {
    std::string_view range = next(accept, ',');
    const std::string_view type = next(range, ';');
    int q = 1000;
    bool version_taken = true;
    while (!range.empty()) {
      std::string_view parameter = next(range, ';');
      const std::string_view name = next(parameter, '=');
      if (same_word(name, "q")) q = quality(parameter);
      // 0.0.1 is what older scrapers call the same syntax without exemplars.
      if (same_word(name, "version"))
        version_taken = parameter == "1.0.0" || parameter == "0.0.1" || parameter == "0.0.4";
    }
    if (!version_taken) continue;
    if (same_word(type, "application/openmetrics-text")) openmetrics = std::max(openmetrics, q);
    if (same_word(type, "text/plain") || type == "text/*" || type == "*/*") text = std::max(text, q);
  }
  return openmetrics > 0 && openmetrics >= text ? Format::openmetrics : Format::text;
}

std::string_view content_type(Format format) {
  return format == Format::openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                       : "text/plain; version=0.0.4; charset=utf-8";
}

std::string expose(const std::vector<prometheus::MetricFamily>& families, Format format) {
  if (format == Format::openmetrics) return detail::openmetrics(families);
  return prometheus::TextSerializer{}.Serialize(families);
}

}  // namespace tally::metrics
