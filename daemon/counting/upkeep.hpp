#pragma once
#include <chrono>

#include "daemon/counting/waker.hpp"
#include "db/pg_store.hpp"

namespace tally::daemon {

/// Removes what the database no longer needs: idempotency keys behind the horizon of all replicas (accounting.md
/// section 9), and the ids of closed periods past their retention. In chunks, so that no flush waits long. Runs on the
/// counting executor.
class Upkeep {
 public:
  /// `dedup_window`: keys are kept at least this long; `retention_ids`: ids are.
  Upkeep(boost::asio::any_io_executor executor, db::PgStore& store, std::chrono::milliseconds dedup_window,
         std::chrono::milliseconds retention_ids);

  boost::asio::awaitable<void> run();
  void stop();

 private:
  boost::asio::awaitable<void> remove_keys();
  boost::asio::awaitable<void> remove_ids();

  db::PgStore& store_;
  std::chrono::seconds dedup_window_;
  std::chrono::seconds retention_ids_;
  std::chrono::milliseconds every_;
  Waker waker_;
  bool stopping_ = false;
};

}  // namespace tally::daemon
