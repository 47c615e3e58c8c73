#include "daemon/http/detail/slots.hpp"

#include <algorithm>
#include <boost/container_hash/hash.hpp>
#include <utility>

namespace tally::http::detail {

Slot::Slot(Slot&& other) noexcept
    : slots_(std::exchange(other.slots_, nullptr)),
      verdict_(other.verdict_),
      of_peer_(other.of_peer_),
      key_(other.key_) {}

Slot& Slot::operator=(Slot&& other) noexcept {
  if (this == &other) return *this;
  release();
  slots_ = std::exchange(other.slots_, nullptr);
  verdict_ = other.verdict_;
  of_peer_ = other.of_peer_;
  key_ = other.key_;
  return *this;
}

void Slot::release() noexcept {
  if (Slots* slots = std::exchange(slots_, nullptr)) slots->give_back(*this);
}

std::size_t Slots::Hash::operator()(const Slot::Key& key) const noexcept {
  return boost::hash_range(key.begin(), key.end());
}

Slot Slots::take(const Peer& peer) {
  Slot slot;
  slot.slots_ = this;
  if (taken_.fetch_add(1) >= most_.load()) slot.verdict_ = SlotVerdict::too_many;
  if (!peer.unix_socket && most_of_peer_ > 0) {
    if (peer.address.is_v4()) {
      slot.key_[0] = 0xFF;  // no IPv6 peer's prefix looks like this
      std::ranges::copy(peer.address.to_v4().to_bytes(), slot.key_.begin() + 1);
    } else {
      const auto bytes = peer.address.to_v6().to_bytes();
      std::copy_n(bytes.begin(), 8, slot.key_.begin());
    }
    slot.of_peer_ = enter(slot.key_);
    if (!slot.of_peer_) slot.verdict_ = SlotVerdict::too_many_of_peer;
  }
  if (slot.verdict_ != SlotVerdict::admitted) turned_away_.fetch_add(1);
  return slot;
}

bool Slots::enter(const Slot::Key& key) {
  const std::lock_guard lock(mutex_);
  std::size_t& count = by_peer_[key];
  if (count >= most_of_peer_) return false;
  ++count;
  return true;
}

void Slots::give_back(const Slot& slot) noexcept {
  if (slot.verdict_ != SlotVerdict::admitted) turned_away_.fetch_sub(1);
  const std::lock_guard lock(mutex_);
  if (slot.of_peer_) {
    const auto found = by_peer_.find(slot.key_);
    if (found != by_peer_.end() && --found->second == 0) by_peer_.erase(found);
  }
  if (taken_.fetch_sub(1) == 1) empty_.notify_all();
}

bool Slots::wait_until_empty(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  return empty_.wait_for(lock, timeout, [this] { return taken_.load() == 0; });
}

}  // namespace tally::http::detail
