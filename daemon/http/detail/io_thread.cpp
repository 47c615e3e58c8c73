#include "daemon/http/detail/io_thread.hpp"

#include <pthread.h>

#include <boost/asio/post.hpp>
#include <future>
#include <random>

#include "daemon/http/detail/render.hpp"
#include "daemon/log.hpp"

namespace tally::http::detail {
namespace {

constexpr std::size_t kSpareBuffers = 8;
constexpr std::size_t kLargestSpare = 1024 * 1024;
constexpr std::size_t kWaste = 64 * 1024;

std::uint64_t random_word() {
  std::random_device source;
  return std::uint64_t{source()} << 32 | source();
}

}  // namespace

Shared::Shared(const ServerOptions& options, const tracker::Clock& the_clock, metrics::HttpMetrics& the_metrics)
    : limits(options.limits),
      deadlines(options.deadlines),
      clock(the_clock),
      metrics(the_metrics),
      slots(options.limits.connections, options.limits.connections_per_peer) {}

TlsContext Shared::tls() const {
  const std::lock_guard lock(tls_mutex_);
  return tls_;
}

void Shared::set_tls(TlsContext context) {
  const std::lock_guard lock(tls_mutex_);
  tls_ = std::move(context);
}

IoThread::IoThread(Shared& shared, std::uint32_t index)
    : shared_(shared),
      index_(index),
      context_(std::in_place, BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO),
      timer_(executor()),
      date_(date_header(shared.clock.wall())),
      next_id_(random_word()),
      waste_(kWaste) {}

IoThread::~IoThread() {
  stop();
  // Sockets and timers go before their loop, the loop before the connections that its handlers point to.
  acceptors_.clear();
  timer_.reset();
  for (Session& session : sessions_) session.drop_transport();
  context_.reset();
  sessions_.clear_and_dispose([](Session* session) { delete session; });
}

void IoThread::add_listener(const Listener& listener, int descriptor) {
  acceptors_.push_back(std::make_unique<Acceptor>(*this, listener, descriptor));
}

void IoThread::start() {
  for (const auto& acceptor : acceptors_) acceptor->start();
  arm();
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), ("http-" + std::to_string(index_)).c_str());
    for (;;) {
      try {
        context_->run();
        return;
      } catch (const std::exception& failure) {
        // A connection's own failures are dealt with where they happen; this is the net below.
        daemon::log::error("an http thread met an exception", {{"thread", index_}, {"error", failure.what()}});
      }
    }
  });
}

void IoThread::stop_accepting() {
  if (!thread_.joinable()) return;
  std::promise<void> done;
  boost::asio::post(executor(), [&] {
    for (const auto& acceptor : acceptors_) acceptor->stop();
    for (auto next = sessions_.begin(); next != sessions_.end();) (*next++).end_if_idle();
    done.set_value();
  });
  done.get_future().wait();
}

void IoThread::stop() {
  if (!thread_.joinable()) return;
  boost::asio::post(executor(), [this] {
    for (auto next = sessions_.begin(); next != sessions_.end();) {
      Session& session = *next++;
      session.cut();
      session.reap();
    }
    context_->stop();
  });
  thread_.join();
}

Session& IoThread::add(std::unique_ptr<Session> session) {
  sessions_.push_back(*session);
  return *session.release();
}

void IoThread::remove(Session& session) noexcept {
  sessions_.erase_and_dispose(sessions_.iterator_to(session), [](Session* gone) { delete gone; });
}

void IoThread::arm() {
  timer_->expires_after(shared_.deadlines.tick);
  timer_->async_wait([this](const boost::system::error_code& ec) {
    if (ec) return;
    tick();
    arm();
  });
}

void IoThread::tick() {
  ticks_.store(ticks_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  const tracker::WallTime wall = shared_.clock.wall();
  if (const std::int64_t second = wall.time_since_epoch().count() / 1000; second != date_second_) {
    date_second_ = second;
    date_ = date_header(wall);
  }
  const tracker::SteadyTime now = shared_.clock.steady();
  for (auto next = sessions_.begin(); next != sessions_.end();) (*next++).check_deadlines(now);
}

void IoThread::make_request_id(char* out) noexcept {
  // splitmix64 is a bijection: no two numbers of the sequence give the same id.
  std::uint64_t word = next_id_ += 0x9E3779B97F4A7C15;
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9;
  word = (word ^ (word >> 27)) * 0x94D049BB133111EB;
  word ^= word >> 31;
  for (int i = 0; i < 16; ++i, word >>= 4) out[i] = "0123456789abcdef"[word & 15];
}

bool IoThread::reserve(std::size_t bytes) noexcept {
  if (shared_.body_bytes.fetch_add(bytes) + bytes <= shared_.limits.bodies) return true;
  shared_.body_bytes.fetch_sub(bytes);
  return false;
}

std::optional<Buffer> IoThread::take_buffer(std::size_t capacity) {
  if (!spare_.empty() && spare_.back().capacity() >= capacity) {
    if (!reserve(spare_.back().capacity())) return std::nullopt;
    Buffer buffer = std::move(spare_.back());
    spare_.pop_back();
    return buffer;
  }
  if (!reserve(capacity)) return std::nullopt;
  return Buffer(capacity);
}

bool IoThread::grow(Buffer& buffer, std::size_t capacity, std::size_t used) {
  if (capacity <= buffer.capacity()) return true;
  if (!reserve(capacity - buffer.capacity())) return false;
  buffer.grow(capacity, used);
  return true;
}

void IoThread::give_back(Buffer buffer) noexcept {
  shared_.body_bytes.fetch_sub(buffer.capacity());
  if (buffer.capacity() <= kLargestSpare && spare_.size() < kSpareBuffers) spare_.push_back(std::move(buffer));
}

}  // namespace tally::http::detail
