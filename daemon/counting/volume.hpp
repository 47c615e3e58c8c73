#pragma once
#include <atomic>
#include <cstdint>
#include <optional>

#include "tracker/batch.hpp"

namespace tally::daemon {

/// How much was acknowledged.
struct Volume {
  tracker::Sum requests = 0;            ///< allowed + denied
  std::uint64_t events = 0;             ///< of all kinds
  std::uint64_t connection_events = 0;  ///< of them
  std::uint64_t usage_events = 0;       ///< of them
  Volume& operator+=(const Volume& other) {
    requests += other.requests;
    events += other.events;
    connection_events += other.connection_events;
    usage_events += other.usage_events;
    return *this;
  }
  /// Never below nothing: what somebody else brought in may have been taken off already.
  Volume& operator-=(const Volume& other) {
    requests -= requests < other.requests ? requests : other.requests;
    events -= events < other.events ? events : other.events;
    connection_events -= connection_events < other.connection_events ? connection_events : other.connection_events;
    usage_events -= usage_events < other.usage_events ? usage_events : other.usage_events;
    return *this;
  }
};

/// What the ledger takes from the replica that answers, instead of its last heartbeat.
struct OwnShare {
  Volume unflushed;
  /// False: what earlier processes left in the directory is not in it yet; the last heartbeat knew it.
  bool complete = true;
};

inline Volume volume_of(const tracker::FlushBatch& batch) {
  return {tracker::all_requests(batch), batch.increments + batch.connection_events + batch.usage_events,
          batch.connection_events, batch.usage_events};
}

/// Whether anything is on its way into the store, so that who reads both sides knows whether they belong together.
/// Thread-safe.
class Traffic {
 public:
  class Guard {
   public:
    explicit Guard(Traffic& traffic) : traffic_(traffic) { traffic_.begun_.fetch_add(1); }
    ~Guard() { traffic_.ended_.fetch_add(1); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Traffic& traffic_;
  };
  /// The same number twice: nothing moved in between. Nothing: something is moving.
  std::optional<std::uint64_t> still() const {
    const std::uint64_t ended = ended_.load();
    const std::uint64_t begun = begun_.load();
    if (begun != ended) return std::nullopt;
    return begun;
  }

 private:
  std::atomic<std::uint64_t> begun_{0};
  std::atomic<std::uint64_t> ended_{0};
};

}  // namespace tally::daemon
