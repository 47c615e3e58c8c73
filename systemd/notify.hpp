#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <system_error>

namespace tally::systemd {

/// Tells the service manager how this process is (sd_notify(3), written for systemd 252 and later). Without a socket
/// every call succeeds and does nothing. Thread-safe. Text may hold any bytes: what could start another assignment is
/// taken out.
class Notifier {
 public:
  Notifier() = default;
  /// `socket`: the value of $NOTIFY_SOCKET, a path or an abstract name with a leading `@`.
  explicit Notifier(std::string socket) : socket_(std::move(socket)) {}

  bool active() const { return !socket_.empty(); }

  std::error_code ready(std::string_view status) const;
  std::error_code status(std::string_view status) const;
  std::error_code stopping(std::string_view status) const;
  /// `now` must be read from the clock after the signal that asked for the reload came. Each reload ends with `ready`,
  /// also one that failed: the old configuration still serves, and the status says so.
  std::error_code reloading(std::chrono::steady_clock::time_point now, std::string_view status) const;
  /// Start, reload or stop may take this much longer, counted from now.
  std::error_code extend_timeout(std::chrono::microseconds by, std::string_view status) const;
  /// Never waits: a feeding that finds the manager busy is left out.
  std::error_code feed_watchdog() const;

 private:
  enum class Wait : bool { no, briefly };
  std::error_code send(std::string_view assignments, Wait wait) const;

  std::string socket_;
};

}  // namespace tally::systemd
