#pragma once
#include <cstdint>
#include <memory>

#include "tracker/uuid.hpp"

namespace tally::tracker {

/// Set of ids that only grows until it is cleared: open addressing, 16 bytes a slot, at most 80 % full, so 20 to 40
/// bytes an id. The hash is keyed with a random seed, since clients choose the ids. One thread.
class IdSet {
 public:
  IdSet();
  explicit IdSet(std::uint64_t seed);
  IdSet(IdSet&&) noexcept = default;
  IdSet& operator=(IdSet&&) noexcept = default;

  std::uint64_t hash(const Uuid& id) const noexcept {
    const auto product = static_cast<unsigned __int128>(id.high() ^ seed_) *
                         static_cast<unsigned __int128>(id.low() ^ kOdd ^ (seed_ >> 7));
    const auto folded = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    return (folded ^ seed_) * 0x9e3779b97f4a7c15ULL;
  }

  /// Asks the cache for the slot where a look-up of this hash starts.
  void prefetch(std::uint64_t hash) const noexcept { __builtin_prefetch(slots_.get() + (hash >> shift_), 1); }

  /// True: it was not there. `hash` must be `hash(id)`.
  bool insert(const Uuid& id, std::uint64_t hash) {
    if (id.is_nil()) return insert_nil();
    const std::size_t mask = capacity_ - 1;
    for (std::size_t at = hash >> shift_;; at = (at + 1) & mask) {
      Uuid& slot = slots_[at];
      if (slot == id) return false;
      if (slot.is_nil()) {
        slot = id;
        ++used_;
        if (used_ >= limit_) grow();
        return true;
      }
    }
  }
  bool insert(const Uuid& id) { return insert(id, hash(id)); }
  bool contains(const Uuid& id) const noexcept;

  std::size_t size() const noexcept { return used_ + (has_nil_ ? 1 : 0); }
  std::size_t memory_bytes() const noexcept { return capacity_ * sizeof(Uuid); }
  /// Forgets all ids and gives the memory back.
  void clear();

 private:
  static constexpr std::uint64_t kOdd = 0xd6e8feb86659fd93ULL;
  void allocate(std::size_t capacity);
  void grow();
  bool insert_nil() {
    const bool fresh = !has_nil_;
    has_nil_ = true;
    return fresh;
  }

  std::uint64_t seed_;
  std::unique_ptr<Uuid[]> slots_;  // the nil id marks a free slot
  std::size_t capacity_ = 0;       // a power of two
  std::size_t used_ = 0;
  std::size_t limit_ = 0;
  unsigned shift_ = 0;
  bool has_nil_ = false;
};

}  // namespace tally::tracker
