#include "daemon/jobs.hpp"

#include "daemon/log.hpp"

namespace tally::daemon {

Jobs::Jobs(std::vector<systemd::WatchedPart> jobs, const tracker::Clock& clock, std::function<void(std::size_t)> told)
    : clock_(clock), told_(std::move(told)), watchdog_(std::move(jobs), clock.steady()) {}

std::string Jobs::stalled() {
  const std::lock_guard lock(mutex_);
  const auto stuck = watchdog_.stuck(clock_.steady());
  std::string names;
  for (const std::string_view name : stuck) {
    if (!names.empty()) names += ", ";
    names += name;
  }
  if (names != names_) {
    if (names.empty())
      log::info("every job in the background goes on again", {});
    else
      log::error("jobs in the background stand still", {{"jobs", names}});
    names_ = names;
  }
  told_(stuck.size());
  return names;
}

}  // namespace tally::daemon
