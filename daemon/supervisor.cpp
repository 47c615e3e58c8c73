#include "daemon/supervisor.hpp"

#include "daemon/log.hpp"

namespace tally::daemon {

Supervisor::Supervisor(LiveConfig& live, Supervised supervised, const systemd::Notifier& notifier,
                       std::optional<std::chrono::microseconds> watchdog)
    : live_(live),
      supervised_(std::move(supervised)),
      notifier_(notifier),
      watchdog_(supervised_.parts, supervised_.clock.steady()) {
  await_signal();
  if (watchdog) feed(std::chrono::duration_cast<std::chrono::milliseconds>(*watchdog / 2));
}

void Supervisor::await_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int number) {
    if (error) return;
    if (number != SIGHUP) {
      log::info("stopping", {{"signal", number == SIGTERM ? "SIGTERM" : "SIGINT"}});
      loop_.stop();
      return;
    }
    reload();
    await_signal();
  });
}

void Supervisor::reload() {
  notifier_.reloading(supervised_.clock.steady(), "re-reading the configuration");
  try {
    const Reloaded reloaded = live_.reload();
    supervised_.apply(live_.now());
    log::set_level(live_.now().log_level);
    for (const auto& name : reloaded.changed) log::info("setting changed", {{"setting", name}});
    for (const auto& name : reloaded.needs_restart)
      log::warn("setting changes only with a restart", {{"setting", name}});
    notifier_.ready("serving");
  } catch (const std::exception& problem) {
    log::error("the configuration was not re-read; the old one stays in force", {{"error", problem.what()}});
    notifier_.ready("serving; the last reload failed, the old configuration stays in force");
  }
}

void Supervisor::feed(std::chrono::milliseconds every) {
  timer_.expires_after(every);
  timer_.async_wait([this, every](const boost::system::error_code& error) {
    if (error) return;
    const auto stuck = watchdog_.stuck(supervised_.clock.steady());
    if (stuck.empty())
      notifier_.feed_watchdog();
    else
      for (const auto part : stuck) log::error("a part stands still; the watchdog is not fed", {{"part", part}});
    feed(every);
  });
}

}  // namespace tally::daemon
