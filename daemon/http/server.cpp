#include "daemon/http/server.hpp"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <cerrno>
#include <deque>
#include <filesystem>

#include "daemon/http/detail/io_thread.hpp"
#include "daemon/log.hpp"

namespace tally::http {
namespace {

using boost::system::error_code;
using tracker::Result;

constexpr int kBacklog = 4096;
constexpr std::size_t kFewestConnections = 4;

error_code last_error() {
  return {errno, boost::system::system_category()};
}
error_code failed(boost::system::errc::errc_t code) {
  return make_error_code(code);
}

/// Closes what nobody has taken over.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const noexcept { return number_; }
  int release() noexcept { return std::exchange(number_, -1); }

 private:
  int number_;
};

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
};

Address address_of(const Endpoint& endpoint) {
  Address address;
  if (endpoint.is_unix()) {
    auto& local = reinterpret_cast<sockaddr_un&>(address.storage);
    local.sun_family = AF_UNIX;
    std::memcpy(local.sun_path, endpoint.path.c_str(), endpoint.path.size() + 1);
    address.size = sizeof local;
    return address;
  }
  const auto ip = boost::asio::ip::make_address(endpoint.host);
  if (ip.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    v4.sin_addr.s_addr = htonl(ip.to_v4().to_uint());
    address.size = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    const auto bytes = ip.to_v6().to_bytes();
    std::memcpy(v6.sin6_addr.s6_addr, bytes.data(), bytes.size());
    address.size = sizeof v6;
  }
  return address;
}

Result<Endpoint> local_endpoint(int descriptor) {
  Address address;
  address.size = sizeof address.storage;
  if (getsockname(descriptor, address.get(), &address.size) != 0) return last_error();
  Endpoint endpoint;
  if (address.storage.ss_family == AF_UNIX) {
    const auto& local = reinterpret_cast<const sockaddr_un&>(address.storage);
    endpoint.path = local.sun_path[0] == '\0' ? "@" : local.sun_path;
  } else if (address.storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address.storage);
    endpoint.host = boost::asio::ip::address_v4(ntohl(v4.sin_addr.s_addr)).to_string();
    endpoint.port = ntohs(v4.sin_port);
  } else if (address.storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address.storage);
    boost::asio::ip::address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), v6.sin6_addr.s6_addr, bytes.size());
    endpoint.host = boost::asio::ip::address_v6(bytes).to_string();
    endpoint.port = ntohs(v6.sin6_port);
  } else {
    return failed(boost::system::errc::address_family_not_supported);
  }
  return endpoint;
}

enum class Sharing { none, among_threads };

Result<Descriptor> open_tcp(const Endpoint& endpoint, Sharing sharing) {
  Address address = address_of(endpoint);
  Descriptor socket(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.get() < 0) return last_error();
  const int on = 1;
  const int off = 0;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.storage.ss_family == AF_INET6) setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (sharing == Sharing::among_threads) setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (::bind(socket.get(), address.get(), address.size) != 0) return last_error();
  return socket;
}

/// A socket file whose server is gone must not keep the next one from starting; a live one must.
Result<void> make_way(const Endpoint& endpoint) {
  struct stat file {};
  if (lstat(endpoint.path.c_str(), &file) != 0) {
    if (errno == ENOENT) return {};
    return last_error();
  }
  if (!S_ISSOCK(file.st_mode)) return failed(boost::system::errc::file_exists);
  Address address = address_of(endpoint);
  Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (probe.get() < 0) return last_error();
  if (::connect(probe.get(), address.get(), address.size) == 0 || errno == EAGAIN)
    return failed(boost::system::errc::address_in_use);
  if (errno != ECONNREFUSED) return last_error();
  if (unlink(endpoint.path.c_str()) != 0) return last_error();
  return {};
}

Result<Descriptor> open_unix(const Endpoint& endpoint) {
  if (auto way = make_way(endpoint); !way) return way.error();
  Address address = address_of(endpoint);
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.get() < 0) return last_error();
  if (::bind(socket.get(), address.get(), address.size) != 0) return last_error();
  if (::listen(socket.get(), kBacklog) != 0) return last_error();
  return socket;
}

std::size_t open_descriptors() {
  error_code ec;
  std::size_t count = 0;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", ec), end; !ec && entry != end; entry.increment(ec))
    ++count;
  return count;
}

}  // namespace

struct Server::State {
  State(const ServerOptions& options, const tracker::Clock& clock, metrics::HttpMetrics& metrics)
      : insecure_http(options.insecure_http), shared(options, clock, metrics) {
    const std::uint32_t count = std::max<std::uint32_t>(options.threads, 1);
    for (std::uint32_t i = 0; i < count; ++i) threads.push_back(std::make_unique<detail::IoThread>(shared, i));
  }

  const detail::Listener& add(const Endpoint& endpoint, Service& service, bool tls) {
    detail::Listener& listener = listeners.emplace_back(detail::Listener{service, {}, endpoint, tls});
    for (const RouteInfo& route : service.routes())
      listener.metric_routes.push_back(shared.metrics.route(route.pattern));
    return listener;
  }

