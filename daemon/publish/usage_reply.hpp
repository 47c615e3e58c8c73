#pragma once
#include <optional>
#include <vector>

#include "daemon/client/client.hpp"
#include "db/usage_events.hpp"

namespace tally::daemon {

/// What the collector's answer means for each event of a batch.
struct UsageVerdict {
  std::vector<db::UsageOutcome> outcomes;  ///< one for each event sent, in their order
  std::uint64_t strangers = 0;             ///< events that it named and that were not sent
  std::string problem;                     ///< why none of them came to rest; empty if the answer could be read
};

/// `random` in [0, 1) spreads the next attempts; `asked_for`: a Retry-After. An event that is named as accepted was,
/// whatever else is said of it; one that is not named was not taken.
UsageVerdict judge(const std::vector<db::UsageEventRow>& sent, const client::Exchange& exchange, double random,
                   std::optional<std::chrono::milliseconds> asked_for);

/// `{"events": [...]}`.
std::string usage_batch_json(const std::vector<db::UsageEventRow>& events);

}  // namespace tally::daemon
