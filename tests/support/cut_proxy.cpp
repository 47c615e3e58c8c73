#include "tests/support/cut_proxy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>
#include <utility>

namespace tally::test {
namespace {

bool send_all(int socket, const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t wrote = ::send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (wrote <= 0) return false;
    sent += static_cast<std::size_t>(wrote);
  }
  return true;
}

std::string receive(int socket) {
  std::string bytes(65536, '\0');
  const ssize_t got = ::recv(socket, bytes.data(), bytes.size(), 0);
  bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return bytes;
}

}  // namespace

CutProxy::CutProxy(std::string socket, Mode mode, std::string text)
    : socket_(std::move(socket)), mode_(mode), text_(std::move(text)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("cut proxy cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

CutProxy::~CutProxy() {
  release();
  {
    const std::lock_guard lock(guard_);
    ending_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    for (int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  }
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  for (int socket : sockets_) ::close(socket);
  ::close(listener_);
}

void CutProxy::release() {
  const std::lock_guard lock(guard_);
  free_ = true;
  released_.notify_all();
}

bool CutProxy::hit() const {
  const std::lock_guard lock(guard_);
  return hit_;
}

bool CutProxy::first_hit(const std::string& bytes) {
  if (bytes.find(text_) == std::string::npos) return false;
  const std::lock_guard lock(guard_);
  return !std::exchange(hit_, true);
}

void CutProxy::accept_all() {
  for (;;) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(guard_);
    if (client < 0 || ending_) {
      if (client >= 0) ::close(client);
      return;
    }
    sockets_.push_back(client);
    threads_.emplace_back([this, client] { serve(client); });
  }
}

void CutProxy::copy_back(int server, int client, bool& swallow) {
  for (std::string bytes; !(bytes = receive(server)).empty();) {
    bool swallowed;
    {
      const std::lock_guard lock(guard_);
      swallowed = swallow;
    }
    if (!swallowed) {
      send_all(client, bytes);
    } else if (mode_ == Mode::after) {
      break;
    }
  }
  if (mode_ == Mode::hold) {
    const std::lock_guard lock(guard_);
    if (swallow) return;
  }
  ::shutdown(client, SHUT_RDWR);
  ::shutdown(server, SHUT_RDWR);
}

void CutProxy::serve(int client) {
  const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  {
    const std::lock_guard lock(guard_);
    sockets_.push_back(server);
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_.c_str(), sizeof address.sun_path - 1);
  if (::connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    ::shutdown(client, SHUT_RDWR);
    return;
  }
  bool swallow = false;
  std::thread back([&] { copy_back(server, client, swallow); });
  for (std::string bytes; !(bytes = receive(client)).empty();) {
    if (first_hit(bytes)) {
      if (mode_ == Mode::before) break;
      std::unique_lock lock(guard_);
      swallow = true;
      if (mode_ == Mode::late) {
        ::shutdown(client, SHUT_RDWR);
        released_.wait(lock, [this] { return free_; });
      }
      lock.unlock();
      send_all(server, bytes);
      if (mode_ == Mode::race) ::shutdown(client, SHUT_RDWR);
      if (mode_ == Mode::race || mode_ == Mode::late) break;
      continue;
    }
    if (!send_all(server, bytes)) break;
  }
  // What was sent is still executed; only then does the server read the end.
  ::shutdown(server, mode_ == Mode::before ? SHUT_RDWR : SHUT_WR);
  ::shutdown(client, SHUT_RDWR);
  back.join();
}

}  // namespace tally::test
