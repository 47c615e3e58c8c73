#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "authz/filter.hpp"
#include "db/detail/turns.hpp"
#include "db/pool.hpp"

namespace tally::db {

/// What somebody asks the connection log for; what is not there does not matter.
struct ConnectionFilter {
  enum class Status : std::uint8_t { ongoing, completed };

  std::optional<tracker::Uuid> organization;
  std::optional<std::string> organization_name;  ///< any letter case, as the names below
  std::optional<std::string> workspace_owner;
  std::optional<std::string> workspace_owner_email;
  std::optional<std::string> username;
  std::optional<std::string> user_email;
  std::vector<std::string> types;  ///< one of them; empty: any
  std::optional<std::int64_t> connected_after_us;
  std::optional<std::int64_t> connected_before_us;
  std::optional<tracker::Uuid> workspace;
  std::optional<tracker::Uuid> connection;
  std::optional<Status> status;
};

/// Which rows the asker may see at all.
struct ConnectionRights {
  static ConnectionRights everything() { return {.all = true}; }
  static ConnectionRights of(const authz::Filter& filter);
  bool none() const;

  bool all = false;
  std::vector<tracker::Uuid> organizations;
  /// Instead of the list, where rights say more than organizations (an allow list of single entries, say).
  std::optional<authz::Filter> other;
};

/// Where an entry stands in the log, newest first.
struct ConnectionPlace {
  std::int64_t at_us = 0;
  tracker::Uuid entry;
};

/// A place between two entries of the log as it was ordered when the first page was read. Entries move when an earlier
/// connect becomes known; behind a cursor they stand where they stood, so that none is skipped or repeated.
struct ConnectionCursor {
  ConnectionPlace place;
  std::string snapshot;  ///< of the first page: a pg_snapshot
};

struct ConnectionPageRequest {
  ConnectionFilter filter;
  ConnectionRights rights;
  std::vector<tracker::Uuid> entries;  ///< only these; empty: any
  std::int64_t limit = 100;
  std::int64_t offset = 0;
  std::optional<ConnectionCursor> after;  ///< only what is behind this
  std::int64_t count_cap = 0;             ///< 0: not counted
};

/// One entry as people are shown it. Names are today's; nothing where the directory does not know the id.
struct ConnectionShown {
  enum class State : std::uint8_t { point = 0, ongoing = 1, completed = 2 };

  ConnectionPlace place;
  tracker::Uuid id;
  tracker::Uuid organization;
  std::optional<std::string> organization_name;
  tracker::Uuid owner;
  std::optional<std::string> owner_name;
  tracker::Uuid workspace;
  std::string workspace_name;
  std::string agent_name;
  std::string type;
  std::optional<std::string> ip;
  std::optional<std::string> user_agent;
  std::optional<tracker::Uuid> user;
  std::optional<std::string> user_name;
  std::optional<std::string> slug_or_port;
  std::optional<tracker::Uuid> connection;
  std::optional<std::int64_t> connect_us;
  std::optional<std::int64_t> disconnect_us;
  std::optional<std::int64_t> code;
  std::optional<std::string> reason;
  State state = State::point;
  std::optional<std::int64_t> lost_us;  ///< since when it is taken for lost
  bool began_with_disconnect = false;   ///< the earliest event said "disconnected"
};

struct ConnectionPage {
  std::vector<ConnectionShown> entries;
  std::optional<ConnectionCursor> next;  ///< nothing on the last page
  std::int64_t count = 0;                ///< of all that match, at most `count_cap`
};

/// The connection log in PostgreSQL: what is asked of it, and its upkeep. May be called from any executor, as
/// `PgStore`.
class ConnectionLog {
 public:
  template <class T>
  using Async = boost::asio::awaitable<tracker::Result<T>>;

  /// `pages_at_once`: how many connections of the pool pages may hold, so that whoever asks much leaves some to others.
  explicit ConnectionLog(Pool& pool, std::size_t pages_at_once = 3)
      : pool_(pool), turns_(pool.executor(), pages_at_once) {}

  /// `overloaded`: others who ask hold all that pages may, for too long.
  Async<ConnectionPage> page(ConnectionPageRequest request);
  /// Marks sessions of which nothing was heard for so long; answers how many, at most `chunk`.
  Async<std::int64_t> mark_lost(std::chrono::milliseconds timeout, std::int64_t chunk = 1'000);
  /// Removes entries whose last event is older than this; answers how many, at most `chunk`.
  Async<std::int64_t> purge(std::chrono::milliseconds retention, std::int64_t chunk = 1'000);
  /// Forgets where entries stood so long ago: older cursors may repeat or skip what moved. Answers how many.
  Async<std::int64_t> forget_moves(std::chrono::milliseconds age, std::int64_t chunk = 10'000);

 private:
  Pool& pool_;
  detail::Turns turns_;
};

}  // namespace tally::db
