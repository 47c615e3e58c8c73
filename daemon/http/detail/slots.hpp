#pragma once
#include <array>
#include <atomic>
#include <boost/asio/ip/address.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "daemon/http/request.hpp"

namespace tally::http::detail {

class Slots;

enum class SlotVerdict : std::uint8_t { admitted, too_many, too_many_of_peer };

/// A connection's place among all; given back when this goes.
class Slot {
 public:
  Slot() = default;
  Slot(Slot&& other) noexcept;
  Slot& operator=(Slot&& other) noexcept;
  ~Slot() { release(); }

  SlotVerdict verdict() const noexcept { return verdict_; }
  void release() noexcept;

 private:
  friend class Slots;
  using Key = std::array<std::uint8_t, 16>;
  Slots* slots_ = nullptr;
  SlotVerdict verdict_ = SlotVerdict::admitted;
  bool of_peer_ = false;  ///< counted under key_
  Key key_{};
};

/// Counts connections, in all and by peer, over all threads. An IPv6 peer is its /64, since it can pick any address in
/// there; Unix sockets have no peer to count. Thread-safe.
class Slots {
 public:
  /// 0 for `most_of_peer`: no limit.
  Slots(std::size_t most, std::size_t most_of_peer) : most_(most), most_of_peer_(most_of_peer) {}

  /// Always a slot, since also a connection that is turned away takes up room until it is gone; see its verdict.
  Slot take(const Peer& peer);
  void set_most(std::size_t most) noexcept { most_ = most; }
  void set_most_of_peer(std::size_t most) noexcept { most_of_peer_ = most; }
  std::size_t most() const noexcept { return most_.load(); }
  std::size_t taken() const noexcept { return taken_.load(); }
  std::size_t turned_away() const noexcept { return turned_away_.load(); }
  /// True when no slot was taken any more before `timeout` had passed.
  bool wait_until_empty(std::chrono::milliseconds timeout);

 private:
  friend class Slot;
  struct Hash {
    std::size_t operator()(const Slot::Key& key) const noexcept;
  };
  bool enter(const Slot::Key& key);
  void give_back(const Slot& slot) noexcept;

  std::atomic<std::size_t> most_;
  std::atomic<std::size_t> most_of_peer_;
  std::atomic<std::size_t> taken_{0};
  std::atomic<std::size_t> turned_away_{0};
  std::mutex mutex_;  ///< guards by_peer_ and is held to wake who waits
  std::condition_variable empty_;
  boost::unordered_flat_map<Slot::Key, std::size_t, Hash> by_peer_;
};

}  // namespace tally::http::detail
