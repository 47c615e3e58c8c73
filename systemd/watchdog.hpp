#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tally::systemd {

/// A part that must keep moving: an event loop (post a ping to it at each check, which counts when it runs), the flush
/// loop, the journal's thread (ask it for a cut).
struct WatchedPart {
  std::string name;
  /// A number that changes whenever the part gets on; called on the checking thread.
  std::function<std::uint64_t()> progress;
  /// How long it may stand still.
  std::chrono::steady_clock::duration allowance;
};

/// Decides whether the process deserves its watchdog's food: only while every part moves. A timer alone would feed it
/// for a process whose workers are all stuck. Knows no clock and no socket; one thread at a time.
///   if (watchdog.stuck(clock.steady()).empty()) notifier.feed_watchdog();
class Watchdog {
 public:
  /// Every part counts as having moved just now.
  Watchdog(std::vector<WatchedPart> parts, std::chrono::steady_clock::time_point now);

  /// Names of the parts that have stood still for longer than they may. Valid as long as the watchdog.
  std::vector<std::string_view> stuck(std::chrono::steady_clock::time_point now);

 private:
  struct Seen {
    WatchedPart part;
    std::uint64_t progress;
    std::chrono::steady_clock::time_point moved_at;
  };
  std::vector<Seen> seen_;
};

}  // namespace tally::systemd
