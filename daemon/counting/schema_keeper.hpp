#pragma once
#include <functional>
#include <mutex>
#include <string>

#include "daemon/counting/waker.hpp"
#include "db/pool.hpp"

namespace tally::daemon {

/// Brings the database's schema up to date as soon as it can be reached, or says who must. Runs on the counting
/// executor.
class SchemaKeeper {
 public:
  SchemaKeeper(boost::asio::any_io_executor executor, db::Pool& pool) : pool_(pool), waker_(std::move(executor)) {}

  boost::asio::awaitable<void> run();
  void stop();
  /// Called once, when the schema can be used.
  void on_ready(std::function<void()> handler) { on_ready_ = std::move(handler); }
  /// Empty while the schema is the one this program knows. Thread-safe.
  std::string problem() const;

 private:
  /// `server_says`: for the log alone.
  void note(std::string problem, const std::string& server_says = {});

  db::Pool& pool_;
  Waker waker_;
  std::function<void()> on_ready_;
  bool stopping_ = false;
  mutable std::mutex mutex_;  ///< guards `problem_`
  std::string problem_ = "not looked at yet: the database has not been reached";
};

}  // namespace tally::daemon
