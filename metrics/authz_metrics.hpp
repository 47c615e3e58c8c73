#pragma once
#include <prometheus/collectable.h>
#include <cstdint>
#include <vector>

#include "metrics/cells.hpp"
#include "metrics/registry.hpp"

namespace tally::metrics {

enum class TokenLookup : std::uint8_t {
  known,        ///< from memory
  fetched,      ///< asked the database, which knew it
  unknown,      ///< malformed, unknown, expired or revoked
  unavailable,  ///< not in memory, and the database is away
};

/// Decisions and token look-ups, on http threads: each method is called by the thread it names.
class AuthzMetrics final : public prometheus::Collectable {
 public:
  AuthzMetrics(Registry& registry, std::uint32_t threads);

  void decided(std::uint32_t thread, bool allowed) noexcept;
  void looked_up(std::uint32_t thread, TokenLookup result) noexcept;

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Cells decisions_;
  Cells lookups_;
};

}  // namespace tally::metrics
