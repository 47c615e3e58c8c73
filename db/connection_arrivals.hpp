#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "db/pool.hpp"

namespace tally::db {

/// How far somebody has seen what comes into the connection log.
struct ConnectionMark {
  std::int64_t at_us = 0;  ///< by the database's clock
  std::string snapshot;    ///< a pg_snapshot
};

struct ConnectionArrivalsSeen {
  std::vector<tracker::Uuid> entries;  ///< in their own order
  ConnectionMark mark;                 ///< where the next look goes on
};

/// Which entries came into the log, however old the connection is that they are of. May be called from any executor, as
/// `PgStore`.
class ConnectionArrivals {
 public:
  template <class T>
  using Async = boost::asio::awaitable<tracker::Result<T>>;

  explicit ConnectionArrivals(Pool& pool) : pool_(pool) {}

  /// At most `limit` entries behind `behind` that were committed since the mark: each in the first look after its
  /// commit, and again in a later one if it has changed meanwhile. Without a mark none, just a mark.
  Async<ConnectionArrivalsSeen> since(std::optional<ConnectionMark> mark, tracker::Uuid behind, std::int64_t limit);

 private:
  Pool& pool_;
};

}  // namespace tally::db
