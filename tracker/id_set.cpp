#include "tracker/id_set.hpp"

#include <sys/mman.h>

#include <bit>
#include <new>

namespace tally::tracker {
namespace {

constexpr std::size_t kFirstGroups = 16;
// From here on large pages are asked for: at a million ids most of a look-up was finding the page.
constexpr std::size_t kLarge = 2 << 20;

}  // namespace

void detail::FreeIdGroups::operator()(IdGroup* groups) const noexcept {
  if (bytes < kLarge)
    ::operator delete (groups, std::align_val_t{alignof(detail::IdGroup)});
  else
    ::munmap(groups, bytes);
}

IdSet::IdSet() : IdSet(Uuid::random().low()) {}

IdSet::IdSet(std::uint64_t seed) : seed_(seed | 1) {
  allocate(kFirstGroups);
}

void IdSet::allocate(std::size_t groups) {
  const std::size_t bytes = groups * sizeof(detail::IdGroup);
  void* memory = nullptr;
  if (bytes < kLarge) {
    memory = ::operator new (bytes, std::align_val_t{alignof(detail::IdGroup)});
    std::memset(memory, 0, bytes);
  } else {
    memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    (void)::madvise(memory, bytes, MADV_HUGEPAGE);
  }
  groups_ = std::unique_ptr<Group[], detail::FreeIdGroups>(static_cast<Group*>(memory), {bytes});
  groups_count_ = groups;
  limit_ = groups * Group::kSlots / 5 * 4;
  shift_ = 64 - static_cast<unsigned>(std::countr_zero(groups));
}

void IdSet::grow() {
  const auto old = std::move(groups_);
  const std::size_t old_count = groups_count_;
  allocate(old_count * 2);
  const std::size_t mask = groups_count_ - 1;
  for (std::size_t i = 0; i < old_count; ++i) {
    for (const Uuid& id : old[i].slots) {
      if (id.is_nil()) break;
      std::size_t at = hash(id) >> shift_;
      while (groups_[at].is_full()) at = (at + 1) & mask;
      groups_[at].add(id);
    }
  }
}

bool IdSet::contains(const Uuid& id) const noexcept {
  if (id.is_nil()) return has_nil_;
  for (std::size_t at = hash(id) >> shift_;; at = (at + 1) & (groups_count_ - 1)) {
    if (groups_[at].holds(id)) return true;
    if (!groups_[at].is_full()) return false;
  }
}

void IdSet::clear() {
  has_nil_ = false;
  if (used_ == 0) return;
  used_ = 0;
  allocate(kFirstGroups);
}

}  // namespace tally::tracker
