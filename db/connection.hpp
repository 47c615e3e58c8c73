#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "db/params.hpp"
#include "db/query.hpp"
#include "db/rows.hpp"
#include "tracker/clock.hpp"
#include "tracker/errors.hpp"

namespace tally::db {

struct Statement {
  const Query* query = nullptr;
  Params params;
};

/// One libpq connection, never blocking. One coroutine at a time, on the executor that opened it.
/// Every call ends at its deadline; whatever does not end in a clean answer drops the connection (`usable()` false):
/// `store_unavailable` if nothing had been sent, `outcome_unknown` after. A timed-out statement is also cancelled on
/// the server, best effort. Success is reported only after the server's ReadyForQuery: before it the commit has not
/// happened.
class Connection {
 public:
  /// `conninfo`: libpq URL or keywords, several hosts included. Host names are looked up without blocking.
  /// `why`, if given, receives the failure's text.
  static boost::asio::awaitable<tracker::Result<std::unique_ptr<Connection>>> open(std::string conninfo,
                                                                                   tracker::SteadyTime deadline,
                                                                                   Observer& observer,
                                                                                   const tracker::Clock& clock,
                                                                                   std::string* why = nullptr);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// One statement, one implicit transaction. `query` and `params` must outlive the call.
  boost::asio::awaitable<tracker::Result<Rows>> fetch(const Query& query, const Params& params,
                                                      tracker::SteadyTime deadline);
  /// All in one READ COMMITTED transaction and one round trip: the server never waits for us inside it.
  /// Each statement sees what was committed before it started.
  boost::asio::awaitable<tracker::Result<std::vector<Rows>>> transact(std::span<const Statement> statements,
                                                                      tracker::SteadyTime deadline);
  /// Constant SQL, several statements allowed, in one implicit transaction unless it says otherwise. It may leave an
  /// open transaction for the calls that follow; the connection is not `usable` for others until that ends.
  boost::asio::awaitable<tracker::Result<void>> script(const Query& query, tracker::SteadyTime deadline);

  /// May take another statement: connected, idle, not inside a transaction, and the server has not hung up.
  bool usable() const;
  /// Of the last statement that failed.
  const std::string& last_message() const;
  const std::string& last_sqlstate() const;

 private:
  class Impl;
  explicit Connection(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace tally::db
