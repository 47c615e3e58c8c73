#include "systemd/notify.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace tally::systemd {
namespace {

// The manager reads at most 4096 bytes of a message.
constexpr std::size_t kStatusLimit = 1024;

std::string status_line(std::string_view text) {
  std::string line = "STATUS=";
  for (const unsigned char c : text.substr(0, kStatusLimit)) line += c < ' ' || c == 0x7f ? ' ' : static_cast<char>(c);
  return line += '\n';
}

std::error_code last_error() {
  return {errno, std::system_category()};
}

}  // namespace

std::error_code Notifier::ready(std::string_view status) const {
  return send("READY=1\n" + status_line(status), Wait::briefly);
}

std::error_code Notifier::status(std::string_view status) const {
  return send(status_line(status), Wait::briefly);
}

std::error_code Notifier::stopping(std::string_view status) const {
  return send("STOPPING=1\n" + status_line(status), Wait::briefly);
}

std::error_code Notifier::reloading(std::chrono::steady_clock::time_point now, std::string_view status) const {
  // libstdc++'s steady clock is CLOCK_MONOTONIC, which is what the manager compares with.
  const auto usec = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  return send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(usec) + "\n" + status_line(status), Wait::briefly);
}

std::error_code Notifier::extend_timeout(std::chrono::microseconds by, std::string_view status) const {
  return send("EXTEND_TIMEOUT_USEC=" + std::to_string(by.count()) + "\n" + status_line(status), Wait::briefly);
}

std::error_code Notifier::feed_watchdog() const {
  return send("WATCHDOG=1\n", Wait::no);
}

std::error_code Notifier::send(std::string_view assignments, Wait wait) const {
  if (!active()) return {};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.size() >= sizeof address.sun_path || (socket_[0] != '/' && socket_[0] != '@'))
    return std::make_error_code(std::errc::invalid_argument);
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());

  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return last_error();
  const timeval patience{.tv_sec = 2, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const int flags = MSG_NOSIGNAL | (wait == Wait::no ? MSG_DONTWAIT : 0);
  ssize_t sent;
  do {
    sent = ::sendto(fd, assignments.data(), assignments.size(), flags, reinterpret_cast<const sockaddr*>(&address),
                    length);
  } while (sent < 0 && errno == EINTR);
  const std::error_code error = sent < 0 ? last_error() : std::error_code{};
  ::close(fd);
  return error;
}

}  // namespace tally::systemd
