#include "daemon/http/detail/acceptor.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "daemon/http/detail/io_thread.hpp"
#include "daemon/http/detail/transport.hpp"
#include "daemon/log.hpp"

namespace tally::http::detail {
namespace {

using boost::system::error_code;
using metrics::HttpLimit;

constexpr int kMostInARow = 64;
/// So many connections beyond the limit are told so; the rest are closed without a word.
constexpr std::size_t kMostTurnedAway = 64;
constexpr std::chrono::milliseconds kPause{50};

Peer peer_of(const sockaddr_storage& from) {
  using boost::asio::ip::address_v4;
  using boost::asio::ip::address_v6;
  if (from.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(from);
    return {address_v4(ntohl(v4.sin_addr.s_addr)), false};
  }
  if (from.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from);
    address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), v6.sin6_addr.s6_addr, bytes.size());
    const address_v6 address(bytes, v6.sin6_scope_id);
    if (address.is_v4_mapped()) return {boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address), false};
    return {address, false};
  }
  return {{}, true};
}

/// Each holds a descriptor until it was answered. Where those are short they are the journal's and the database's.
std::size_t most_turned_away(const Slots& slots) {
  return std::clamp<std::size_t>(slots.most() / 4, 1, kMostTurnedAway);
}

Response turned_away(std::string_view why) {
  Response answer = retry_later(Status::service_unavailable, why, std::chrono::seconds(1));
  answer.close = true;
  return answer;
}

}  // namespace

Acceptor::Acceptor(IoThread& thread, const Listener& listener, int descriptor)
    : thread_(thread), listener_(listener), socket_(thread.executor(), descriptor), pause_(thread.executor()) {}

void Acceptor::start() {
  wait();
}

void Acceptor::wait() {
  socket_.async_wait(boost::asio::posix::descriptor_base::wait_read, [this](const error_code& ec) {
    if (!ec) take_some();
  });
}

void Acceptor::take_some() {
  for (int i = 0; i < kMostInARow; ++i) {
    const Taken taken = take_one();
    if (taken == Taken::no_resources) return back_off();
    if (taken == Taken::none) break;
  }
  wait();
}

Acceptor::Taken Acceptor::take_one() {
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  const int descriptor =
      accept4(socket_.native_handle(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (descriptor < 0) {
    switch (errno) {
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        return Taken::no_resources;
      case EAGAIN:
      case EBADF:
      case EINVAL:
        return Taken::none;
      default:
        return Taken::one;  // it concerns the one connection that could not be handed out
    }
  }
  if (short_of_resources_) {
    short_of_resources_ = false;
    daemon::log::info("accepting connections again", {{"listen", listener_.endpoint.to_string()}});
  }
  welcome(descriptor, from);
  return Taken::one;
}

void Acceptor::welcome(int descriptor, const sockaddr_storage& from) {
  Shared& shared = thread_.shared();
  Peer peer = peer_of(from);
  if (!peer.unix_socket) {
    const int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  Slot slot = shared.slots.take(peer);
  const SlotVerdict verdict = slot.verdict();
  if (verdict != SlotVerdict::admitted) {
    shared.metrics.limit_reached(
        thread_.index(), verdict == SlotVerdict::too_many ? HttpLimit::connections : HttpLimit::connections_per_peer);
  }
  error_code ec;
  Socket socket(thread_.executor());
  if (verdict == SlotVerdict::admitted ||
      (!listener_.tls && shared.slots.turned_away() <= most_turned_away(shared.slots))) {
    socket.assign(boost::asio::generic::stream_protocol(from.ss_family, 0), descriptor, ec);
  }
  if (!socket.is_open()) {
    ::close(descriptor);
    return;
  }
  socket.native_non_blocking(true, ec);
  Session& session = thread_.add(
      listener_.tls ? tls_session(thread_, listener_, std::move(peer), std::move(slot), std::move(socket), shared.tls())
                    : plain_session(thread_, listener_, std::move(peer), std::move(slot), std::move(socket)));
  switch (verdict) {
    case SlotVerdict::admitted:
      return session.start();
    case SlotVerdict::too_many:
      return session.start_refusing(turned_away("too many connections"));
    case SlotVerdict::too_many_of_peer:
      return session.start_refusing(turned_away("too many connections from this address"));
  }
}

void Acceptor::back_off() {
  Shared& shared = thread_.shared();
  shared.metrics.limit_reached(thread_.index(), HttpLimit::descriptors);
  if (!short_of_resources_) {
    short_of_resources_ = true;
    daemon::log::warn("cannot accept connections",
                      {{"listen", listener_.endpoint.to_string()},
                       {"error", error_code(errno, boost::system::system_category()).message()}});
  }
  pause_.expires_after(kPause);
  pause_.async_wait([this](const error_code& ec) {
    if (!ec) take_some();
  });
}

void Acceptor::stop() {
  while (take_one() == Taken::one) {
  }
  error_code ignored;
  pause_.cancel();
  socket_.close(ignored);
}

}  // namespace tally::http::detail
