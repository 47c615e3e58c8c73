#pragma once
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

namespace tally::daemon {

/// A wait that can be cut short, also before it began. One waiter; all calls but `waits` on one executor.
class Waker {
 public:
  explicit Waker(boost::asio::any_io_executor executor) : timer_(std::move(executor)) {}

  void wake() {
    woken_ = true;
    timer_.cancel();
  }

  /// Until `wake` or the end of `longest`.
  boost::asio::awaitable<void> wait(std::chrono::milliseconds longest) {
    waits_.fetch_add(1, std::memory_order_relaxed);
    if (!woken_) {
      timer_.expires_after(longest);
      boost::system::error_code ignored;
      co_await timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    }
    woken_ = false;
  }

  /// How often it was waited here: a loop that waits once a round is alive while this grows. Thread-safe.
  std::uint64_t waits() const { return waits_.load(std::memory_order_relaxed); }

 private:
  boost::asio::steady_timer timer_;
  bool woken_ = false;
  std::atomic<std::uint64_t> waits_{0};
};

}  // namespace tally::daemon
