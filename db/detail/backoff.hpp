#pragma once
#include <algorithm>
#include <chrono>

namespace tally::db::detail {

/// When to try to connect again: full jitter, so that many replicas do not come back at once. No clock, no randomness
/// of its own.
class Backoff {
 public:
  Backoff(std::chrono::milliseconds first, std::chrono::milliseconds longest) : first_(first), longest_(longest) {}

  void succeeded() { failures_ = 0; }
  /// `random` in [0, 1). The wait is spread over (0, bound]; the bound doubles with each failure in a row.
  std::chrono::milliseconds failed(double random) {
    const std::chrono::milliseconds bound =
        std::min<std::chrono::milliseconds>(longest_, first_ * (1LL << std::min(failures_, 20)));
    ++failures_;
    return std::chrono::milliseconds(
        1 + static_cast<std::chrono::milliseconds::rep>(random * static_cast<double>(bound.count())));
  }

 private:
  std::chrono::milliseconds first_;
  std::chrono::milliseconds longest_;
  int failures_ = 0;
};

}  // namespace tally::db::detail
