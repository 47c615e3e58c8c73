#include "metrics/cells.hpp"

namespace tally::metrics {
namespace {

// Each row ends with a spare line, so that no two threads write the same one.
constexpr std::size_t kCellsPerLine = 64 / sizeof(std::uint64_t);

}  // namespace

Cells::Cells(std::uint32_t threads, std::size_t slots) {
  rows_.reserve(threads);
  for (std::uint32_t thread = 0; thread < threads; ++thread) {
    rows_.push_back(std::make_unique<std::atomic<std::uint64_t>[]>(slots + kCellsPerLine));
  }
}

std::uint64_t Cells::sum(std::size_t slot) const noexcept {
  std::uint64_t total = 0;
  for (const auto& row : rows_) total += row[slot].load(std::memory_order_relaxed);
  return total;
}

}  // namespace tally::metrics
