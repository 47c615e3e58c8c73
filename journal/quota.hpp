#pragma once
#include <atomic>
#include <cstdint>

namespace tally::journal {

/// Bytes that all streams of a directory take, counted in whole preallocated files. Thread-safe.
class Quota {
 public:
  Quota(std::uint64_t max_bytes, std::uint64_t segment_bytes) : max_(max_bytes), segment_(segment_bytes) {}

  /// False: that would pass the limit; nothing is taken.
  bool take(std::uint64_t bytes) noexcept {
    std::uint64_t used = used_.load(std::memory_order_relaxed);
    do {
      if (used + bytes > max_) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
  }
  /// What is on the disk already counts, over the limit or not.
  void add(std::uint64_t bytes) noexcept { used_.fetch_add(bytes, std::memory_order_relaxed); }
  void give(std::uint64_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  std::uint64_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
  std::uint64_t max() const noexcept { return max_; }
  /// Fewer than two more segments fit: confirmed ones go before their retention has passed.
  bool is_short() const noexcept { return used() + 2 * segment_ > max_; }

 private:
  const std::uint64_t max_;
  const std::uint64_t segment_;
  std::atomic<std::uint64_t> used_{0};
};

}  // namespace tally::journal
