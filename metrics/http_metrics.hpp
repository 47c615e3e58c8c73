#pragma once
#include <prometheus/collectable.h>
#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/cells.hpp"
#include "metrics/registry.hpp"

namespace tally::metrics {

enum class HttpMethod : std::uint8_t { get, head, post, put, delete_, other };

/// A limit on what a client may send or how long it may take.
enum class HttpLimit : std::uint8_t {
  request_line,
  header_section,
  header_fields,
  body,
  bodies,
  header_deadline,
  body_deadline,
  write_deadline,
  idle,
  connections,
  connections_per_peer,
  descriptors,
};

struct HttpRow {
  HttpMethod method;
  std::string_view pattern;  ///< the route's pattern, never a path
};

/// Requests, their duration, connections and limits. Every method but `Collect` is called by the http thread it names.
class HttpMetrics final : public prometheus::Collectable {
 public:
  static constexpr std::uint32_t kNoRoute = 0;  ///< shown as route="none"

  /// `rows`: every route that a listener offers; their series exist from the start.
  HttpMetrics(Registry& registry, std::span<const HttpRow> rows, std::uint32_t threads);

  /// The number that `request_finished` wants; `kNoRoute` for a pattern that was not in `rows`.
  std::uint32_t route(std::string_view pattern) const noexcept;

  /// Once per answer.
  void request_finished(std::uint32_t thread, std::uint32_t route, HttpMethod method, unsigned status,
                        std::chrono::nanoseconds took) noexcept;
  void connection_opened(std::uint32_t thread) noexcept;
  void connection_closed(std::uint32_t thread) noexcept;
  void limit_reached(std::uint32_t thread, HttpLimit limit) noexcept;

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::vector<std::string> patterns_;  ///< by route number
  std::vector<bool> at_start_;         ///< by request slot: shown although nothing happened yet
  Cells requests_;
  Cells durations_;
  Cells connections_;
  Cells limits_;
};

}  // namespace tally::metrics
