#pragma once
#include <functional>
#include <mutex>
#include <string>

#include "systemd/watchdog.hpp"
#include "tracker/clock.hpp"

namespace tally::daemon {

/// Whether the work in the background goes on: every job must go round within its time. One that was made and never
/// started stands still too. Thread-safe.
class Jobs {
 public:
  /// `told`: how many stand still, each time it is looked.
  Jobs(std::vector<systemd::WatchedPart> jobs, const tracker::Clock& clock, std::function<void(std::size_t)> told);

  /// Looks, and answers the names of those that stand still; empty when none does. What changed is logged. Ask every
  /// few seconds: a job counts as having moved when that is seen.
  std::string stalled();

 private:
  const tracker::Clock& clock_;
  std::function<void(std::size_t)> told_;
  std::mutex mutex_;  ///< guards what follows
  systemd::Watchdog watchdog_;
  std::string names_;
};

}  // namespace tally::daemon
