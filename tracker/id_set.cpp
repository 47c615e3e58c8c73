#include "tracker/id_set.hpp"

#include <bit>

namespace tally::tracker {
namespace {

constexpr std::size_t kFirstCapacity = 64;

}  // namespace

IdSet::IdSet() : IdSet(Uuid::random().low()) {}

IdSet::IdSet(std::uint64_t seed) : seed_(seed | 1) {
  allocate(kFirstCapacity);
}

void IdSet::allocate(std::size_t capacity) {
  slots_ = std::make_unique<Uuid[]>(capacity);
  capacity_ = capacity;
  limit_ = capacity / 5 * 4;
  shift_ = 64 - static_cast<unsigned>(std::countr_zero(capacity));
}

void IdSet::grow() {
  const std::unique_ptr<Uuid[]> old = std::move(slots_);
  const std::size_t old_capacity = capacity_;
  allocate(old_capacity * 2);
  const std::size_t mask = capacity_ - 1;
  for (std::size_t i = 0; i < old_capacity; ++i) {
    if (old[i].is_nil()) continue;
    std::size_t at = hash(old[i]) >> shift_;
    while (!slots_[at].is_nil()) at = (at + 1) & mask;
    slots_[at] = old[i];
  }
}

bool IdSet::contains(const Uuid& id) const noexcept {
  if (id.is_nil()) return has_nil_;
  for (std::size_t at = hash(id) >> shift_; !slots_[at].is_nil(); at = (at + 1) & (capacity_ - 1))
    if (slots_[at] == id) return true;
  return false;
}

void IdSet::clear() {
  has_nil_ = false;
  if (used_ == 0) return;
  used_ = 0;
  allocate(kFirstCapacity);
}

}  // namespace tally::tracker
