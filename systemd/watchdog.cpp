#include "systemd/watchdog.hpp"

namespace tally::systemd {

Watchdog::Watchdog(std::vector<WatchedPart> parts, std::chrono::steady_clock::time_point now) {
  for (WatchedPart& part : parts) {
    const std::uint64_t progress = part.progress();
    seen_.push_back({std::move(part), progress, now});
  }
}

std::vector<std::string_view> Watchdog::stuck(std::chrono::steady_clock::time_point now) {
  std::vector<std::string_view> names;
  for (Seen& seen : seen_) {
    const std::uint64_t progress = seen.part.progress();
    if (progress != seen.progress) {
      seen.progress = progress;
      seen.moved_at = now;
    } else if (now - seen.moved_at > seen.part.allowance) {
      names.push_back(seen.part.name);
    }
  }
  return names;
}

}  // namespace tally::systemd
