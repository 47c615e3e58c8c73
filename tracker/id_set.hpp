#pragma once
#include <array>
#include <cstdint>
#include <memory>

#include "tracker/uuid.hpp"

namespace tally::tracker {

namespace detail {

/// Filled from the front; the nil id marks a free slot.
struct alignas(64) IdGroup {
  static constexpr std::size_t kSlots = 4;
  std::array<Uuid, kSlots> slots;

  bool holds(const Uuid& id) const noexcept {
    return ((slots[0] == id) | (slots[1] == id) | (slots[2] == id) | (slots[3] == id)) != 0;
  }
  bool is_full() const noexcept { return !slots[kSlots - 1].is_nil(); }
  void add(const Uuid& id) noexcept {
    std::size_t at = 0;
    while (!slots[at].is_nil()) ++at;
    slots[at] = id;
  }
};
struct FreeIdGroups {
  std::size_t bytes;
  void operator()(IdGroup* groups) const noexcept;
};

}  // namespace detail

/// Set of ids that only grows until it is cleared: open addressing, 16 bytes a slot, at most 80 % full, so 20 to 40
/// bytes an id. The hash is keyed with a random seed, since clients choose the ids. One thread.
///
/// Slots come in groups of one cache line, which is compared as a whole: a look-up costs one miss, and no branch that
/// depends on where in the line the id is.
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

  /// Asks the cache for the group where a look-up of this hash starts.
  void prefetch(std::uint64_t hash) const noexcept { __builtin_prefetch(groups_.get() + (hash >> shift_), 1); }

  /// True: it was not there. `hash` must be `hash(id)`.
  bool insert(const Uuid& id, std::uint64_t hash) {
    if (id.is_nil()) return insert_nil();
    const std::size_t mask = groups_count_ - 1;
    for (std::size_t at = hash >> shift_;; at = (at + 1) & mask) {
      Group& group = groups_[at];
      if (group.holds(id)) return false;
      if (group.is_full()) continue;
      group.add(id);
      if (++used_ >= limit_) grow();
      return true;
    }
  }
  bool insert(const Uuid& id) { return insert(id, hash(id)); }
  bool contains(const Uuid& id) const noexcept;

  std::size_t size() const noexcept { return used_ + (has_nil_ ? 1 : 0); }
  std::size_t memory_bytes() const noexcept { return groups_count_ * sizeof(Group); }
  /// Forgets all ids and gives the memory back.
  void clear();

 private:
  using Group = detail::IdGroup;
  static constexpr std::uint64_t kOdd = 0xd6e8feb86659fd93ULL;
  void allocate(std::size_t groups);
  void grow();
  bool insert_nil() {
    const bool fresh = !has_nil_;
    has_nil_ = true;
    return fresh;
  }

  std::uint64_t seed_;

  std::unique_ptr<Group[], detail::FreeIdGroups> groups_{nullptr, {0}};
  std::size_t groups_count_ = 0;  // a power of two
  std::size_t used_ = 0;
  std::size_t limit_ = 0;
  unsigned shift_ = 0;
  bool has_nil_ = false;
};

}  // namespace tally::tracker
