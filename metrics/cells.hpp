#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace tally::metrics {

/// Counters that several threads raise without sharing a cache line: each thread writes only its own row, and a reader
/// adds the rows up. `add` of one row belongs to one thread; `sum` may be called by any.
class Cells {
 public:
  Cells(std::uint32_t threads, std::size_t slots);

  void add(std::uint32_t thread, std::size_t slot, std::uint64_t by = 1) noexcept {
    std::atomic<std::uint64_t>& cell = rows_[thread][slot];
    cell.store(cell.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  std::uint64_t sum(std::size_t slot) const noexcept;

 private:
  std::vector<std::unique_ptr<std::atomic<std::uint64_t>[]>> rows_;
};

}  // namespace tally::metrics
