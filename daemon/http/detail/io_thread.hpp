#pragma once
#include <atomic>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/http/detail/acceptor.hpp"
#include "daemon/http/detail/buffer.hpp"
#include "daemon/http/detail/inflate.hpp"
#include "daemon/http/detail/session.hpp"
#include "daemon/http/detail/slots.hpp"
#include "daemon/http/server.hpp"
#include "metrics/http_metrics.hpp"

namespace tally::http::detail {

/// What the threads of one server share. Constant after `start`, but for the atomics and what has a lock of its own.
struct Shared {
  Shared(const ServerOptions& options, const tracker::Clock& clock, metrics::HttpMetrics& metrics);

  TlsContext tls() const;
  void set_tls(TlsContext context);

  const Limits limits;
  const Deadlines deadlines;
  const tracker::Clock& clock;
  metrics::HttpMetrics& metrics;
  Slots slots;
  std::atomic<std::size_t> body_bytes{0};
  std::atomic<bool> draining{false};
  std::atomic<bool> stopped{false};

 private:
  mutable std::mutex tls_mutex_;  ///< guards tls_
  TlsContext tls_;
};

/// One event loop, its connections, and what they take turns in using. All but `ticks` and posting belongs to its
/// thread.
class IoThread {
 public:
  using Executor = boost::asio::io_context::executor_type;

  IoThread(Shared& shared, std::uint32_t index);
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  /// Before `start`. Owns the descriptor.
  void add_listener(const Listener& listener, int descriptor);
  void start();
  // From any thread but this one; they return when it is done.
  void stop_accepting();
  void stop();  ///< joins

  Shared& shared() noexcept { return shared_; }
  boost::asio::io_context& context() noexcept { return *context_; }
  Executor executor() noexcept { return context_->get_executor(); }
  std::uint32_t index() const noexcept { return index_; }
  std::uint64_t ticks() const noexcept { return ticks_.load(std::memory_order_relaxed); }
  tracker::SteadyTime now() const { return shared_.clock.steady(); }

  Session& add(std::unique_ptr<Session> session);
  void remove(Session& session) noexcept;  ///< deletes it

  std::string_view date() const noexcept { return date_; }
  /// Writes 16 characters that no other request of this process has.
  void make_request_id(char* out) noexcept;
  /// A buffer of at least `capacity`, or nothing when all bodies together would pass their limit.
  std::optional<Buffer> take_buffer(std::size_t capacity);
  /// Makes a taken buffer larger; false as above.
  bool grow(Buffer& buffer, std::size_t capacity, std::size_t used);
  /// A taken buffer has become larger already.
  void has_grown(std::size_t by) noexcept { shared_.body_bytes.fetch_add(by); }
  void give_back(Buffer buffer) noexcept;
  Inflate& inflate() noexcept { return inflate_; }
  /// Where bytes go that nobody reads.
  Buffer& waste() noexcept { return waste_; }

 private:
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                  boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;
  void arm();
  void tick();
  bool reserve(std::size_t bytes) noexcept;

  Shared& shared_;
  const std::uint32_t index_;
  std::optional<boost::asio::io_context> context_;
  std::optional<Timer> timer_;
  std::atomic<std::uint64_t> ticks_{0};
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  boost::intrusive::list<Session> sessions_;
  std::int64_t date_second_ = -1;
  std::string date_;
  std::uint64_t next_id_;
  std::vector<Buffer> spare_;  ///< given back, kept for the next body
  Inflate inflate_;
  Buffer waste_;
  std::thread thread_;
};

}  // namespace tally::http::detail