  /// One socket for all threads: each gets a descriptor of its own for it.
  Result<void> share(const detail::Listener& listener, Descriptor socket) {
    std::vector<Descriptor> copies;
    for (std::size_t i = 1; i < threads.size(); ++i) {
      copies.emplace_back(fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
      if (copies.back().get() < 0) return last_error();
    }
    copies.push_back(std::move(socket));
    for (std::size_t i = 0; i < threads.size(); ++i) threads[i]->add_listener(listener, copies[i].release());
    return {};
  }

  void limit_connections(std::size_t most, std::size_t most_of_peer) {
    shared.slots.set_most(std::min(most, fitting));
    shared.slots.set_most_of_peer(most_of_peer);
  }

  void fit_connections_to_descriptors() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
    const std::size_t spoken_for = open_descriptors() + shared.limits.reserved_descriptors;
    const std::size_t left = limit.rlim_cur > spoken_for ? limit.rlim_cur - spoken_for : 0;
    if (left >= shared.limits.connections) return;
    const std::size_t most = fitting = std::max(left, kFewestConnections);
    shared.slots.set_most(most);
    daemon::log::warn(
        "few file descriptors: fewer connections than configured",
        {{"connections", most}, {"configured", shared.limits.connections}, {"descriptors", limit.rlim_cur}});
  }

  const bool insecure_http;
  detail::Shared shared;
  std::size_t fitting = SIZE_MAX;          ///< connections that there are descriptors for; fixed at the start
  std::deque<detail::Listener> listeners;  ///< acceptors point at them
  std::vector<std::string> socket_files;
  std::vector<std::unique_ptr<detail::IoThread>> threads;
};

Server::Server(ServerOptions options, const tracker::Clock& clock, metrics::HttpMetrics& metrics)
    : state_(std::make_unique<State>(options, clock, metrics)) {}

Server::~Server() {
  stop();
}

Result<Endpoint> Server::listen(const Endpoint& wanted, Service& service) {
  if (wanted.is_unix()) {
    auto socket = open_unix(wanted);
    if (!socket) return socket.error();
    state_->socket_files.push_back(wanted.path);
    if (auto shared = state_->share(state_->add(wanted, service, false), std::move(*socket)); !shared)
      return shared.error();
    return wanted;
  }
  const bool tls = state_->shared.tls() != nullptr;
  if (!tls && !state_->insecure_http && !wanted.is_loopback()) return failed(boost::system::errc::permission_denied);
  {
    // Sockets that share a port do so with anybody of the same user: first see that it is free.
    auto probe = open_tcp(wanted, Sharing::none);
    if (!probe) return probe.error();
  }
  Endpoint endpoint = wanted;
  std::vector<Descriptor> sockets;
  for (std::size_t i = 0; i < state_->threads.size(); ++i) {
    auto socket = open_tcp(endpoint, Sharing::among_threads);
    if (!socket) return socket.error();
    if (i == 0) {
      auto bound = local_endpoint(socket->get());
      if (!bound) return bound.error();
      endpoint.port = bound->port;
    }
    sockets.push_back(std::move(*socket));
  }
  for (const Descriptor& socket : sockets) {
    if (::listen(socket.get(), kBacklog) != 0) return last_error();
  }
  const detail::Listener& listener = state_->add(endpoint, service, tls);
  for (std::size_t i = 0; i < sockets.size(); ++i) state_->threads[i]->add_listener(listener, sockets[i].release());
  return endpoint;
}

Result<Endpoint> Server::adopt(int descriptor, Service& service) {
  Descriptor socket(descriptor);
  auto endpoint = local_endpoint(socket.get());
  if (!endpoint) return endpoint.error();
  const bool tls = !endpoint->is_unix() && state_->shared.tls() != nullptr;
  if (!endpoint->is_unix() && !tls && !state_->insecure_http && !endpoint->is_loopback()) {
    return failed(boost::system::errc::permission_denied);
  }
  if (fcntl(socket.get(), F_SETFL, fcntl(socket.get(), F_GETFL) | O_NONBLOCK) != 0) return last_error();
  if (auto shared = state_->share(state_->add(*endpoint, service, tls), std::move(socket)); !shared)
    return shared.error();
  return *endpoint;
}

void Server::limit_connections(std::size_t most, std::size_t most_of_peer) {
  state_->limit_connections(most, most_of_peer);
}

void Server::use_tls(TlsContext context) {
  state_->shared.set_tls(std::move(context));
}

void Server::start() {
  state_->fit_connections_to_descriptors();
  for (const auto& thread : state_->threads) thread->start();
}

void Server::stop_accepting() {
  state_->shared.draining.store(true);
  for (const auto& thread : state_->threads) thread->stop_accepting();
  for (const std::string& file : state_->socket_files) unlink(file.c_str());
  state_->socket_files.clear();
}

bool Server::drain(std::chrono::milliseconds timeout) {
  return state_->shared.slots.wait_until_empty(timeout);
}

void Server::stop() {
  state_->shared.stopped.store(true);
  for (const auto& thread : state_->threads) thread->stop();
  for (const std::string& file : state_->socket_files) unlink(file.c_str());
  state_->socket_files.clear();
}

std::uint32_t Server::threads() const noexcept {
  return static_cast<std::uint32_t>(state_->threads.size());
}

boost::asio::io_context::executor_type Server::executor(std::uint32_t thread) noexcept {
  return state_->threads[thread]->executor();
}

std::uint64_t Server::ticks(std::uint32_t thread) const noexcept {
  return state_->threads[thread]->ticks();
}
std::size_t Server::connections() const noexcept {
  return state_->shared.slots.taken();
}

}  // namespace tally::http
