#pragma once
#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>

#include "tracker/accumulator.hpp"
#include "tracker/clock.hpp"
#include "tracker/uuid.hpp"

namespace tally::tracker {

/// Keys that this process made durable lately, so that a repeat is answered without a record (accounting.md section 9).
/// A key is in it only once its first copy is durable; what it does not know is journalled again and refused by the
/// flush. Starts empty: after a boot nothing is known to be durable. Thread-safe.
class KeyMemory {
 public:
  enum class Known {
    no,
    same,      ///< the same key with the same body
    conflict,  ///< the same key with another body
  };

  /// `window`: how long a key is remembered. `capacity`: keys at most; the oldest gives way.
  KeyMemory(std::chrono::milliseconds window, std::size_t capacity)
      : window_(window), shard_capacity_(capacity / kShards + 1) {}

  Known look_up(const Uuid& key, std::uint64_t body, SteadyTime now) const;
  /// The record that carries the key is durable.
  void remember(const Uuid& key, std::uint64_t body, SteadyTime now);
  /// A stream was sealed: under a relaxed sync mode its last records may be gone, so no key of it may be vouched for.
  void forget_all();

 private:
  static constexpr std::size_t kShards = 16;
  struct Entry {
    std::uint64_t body = 0;
    SteadyTime since{};
  };
  struct Shard {
    mutable std::mutex mutex;  ///< guards what follows
    boost::unordered_flat_map<Uuid, Entry, UuidHash> entries;
    std::deque<std::pair<Uuid, SteadyTime>> by_age;
  };
  Shard& shard_of(const Uuid& key) { return shards_[key.high() % kShards]; }
  const Shard& shard_of(const Uuid& key) const { return shards_[key.high() % kShards]; }

  const std::chrono::milliseconds window_;
  const std::size_t shard_capacity_;
  std::array<Shard, kShards> shards_;
};

}  // namespace tally::tracker
