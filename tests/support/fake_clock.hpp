#pragma once
#include <atomic>

#include "tracker/clock.hpp"

namespace tally::test {

/// Stands still until it is moved. Thread-safe.
class FakeClock final : public tracker::Clock {
 public:
  tracker::WallTime wall() const override { return tracker::WallTime(std::chrono::milliseconds(wall_ms_.load())); }
  tracker::SteadyTime steady() const override {
    return tracker::SteadyTime(std::chrono::milliseconds(steady_ms_.load()));
  }
  void set_wall(std::chrono::milliseconds since_epoch) { wall_ms_ = since_epoch.count(); }
  void advance(std::chrono::milliseconds by) {
    wall_ms_ += by.count();
    steady_ms_ += by.count();
  }

 private:
  std::atomic<std::int64_t> wall_ms_{1'700'000'000'000};
  std::atomic<std::int64_t> steady_ms_{1'000'000};
};

}  // namespace tally::test
