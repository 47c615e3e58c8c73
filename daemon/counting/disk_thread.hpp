#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <type_traits>

namespace tally::daemon {

/// The one thread that reads journals and unlinks files, so that no event loop waits for a disk.
class DiskThread {
 public:
  /// Runs `work` there and answers its result on the caller's executor. `work` must capture only what needs no
  /// destructor (pointers, numbers, ids): GCC 12 destroys a temporary closure in a co_await twice.
  template <class Work>
  requires std::is_trivially_destructible_v<Work>
  auto run(Work work) -> boost::asio::awaitable<decltype(work())> {
    // The callable is a parameter of the coroutine, so it lives in its frame.
    auto body = [](Work inner) -> boost::asio::awaitable<decltype(work())> { co_return inner(); };
    co_return co_await boost::asio::co_spawn(pool_.get_executor(), body(std::move(work)), boost::asio::use_awaitable);
  }
  void stop() { pool_.join(); }

 private:
  boost::asio::thread_pool pool_{1};
};

}  // namespace tally::daemon
