#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "systemd/notify.hpp"

namespace tally::systemd {

/// A listening socket that the service manager opened. Owns the descriptor.
class ListenSocket {
 public:
  ListenSocket(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  ListenSocket(ListenSocket&& other) noexcept : fd_(other.release()), name_(std::move(other.name_)) {}
  ListenSocket& operator=(ListenSocket&& other) noexcept;
  ~ListenSocket();

  int fd() const { return fd_; }
  /// FileDescriptorName= of the socket unit; its default is the unit's own name.
  const std::string& name() const { return name_; }
  /// The descriptor is the caller's from here on.
  int release() noexcept;

 private:
  int fd_;
  std::string name_;
};

/// What the service manager handed to this process.
struct ServiceEnvironment {
  Notifier notifier;
  /// Feed the watchdog at least this often; nothing: no watchdog.
  std::optional<std::chrono::microseconds> watchdog;
  std::vector<ListenSocket> sockets;
  /// Handed over but of no use here (not a listening stream socket), one line each; closed.
  std::vector<std::string> refused;
};

/// Reads it and takes it out of the environment, so that no child speaks in our name. Once, before threads start.
/// Descriptors are marked close-on-exec.
ServiceEnvironment take_service_environment();

}  // namespace tally::systemd
