#include "metrics/http_metrics.hpp"

#include <algorithm>

#include "metrics/detail/sampled.hpp"

namespace tally::metrics {
namespace {

using std::chrono::nanoseconds;

constexpr std::array<std::string_view, 6> kMethods = {"GET", "HEAD", "POST", "PUT", "DELETE", "other"};
constexpr std::array<unsigned, 23> kCodes = {200, 201, 202, 204, 400, 401, 403, 404, 405, 408, 409, 413,
                                             414, 415, 417, 422, 429, 431, 500, 501, 503, 504, 0};
constexpr std::size_t kOtherCode = kCodes.size() - 1;
constexpr std::array<std::string_view, 12> kLimits = {
    "request_line", "header_section",  "header_fields",        "body",
    "bodies",       "header_deadline", "body_deadline",        "write_deadline",
    "idle",         "connections",     "connections_per_peer", "descriptors"};

constexpr std::array<double, 16> kBounds = {0.000025, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                            0.025,    0.05,   0.1,     0.25,   0.5,   1,      5,     30};
constexpr auto kBoundsNs = [] {
  std::array<std::int64_t, kBounds.size()> bounds{};
  for (std::size_t i = 0; i < bounds.size(); ++i) bounds[i] = static_cast<std::int64_t>(kBounds[i] * 1e9 + 0.5);
  return bounds;
}();
// Per route: one slot for each bucket, one beyond the last bound, one for the sum in nanoseconds.
constexpr std::size_t kDurationSlots = kBounds.size() + 2;

constexpr std::size_t request_slot(std::uint32_t route, std::size_t method, std::size_t code) {
  return (route * kMethods.size() + method) * kCodes.size() + code;
}

constexpr auto kCodeIndex = [] {
  std::array<std::uint8_t, 600> index{};
  index.fill(static_cast<std::uint8_t>(kOtherCode));
  for (std::size_t i = 0; i < kOtherCode; ++i) index[kCodes[i]] = static_cast<std::uint8_t>(i);
  return index;
}();

std::size_t code_index(unsigned status) {
  return status < kCodeIndex.size() ? kCodeIndex[status] : kOtherCode;
}

/// What a route of this method may be expected to answer: those series are shown from the start.
std::span<const unsigned> usual_codes(HttpMethod method) {
  static constexpr unsigned kGet[] = {200, 400, 401, 403, 404, 429, 500, 503};
  static constexpr unsigned kPost[] = {200, 201, 202, 400, 401, 403, 409, 413, 415, 422, 429, 500, 503};
  static constexpr unsigned kPut[] = {200, 201, 400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503};
  static constexpr unsigned kDelete[] = {204, 400, 401, 403, 404, 409, 429, 500, 503};
  switch (method) {
    case HttpMethod::get:
      return kGet;
    case HttpMethod::post:
      return kPost;
    case HttpMethod::put:
      return kPut;
    case HttpMethod::delete_:
      return kDelete;
    case HttpMethod::head:
    case HttpMethod::other:
      return {};
  }
  return {};
}

std::vector<std::string> distinct_patterns(std::span<const HttpRow> rows) {
  std::vector<std::string> patterns{"none"};
  for (const HttpRow& row : rows) {
    if (std::ranges::find(patterns, row.pattern) == patterns.end()) patterns.emplace_back(row.pattern);
  }
  return patterns;
}

}  // namespace

HttpMetrics::HttpMetrics(Registry& registry, std::span<const HttpRow> rows, std::uint32_t threads)
    : patterns_(distinct_patterns(rows)),
      at_start_(patterns_.size() * kMethods.size() * kCodes.size()),
      requests_(threads, at_start_.size()),
      durations_(threads, patterns_.size() * kDurationSlots),
      connections_(threads, 2),
      limits_(threads, kLimits.size()) {
  for (const HttpRow& row : rows) {
    for (const unsigned code : usual_codes(row.method)) {
      at_start_[request_slot(route(row.pattern), static_cast<std::size_t>(row.method), code_index(code))] = true;
    }
  }
  for (std::size_t method = 0; method < kMethods.size(); ++method) {
    for (const unsigned code : {400U, 404U}) at_start_[request_slot(kNoRoute, method, code_index(code))] = true;
  }
  registry.add(*this);
}

std::uint32_t HttpMetrics::route(std::string_view pattern) const noexcept {
  const auto found = std::ranges::find(patterns_, pattern);
  return found == patterns_.end() ? kNoRoute : static_cast<std::uint32_t>(found - patterns_.begin());
}

void HttpMetrics::request_finished(std::uint32_t thread, std::uint32_t route, HttpMethod method, unsigned status,
                                   nanoseconds took) noexcept {
  requests_.add(thread, request_slot(route, static_cast<std::size_t>(method), code_index(status)));
  const std::int64_t ns = std::max<std::int64_t>(took.count(), 0);
  std::size_t bucket = 0;
  while (bucket < kBoundsNs.size() && ns > kBoundsNs[bucket]) ++bucket;
  const std::size_t first = route * kDurationSlots;
  durations_.add(thread, first + bucket);
  durations_.add(thread, first + kBounds.size() + 1, static_cast<std::uint64_t>(ns));
}

void HttpMetrics::connection_opened(std::uint32_t thread) noexcept {
  connections_.add(thread, 0);
}
void HttpMetrics::connection_closed(std::uint32_t thread) noexcept {
  connections_.add(thread, 1);
}
void HttpMetrics::limit_reached(std::uint32_t thread, HttpLimit limit) noexcept {
  limits_.add(thread, static_cast<std::size_t>(limit));
}

std::vector<prometheus::MetricFamily> HttpMetrics::Collect() const {
  using prometheus::MetricType;
  auto requests = detail::family("tallyd_http_requests_total", MetricType::Counter,
                                 "Answered HTTP requests, by route pattern, method and status code.");
  auto durations = detail::family("tallyd_http_request_duration_seconds", MetricType::Histogram,
                                  "From the last byte of a request's header section to its answer, by route pattern.");
  for (std::uint32_t route = 0; route < patterns_.size(); ++route) {
    for (std::size_t method = 0; method < kMethods.size(); ++method) {
      for (std::size_t code = 0; code < kCodes.size(); ++code) {
        const std::size_t slot = request_slot(route, method, code);
        const std::uint64_t count = requests_.sum(slot);
        if (count == 0 && !at_start_[slot]) continue;
        const std::string text = code == kOtherCode ? "other" : std::to_string(kCodes[code]);
        detail::add_sample(requests, {{"route", patterns_[route]}, {"method", kMethods[method]}, {"code", text}},
                           static_cast<double>(count));
      }
    }
    prometheus::ClientMetric metric;
    metric.label.push_back({"route", patterns_[route]});
    std::uint64_t cumulative = 0;
    for (std::size_t i = 0; i < kBounds.size(); ++i) {
      cumulative += durations_.sum(route * kDurationSlots + i);
      metric.histogram.bucket.push_back({cumulative, kBounds[i]});
    }
    cumulative += durations_.sum(route * kDurationSlots + kBounds.size());
    metric.histogram.sample_count = cumulative;
    metric.histogram.sample_sum =
        static_cast<double>(durations_.sum(route * kDurationSlots + kBounds.size() + 1)) * 1e-9;
    durations.metric.push_back(std::move(metric));
  }

  auto connections = detail::family("tallyd_http_connections", MetricType::Gauge, "Open HTTP connections.");
  // Closed is read first: a connection that opens and closes in between must not make the difference negative.
  const std::uint64_t closed = connections_.sum(1);
  detail::add_sample(connections, {}, static_cast<double>(connections_.sum(0) - closed));
  auto limits = detail::family("tallyd_http_limits_reached_total", MetricType::Counter,
                               "Requests or connections cut off by a limit on size, time or number.");
  for (std::size_t i = 0; i < kLimits.size(); ++i) {
    detail::add_sample(limits, {{"limit", kLimits[i]}}, static_cast<double>(limits_.sum(i)));
  }
  return {std::move(requests), std::move(durations), std::move(connections), std::move(limits)};
}

}  // namespace tally::metrics
