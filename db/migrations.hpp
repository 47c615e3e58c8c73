#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "db/pool.hpp"

namespace tally::db {

struct Migration {
  int version;
  std::string_view name;
  std::string_view sql;
};

/// db/migrations/NNNN_*.sql as built in, in order, dense from 1.
std::span<const Migration> migrations();

enum class SchemaState {
  absent,
  behind,
  current,
  newer,    ///< made by a later tallyd: nothing may be written
  altered,  ///< a migration that was applied differs from the one built in
};

struct SchemaStatus {
  SchemaState state = SchemaState::absent;
  int version = 0;  ///< last applied
  int known = 0;    ///< last built in
  /// One sentence for people: what is the matter and what to do.
  std::string detail;
};

/// Reads only.
boost::asio::awaitable<tracker::Result<SchemaStatus>> inspect_schema(Pool& pool);

/// Brings the schema up to date, in one transaction under a transaction-scoped advisory lock; does nothing where it is
/// current already (so that a role without DDL serves), nor where it is newer or altered (the status says so).
/// `store_refuses`: this role may not; `why`, if given, gets the server's words.
boost::asio::awaitable<tracker::Result<SchemaStatus>> migrate(Pool& pool, std::string* why = nullptr);

/// The same with other migrations: for tests.
boost::asio::awaitable<tracker::Result<SchemaStatus>> migrate(Pool& pool, std::span<const Migration> list,
                                                              std::string* why = nullptr);

}  // namespace tally::db
