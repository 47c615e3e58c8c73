#include "systemd/service_environment.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <string_view>
#include <utility>

namespace tally::systemd {
namespace {

constexpr int kFirstSocket = 3;
constexpr std::uint64_t kMostSockets = 256;

std::string take(const char* name) {
  const char* value = ::getenv(name);
  std::string text = value != nullptr ? value : "";
  ::unsetenv(name);

  return text;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_own_pid(std::string_view text) {
  return number(text) == static_cast<std::uint64_t>(::getpid());
}

bool is_listening_stream(int fd) {
  int type = 0, listening = 0;
  socklen_t length = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_STREAM) return false;
  length = sizeof listening;
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0;
}

std::string take_name(std::string& names) {
  const auto colon = names.find(':');
  std::string name = names.substr(0, colon);
  names.erase(0, colon == names.npos ? names.size() : colon + 1);
  return name;
}

void take_sockets(ServiceEnvironment& environment) {
  const std::string pid = take("LISTEN_PID");
  const auto count = number(take("LISTEN_FDS"));
  std::string names = take("LISTEN_FDNAMES");
  if (!is_own_pid(pid) || !count || *count > kMostSockets) return;
  for (int fd = kFirstSocket; fd < kFirstSocket + static_cast<int>(*count); ++fd) {
    std::string name = take_name(names);
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags < 0) {
      environment.refused.push_back("descriptor " + std::to_string(fd) + " is not open");
    } else if (!is_listening_stream(fd)) {
      environment.refused.push_back("descriptor " + std::to_string(fd) + " is not a listening stream socket");
      ::close(fd);
    } else {
      ::fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
      environment.sockets.emplace_back(fd, std::move(name));
    }
  }
}

}  // namespace

ListenSocket& ListenSocket::operator=(ListenSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(name_, other.name_);
  return *this;
}

ListenSocket::~ListenSocket() {
  if (fd_ >= 0) ::close(fd_);
}

int ListenSocket::release() noexcept {
  return std::exchange(fd_, -1);
}

ServiceEnvironment take_service_environment() {
  ServiceEnvironment environment;
  environment.notifier = Notifier(take("NOTIFY_SOCKET"));
  const std::string watchdog_pid = take("WATCHDOG_PID");
  const auto watchdog = number(take("WATCHDOG_USEC"));
  if (watchdog && *watchdog > 0 && (watchdog_pid.empty() || is_own_pid(watchdog_pid)))
    environment.watchdog = std::chrono::microseconds(*watchdog);
  take_sockets(environment);
  return environment;
}

}  // namespace tally::systemd
