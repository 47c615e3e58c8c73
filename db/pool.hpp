#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "db/connection.hpp"

namespace tally::db {

struct PoolOptions {
  std::string conninfo;
  std::size_t limit = 4;
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds idle_timeout{60'000};
  std::chrono::milliseconds first_backoff{200};
  std::chrono::milliseconds longest_backoff{30'000};
};

/// A few connections that are opened when needed and shared by all. Nothing is kept in a session.
/// While the server cannot be reached, attempts are spaced with full jitter; callers whose deadline lies before the
/// next attempt are refused at once. All calls on one executor (a single-threaded context or a strand); `PgStore` and
/// the others hop there by themselves.
class Pool {
 public:
  class Lease;

  Pool(boost::asio::any_io_executor executor, PoolOptions options, const tracker::Clock& clock, Observer& observer);
  /// Connections in use are closed when their statement ends.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  boost::asio::any_io_executor executor() const;
  const tracker::Clock& clock() const;

  /// `store_unavailable`: none until the deadline. `shutting_down`: after `close`.
  boost::asio::awaitable<tracker::Result<Lease>> acquire(tracker::SteadyTime deadline);

  /// Acquire, run, release, all within `timeout`. A repeatable query is sent once more if a reused connection was dead.
  boost::asio::awaitable<tracker::Result<Rows>> fetch(const Query& query, const Params& params,
                                                      std::chrono::milliseconds timeout);
  boost::asio::awaitable<tracker::Result<std::vector<Rows>>> transact(std::span<const Statement> statements,
                                                                      std::chrono::milliseconds timeout);

  /// Refuses new work, fails who waits, closes idle connections. Connections in use end with their statement. The
  /// observer hears of no change of connections from now on.
  void close();

  /// Text of the last failed connect or lost statement; empty while all is well. Thread-safe.
  std::string last_problem() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// A connection for one statement or transaction; goes back by itself.
class Pool::Lease {
 public:
  Lease(Lease&&) noexcept;
  Lease& operator=(Lease&&) noexcept;
  ~Lease();
  Connection& operator*() const { return *connection_; }
  Connection* operator->() const { return connection_.get(); }
  /// It had answered before; it may have died since.
  bool reused() const { return reused_; }

 private:
  friend class Pool;
  Lease(std::shared_ptr<State> state, std::unique_ptr<Connection> connection, bool reused);
  std::shared_ptr<State> state_;
  std::unique_ptr<Connection> connection_;
  bool reused_ = false;
};

}  // namespace tally::db
