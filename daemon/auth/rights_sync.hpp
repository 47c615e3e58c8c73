#pragma once
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <set>

#include "daemon/auth/token_book.hpp"
#include "daemon/counting/disk_thread.hpp"
#include "daemon/counting/waker.hpp"

namespace tally::daemon {

/// Keeps the token book up to date with the database: asks for what changed whenever a heartbeat shows a higher
/// version, or a request of this replica made one. Revocations do not wait for the rest of a long reading. Tells the
/// database which tokens are in use, at most once a minute each, and forgets tokens that ended `keep_ended` ago (0:
/// never). Everything but `reach` runs on the counting executor.
class RightsSync {
 public:
  RightsSync(boost::asio::any_io_executor executor, db::TokenStore& store, TokenBook& book, DiskThread& disk,
             const tracker::Clock& clock, std::chrono::milliseconds keep_ended)
      : executor_(executor),
        store_(store),
        book_(book),
        disk_(disk),
        clock_(clock),
        keep_ended_(keep_ended),
        waker_(std::move(executor)) {}

  boost::asio::awaitable<void> run();
  void stop();
  /// Grows while `run` goes round. Thread-safe.
  std::uint64_t rounds() const { return waker_.waits(); }
  /// The database is at this version of the rights.
  void seen(std::int64_t version);

  /// On any executor. True once the book knows everything up to `version`; false if that takes longer than two seconds.
  boost::asio::awaitable<bool> reach(std::int64_t version);

 private:
  boost::asio::awaitable<bool> wait_for(std::int64_t version);
  boost::asio::awaitable<void> catch_up();
  boost::asio::awaitable<void> take_revocations();
  boost::asio::awaitable<void> note_use();
  void forget_ended();

  boost::asio::any_io_executor executor_;
  db::TokenStore& store_;
  TokenBook& book_;
  DiskThread& disk_;
  const tracker::Clock& clock_;
  const std::chrono::milliseconds keep_ended_;
  Waker waker_;
  std::list<boost::asio::steady_timer> waiting_;
  std::int64_t wanted_ = 0;
  std::int64_t revoked_up_to_ = 0;  ///< revocations up to here are known, even if the book's version is behind
  int lower_ = 0;                   ///< heartbeats in a row that showed a lower version than the book's
  tracker::SteadyTime next_interval_{};
  std::set<std::string> unnoted_;  ///< tokens that are in use, and that the database has not been told of
  tracker::SteadyTime note_again_{};
  bool stopping_ = false;
};

}  // namespace tally::daemon
