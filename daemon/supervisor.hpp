#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <optional>

#include "daemon/config_sources.hpp"
#include "systemd/service_environment.hpp"
#include "systemd/watchdog.hpp"
#include "tracker/clock.hpp"

namespace tally::daemon {

/// What the supervisor needs of the program. Called on the thread that calls `run`.
struct Supervised {
  std::vector<systemd::WatchedPart> parts;
  const tracker::Clock& clock;
  std::function<void(const Config&)> apply;  ///< takes over a reloaded configuration; throws if it is of no use
};

/// Signals, the service manager and the watchdog: what the main thread does while the others serve.
class Supervisor {
 public:
  /// The watchdog is fed twice in its time, and only while every part moves.
  Supervisor(LiveConfig& live, Supervised supervised, const systemd::Notifier& notifier,
             std::optional<std::chrono::microseconds> watchdog);

  /// Until the signal to stop. SIGHUP reloads the configuration.
  void run() { loop_.run(); }

 private:
  void await_signal();
  void reload();
  void feed(std::chrono::milliseconds every);

  LiveConfig& live_;
  Supervised supervised_;
  const systemd::Notifier& notifier_;
  systemd::Watchdog watchdog_;
  boost::asio::io_context loop_{1};
  boost::asio::signal_set signals_{loop_, SIGTERM, SIGINT, SIGHUP};
  boost::asio::steady_timer timer_{loop_};
};

}  // namespace tally::daemon
