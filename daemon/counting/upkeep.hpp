#pragma once
#include <chrono>

#include "daemon/counting/waker.hpp"
#include "db/pg_store.hpp"
#include "db/token_store.hpp"
#include "db/usage_history.hpp"

namespace tally::daemon {

/// Removes what the database no longer needs: idempotency keys behind the horizon of all replicas (accounting.md
/// section 9), the ids of closed periods, reports, ended streams and ended tokens past their retention. In chunks, so
/// that no flush waits long. Runs on the counting executor.
class Upkeep {
 public:
  /// How long what is kept at least.
  struct Retention {
    std::chrono::milliseconds keys{};
    std::chrono::milliseconds ids{};
    std::chrono::milliseconds reports{};  ///< 0: for ever
    bool delivered_reports_only = false;
    std::chrono::milliseconds streams{};  ///< longer than any replica keeps journals
    std::chrono::milliseconds tokens{};   ///< of their end; 0: for ever
  };
  Upkeep(boost::asio::any_io_executor executor, db::PgStore& store, db::TokenStore& tokens, db::UsageHistory& history,
         const Retention& retention);

  boost::asio::awaitable<void> run();
  void stop();
  /// Grows while `run` goes round. Thread-safe.
  std::uint64_t rounds() const { return waker_.waits(); }

 private:
  boost::asio::awaitable<void> remove_keys();
  boost::asio::awaitable<void> remove_ids();
  boost::asio::awaitable<void> remove_reports();
  boost::asio::awaitable<void> remove_streams();
  boost::asio::awaitable<void> remove_tokens();

  db::PgStore& store_;
  db::TokenStore& tokens_;
  db::UsageHistory& history_;
  Retention retention_;
  std::chrono::milliseconds every_;
  Waker waker_;
  bool stopping_ = false;
};

}  // namespace tally::daemon
