#include "metrics/authz_metrics.hpp"

#include <array>
#include <string_view>

#include "metrics/detail/sampled.hpp"

namespace tally::metrics {
namespace {

constexpr std::array<std::string_view, 2> kDecisions = {"deny", "allow"};
constexpr std::array<std::string_view, 4> kLookups = {"known", "fetched", "unknown", "unavailable"};

}  // namespace

AuthzMetrics::AuthzMetrics(Registry& registry, std::uint32_t threads)
    : decisions_(threads, kDecisions.size()), lookups_(threads, kLookups.size()) {
  registry.add(*this);
}

void AuthzMetrics::decided(std::uint32_t thread, bool allowed) noexcept {
  decisions_.add(thread, allowed ? 1 : 0);
}
void AuthzMetrics::looked_up(std::uint32_t thread, TokenLookup result) noexcept {
  lookups_.add(thread, static_cast<std::size_t>(result));
}

std::vector<prometheus::MetricFamily> AuthzMetrics::Collect() const {
  using prometheus::MetricType;
  auto decisions = detail::family("tallyd_authz_decisions_total", MetricType::Counter, "Authorization decisions.");
  for (std::size_t i = 0; i < kDecisions.size(); ++i) {
    detail::add_sample(decisions, {{"decision", kDecisions[i]}}, static_cast<double>(decisions_.sum(i)));
  }
  auto lookups =
      detail::family("tallyd_token_lookups_total", MetricType::Counter, "Bearer tokens looked up, by result.");
  for (std::size_t i = 0; i < kLookups.size(); ++i) {
    detail::add_sample(lookups, {{"result", kLookups[i]}}, static_cast<double>(lookups_.sum(i)));
  }
  return {std::move(decisions), std::move(lookups)};
}

}  // namespace tally::metrics
