#pragma once
#include <chrono>

namespace tally::tracker {

/// Wall-clock instants, UTC, in milliseconds: for labels and information, never to decide which period counts an event.
using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;
/// Monotonic instants: for deadlines and intervals.
using SteadyTime = std::chrono::steady_clock::time_point;

/// Where time comes from. Thread-safe. The real one is `SystemClock` (clock.cpp), the only place that asks the system.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;
  virtual SteadyTime steady() const = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime wall() const override;
  SteadyTime steady() const override;
};

}  // namespace tally::tracker
