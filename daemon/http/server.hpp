#pragma once
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "daemon/http/endpoint.hpp"
#include "daemon/http/service.hpp"
#include "daemon/http/tls.hpp"
#include "tracker/clock.hpp"

namespace tally::metrics {
class HttpMetrics;
}

namespace tally::http {

/// All sizes in bytes.
struct Limits {
  std::size_t header_section = 16 * 1024;
  std::size_t header_fields = 64;
  std::size_t request_line = 4 * 1024;
  std::size_t body = 8 * 1024 * 1024;      ///< as sent and as decoded
  std::size_t bodies = 512 * 1024 * 1024;  ///< of all requests at one time; above it 503
  std::size_t linger = 16 * 1024 * 1024;   ///< read and thrown away after an early error
  std::size_t connections = 4096;
  std::size_t connections_per_peer = 1024;  ///< Unix sockets have no such limit; 0: none for anybody
  std::size_t reserved_descriptors = 24;  ///< beyond those open at `start`, kept free for the journal and the database
};

/// All but the tick are counted from a fixed point, whatever bytes trickle in between.
struct Deadlines {
  std::chrono::milliseconds header{5'000};   ///< from the first byte of a request to the end of its header section
  std::chrono::milliseconds body{10'000};    ///< from there to the end of the body
  std::size_t body_bytes_per_second = 1024;  ///< on average, from `body_grace` on
  std::chrono::milliseconds body_grace{5'000};
  std::chrono::milliseconds idle{60'000};   ///< between requests
  std::chrono::milliseconds write{30'000};  ///< for an answer; longer in proportion above 1 MiB
  std::chrono::milliseconds linger{2'000};  ///< for reading what is thrown away after an early error
  std::chrono::milliseconds tick{100};      ///< how often deadlines are looked at, and how often the loop shows life
};

struct ServerOptions {
  std::uint32_t threads = 1;
  Limits limits;
  Deadlines deadlines;
  bool insecure_http = false;  ///< allow plain HTTP beyond loopback
};

/// An HTTP/1.1 server: n threads, each with an event loop and its own listening sockets.
/// Order: construct, `listen`/`adopt`, `start`, ..., `stop_accepting`, `drain`, `stop`, destruct. Those calls come from
/// one thread (the owner's). Every `Responder` must be gone, or only wait in one of the server's own loops, at
/// destruction.
class Server {
 public:
  /// `clock` and `metrics` outlive the server.
  Server(ServerOptions options, const tracker::Clock& clock, metrics::HttpMetrics& metrics);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds; port 0 is replaced in the answer by the one the kernel gave. `service` outlives the server. With a TLS
  /// context set, TCP listeners speak TLS. `permission_denied` for plain HTTP beyond loopback (unless `insecure_http`),
  /// `address_in_use`, or what the system said.
  tracker::Result<Endpoint> listen(const Endpoint& endpoint, Service& service);
  /// Takes over a listening socket (socket activation). Owns `descriptor` from here on.
  tracker::Result<Endpoint> adopt(int descriptor, Service& service);
  /// Before `listen` it decides whether TCP listeners speak TLS; later it changes what new connections get.
  /// Thread-safe.
  void use_tls(TlsContext context);

  /// From now on; who is connected stays. As at the start, no more than the descriptors allow. Thread-safe.
  void limit_connections(std::size_t most, std::size_t most_of_peer);

  void start();
  /// Answers what the kernel has already accepted for us, then refuses new connections and ends idle ones.
  void stop_accepting();
  /// Waits until every connection has ended, at most `timeout`. True: all did. Answers say `Connection: close`
  /// meanwhile.
  bool drain(std::chrono::milliseconds timeout);
  /// Cuts what is left and joins the threads. Idempotent.
  void stop();

  std::uint32_t threads() const noexcept;
  /// Where others post work for http thread `thread`. From outside that thread only `post`, `defer` and `dispatch` are
  /// allowed: the loops do not lock their sockets and timers.
  boost::asio::io_context::executor_type executor(std::uint32_t thread) noexcept;
  /// Grows with each tick while the thread's event loop turns: feeds the watchdog. Thread-safe.
  std::uint64_t ticks(std::uint32_t thread) const noexcept;
  std::size_t connections() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tally::http
