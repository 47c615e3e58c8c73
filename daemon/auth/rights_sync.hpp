#pragma once
#include "daemon/auth/token_book.hpp"
#include "daemon/counting/disk_thread.hpp"
#include "daemon/counting/waker.hpp"

namespace tally::daemon {

/// Keeps the token book up to date with the database: asks for what changed whenever a heartbeat shows a higher
/// version. Everything runs on the counting executor.
class RightsSync {
 public:
  RightsSync(boost::asio::any_io_executor executor, db::TokenStore& store, TokenBook& book, DiskThread& disk)
      : store_(store), book_(book), disk_(disk), waker_(std::move(executor)) {}

  boost::asio::awaitable<void> run();
  void stop();
  /// The database is at this version of the rights.
  void seen(std::int64_t version);

 private:
  db::TokenStore& store_;
  TokenBook& book_;
  DiskThread& disk_;
  Waker waker_;
  std::int64_t wanted_ = 0;
  bool stopping_ = false;
};

}  // namespace tally::daemon
