#pragma once
#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>

#include "tracker/batch.hpp"
#include "tracker/id_set.hpp"

namespace tally::tracker {

/// Keys are SHA-256 prefixes, so any 8 of their bytes are a hash.
struct UuidHash {
  using is_avalanching = void;
  std::size_t operator()(const Uuid& id) const noexcept { return id.low(); }
};

/// Bounds on what one accumulator may hold; past them the content is re-read from the journal instead.
struct AccumulatorLimits {
  /// Ids remembered in one epoch, workspaces and users together; 16 to 40 bytes each.
  std::size_t ids = 4'000'000;
  /// Keyed effects between two cuts (accounting.md F1).
  std::size_t effects = 1'000;
  /// Ids inside keyed effects between two cuts.
  std::size_t effect_ids = 200'000;
  /// Payload of connection events between two cuts: about 30,000 events.
  std::size_t connection_bytes = 8 << 20;
  /// The same of usage events.
  std::size_t usage_bytes = 8 << 20;
  /// Past so many of them the next record waits for the next flush; one record is taken whole.
  std::size_t usage_events = 10'000;
};

/// Adds records up: sums, and ids that were not seen before in this epoch (ARCHITECTURE.md, "Epochs"). One thread.
class Accumulator {
 public:
  enum class Added {
    yes,
    full,       ///< a bound would be passed; nothing was added
    malformed,  ///< the payload does not decode, or its type is unknown: written by another version
  };

  explicit Accumulator(AccumulatorLimits limits = {}) : limits_(limits) {}

  Added add(RecordType type, std::span<const std::byte> payload, WallTime appended_at);

  /// Hands over what was added since the last `take`; the ids stay remembered. Range and guard are left to the caller.
  FlushBatch take();
  /// Forgets the ids, and whatever was not taken.
  void begin_epoch();

  bool empty() const noexcept { return !touched_; }
  std::size_t effects() const noexcept { return content_.effects.size(); }
  std::size_t connection_bytes() const noexcept { return connection_bytes_; }
  std::size_t usage_bytes() const noexcept { return usage_bytes_; }
  std::size_t usage_events() const noexcept { return content_.usage.size(); }
  std::size_t memory_bytes() const noexcept;

 private:
  Added add_boundary(std::span<const std::byte> payload, WallTime appended_at);
  Added add_keyed(std::span<const std::byte> payload, WallTime appended_at);
  Added add_connections(std::span<const std::byte> payload);
  Added add_usage(std::span<const std::byte> payload);
  bool has_room(std::span<const std::byte> connections) const;
  KeyedEffect* begin_effect(const GroupKey& key);
  void note_appended(WallTime at, std::uint64_t increments);

  /// Increments in flight: enough to hide a cache miss each, few enough to stay in L1.
  static constexpr std::size_t kAhead = 32;
  struct Ahead {
    Increment increment;
    std::uint64_t workspace_hash = 0;
    std::uint64_t user_hash = 0;
  };

  AccumulatorLimits limits_;
  std::array<Ahead, kAhead> ahead_;  ///< scratch; a member so that it is not cleared for each record
  FlushBatch content_;
  IdSet seen_workspaces_;
  IdSet seen_users_;
  boost::unordered_flat_map<Uuid, std::uint32_t, UuidHash> effect_of_key_;
  boost::unordered_flat_map<Uuid, std::uint32_t, UuidHash> connection_of_entry_;
  std::size_t effect_ids_ = 0;
  std::size_t connection_bytes_ = 0;
  std::size_t usage_bytes_ = 0;
  bool touched_ = false;
};

/// As many usage events as the shards of a flush may bring together; more are re-read in parts.
inline constexpr std::size_t kMostUsageEvents = 20'000;

/// Adds `part` to `whole`: another shard's share of the same records. Repeats of a key are merged into the refused
/// sums. False: more than `max_effects` keyed effects or `kMostUsageEvents` would be in it; `whole` is then unusable.
bool merge(FlushBatch& whole, FlushBatch&& part, std::size_t max_effects);

}  // namespace tally::tracker
