#include "metrics/connection_metrics.hpp"

#include "metrics/detail/single.hpp"

namespace tally::metrics {

ConnectionMetrics::ConnectionMetrics(Registry& registry)
    : purged_(detail::counter(registry, "tallyd_connection_log_purged_total",
                              "Entries of the connection log that this replica removed after their retention.")),
      lost_(detail::counter(registry, "tallyd_connections_lost_total",
                            "Sessions that this replica marked as lost: nothing was heard of them for too long.")) {}

void ConnectionMetrics::purged(std::uint64_t entries) noexcept {
  purged_.Increment(static_cast<double>(entries));
}
void ConnectionMetrics::lost(std::uint64_t sessions) noexcept {
  lost_.Increment(static_cast<double>(sessions));
}

}  // namespace tally::metrics
