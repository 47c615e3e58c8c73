#include "db/connection_log.hpp"

#include <algorithm>

#include "db/detail/connection_sql.hpp"
#include "db/detail/on_pool.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Result;
using tracker::Uuid;

namespace {

using namespace std::chrono_literals;
constexpr auto kReadTimeout = 10s;
constexpr auto kUpkeepTimeout = 30s;

/// Of two names for one thing both must fit.
constexpr Query kResolve{"connections_names", R"sql(
  SELECT ARRAY(SELECT o.id FROM tallyd.organizations o WHERE lower(o.name) = lower($1)),
         ARRAY(SELECT w.id FROM tallyd.users w
                WHERE ($2 IS NOT NULL OR $3 IS NOT NULL)
                  AND ($2 IS NULL OR lower(w.username) = lower($2))
                  AND ($3 IS NULL OR (lower(w.email) = lower($3) AND w.email <> ''))),
         ARRAY(SELECT u.id FROM tallyd.users u
                WHERE ($4 IS NOT NULL OR $5 IS NOT NULL)
                  AND ($4 IS NULL OR lower(u.username) = lower($4))
                  AND ($5 IS NULL OR (lower(u.email) = lower($5) AND u.email <> ''))),
         ARRAY(SELECT t FROM unnest($6::text[]) t
                WHERE EXISTS (SELECT FROM tallyd.connection_logs c WHERE c.type = t))
)sql",
                         true};

constexpr Query kMarkLost{"connections_lost", R"sql(
  UPDATE tallyd.connection_logs c SET lost_at = c.heard_at + make_interval(secs => $1)
   WHERE c.entry = ANY (ARRAY(
     SELECT o.entry FROM tallyd.connection_logs o
      WHERE o.state = 1 AND o.heard_at < now() - make_interval(secs => $1)
      ORDER BY o.at LIMIT $2 FOR UPDATE SKIP LOCKED))
)sql"};

constexpr Query kPurge{"connections_purge", R"sql(
  SELECT tallyd.purge_connections_v1($1, $2)
)sql"};

constexpr Query kForgetMoves{"connections_forget_moves", R"sql(
  DELETE FROM tallyd.connection_log_moves m
   WHERE m.ctid = ANY (ARRAY(
     SELECT o.ctid FROM tallyd.connection_log_moves o WHERE o.moved_at < now() - make_interval(secs => $1)
      ORDER BY o.moved_by LIMIT $2 FOR UPDATE SKIP LOCKED))
)sql"};

void maybe_text(Params& params, const std::optional<std::string>& text) {
  if (text)
    params.text(*text);
  else
    params.null_text();
}

bool needs_names(const ConnectionFilter& filter) {
  return filter.organization_name || filter.workspace_owner || filter.workspace_owner_email || filter.username ||
         filter.user_email || filter.types.size() > 1;
}

asio::awaitable<Result<detail::ResolvedFilter>> run_resolve(Pool& pool, const ConnectionFilter& filter) {
  detail::ResolvedFilter resolved;
  if (needs_names(filter)) {
    Params params;
    maybe_text(params, filter.organization_name);
    maybe_text(params, filter.workspace_owner);
    maybe_text(params, filter.workspace_owner_email);
    maybe_text(params, filter.username);
    maybe_text(params, filter.user_email);
    params.texts(std::span<const std::string>(filter.types));
    Result<Rows> rows = co_await pool.fetch(kResolve, params, kReadTimeout);
    if (!rows) co_return rows.error();
    resolved.organizations = rows->uuids(0, 0);
    resolved.owners = rows->uuids(0, 1);
    resolved.users = rows->uuids(0, 2);
    resolved.types = rows->texts(0, 3);
  } else {
    resolved.types = filter.types;
  }
  if (filter.organization) resolved.organizations.assign(1, *filter.organization);
  co_return resolved;
}

constexpr int kSnapshotColumn = 25;

// Rows are decoded outside the coroutines: GCC 12 destroys the elements of a braced list in a coroutine twice.
ConnectionShown to_shown(const Rows& rows, int row) {
  ConnectionShown shown;
  int column = 1;
  shown.place.at_us = rows.timestamp_us(row, column++);
  shown.place.entry = rows.uuid(row, column++);
  shown.id = rows.uuid(row, column++);
  shown.organization = rows.uuid(row, column++);
  shown.organization_name = rows.maybe_text(row, column++);
  shown.owner = rows.uuid(row, column++);
  shown.owner_name = rows.maybe_text(row, column++);
  shown.workspace = rows.uuid(row, column++);
  shown.workspace_name = rows.text(row, column++);
  shown.agent_name = rows.text(row, column++);
  shown.type = rows.text(row, column++);
  shown.ip = rows.maybe_text(row, column++);
  shown.user_agent = rows.maybe_text(row, column++);
  shown.user = rows.maybe_uuid(row, column++);
  shown.user_name = rows.maybe_text(row, column++);
  shown.slug_or_port = rows.maybe_text(row, column++);
  shown.connection = rows.maybe_uuid(row, column++);
  shown.connect_us = rows.maybe_timestamp_us(row, column++);
  shown.disconnect_us = rows.maybe_timestamp_us(row, column++);
  shown.code = rows.maybe_integer(row, column++);
  shown.reason = rows.maybe_text(row, column++);
  shown.state = static_cast<ConnectionShown::State>(rows.integer(row, column++));
  shown.lost_us = rows.maybe_timestamp_us(row, column++);
  shown.began_with_disconnect = rows.integer(row, column) == 1;
  return shown;
}

ConnectionPage to_page(const Rows& rows, const ConnectionPageRequest& request) {
  ConnectionPage page;
  page.count = rows.integer(0, 0);
  if (rows.is_null(0, 1)) return page;
  const int shown = static_cast<int>(std::min<std::int64_t>(rows.size(), request.limit));
  page.entries.reserve(static_cast<std::size_t>(shown));
  for (int row = 0; row < shown; ++row) page.entries.push_back(to_shown(rows, row));
  if (rows.size() > request.limit) {
    ConnectionCursor& next = page.next.emplace();
    next.place = page.entries.back().place;
    next.snapshot = request.after ? request.after->snapshot : std::string(rows.text(0, kSnapshotColumn));
  }
  return page;
}

asio::awaitable<Result<ConnectionPage>> run_page(Pool& pool, detail::Turns& turns, ConnectionPageRequest request) {
  const auto turn = co_await turns.take(pool.clock().steady() + kReadTimeout);
  if (!turn) co_return turn.error();
  const auto resolved = co_await run_resolve(pool, request.filter);
  if (!resolved) co_return resolved.error();
  ConnectionPage nothing;
  if (detail::matches_nothing(request, *resolved)) co_return nothing;

  const detail::ConnectionStatement wanted = detail::page_statement(request, *resolved);
  const Query query{"connections_page", wanted.sql, true};
  Result<Rows> rows = co_await pool.fetch(query, wanted.params, kReadTimeout);
  if (!rows) co_return rows.error();
  co_return to_page(*rows, request);
}

asio::awaitable<Result<std::int64_t>> run_mark_lost(Pool& pool, std::chrono::milliseconds timeout, std::int64_t chunk) {
  const Params params = std::move(Params().float8(static_cast<double>(timeout.count()) / 1000).int8(chunk));
  Result<Rows> rows = co_await pool.fetch(kMarkLost, params, kUpkeepTimeout);
  if (!rows) co_return rows.error();
  co_return rows->affected();
}

asio::awaitable<Result<std::int64_t>> run_forget_moves(Pool& pool, std::chrono::milliseconds age, std::int64_t chunk) {
  const Params params = std::move(Params().float8(static_cast<double>(age.count()) / 1000).int8(chunk));
  Result<Rows> rows = co_await pool.fetch(kForgetMoves, params, kUpkeepTimeout);
  if (!rows) co_return rows.error();
  co_return rows->affected();
}

asio::awaitable<Result<std::int64_t>> run_purge(Pool& pool, std::chrono::milliseconds retention, std::int64_t chunk) {
  const Params params = std::move(Params().float8(static_cast<double>(retention.count()) / 1000).int8(chunk));
  Result<Rows> rows = co_await pool.fetch(kPurge, params, kUpkeepTimeout);
  if (!rows) co_return rows.error();
  co_return rows->integer(0, 0);
}

/// The organizations that a conjunction lists, if that is all it says.
std::optional<std::vector<Uuid>> listed_organizations(const authz::AllOf& all) {
  using Kind = authz::Condition::Kind;
  std::optional<std::vector<Uuid>> listed;
  for (const authz::Condition& condition : all) {
    if (condition.kind == Kind::always) continue;
    if (listed || condition.kind != Kind::equals_any || condition.column != authz::Column::org) return std::nullopt;
    listed.emplace();
    for (const std::string& value : condition.values) {
      if (value.empty()) return std::nullopt;  // rows without an organization
      if (const auto id = Uuid::parse(value); id && id->to_string() == value) listed->push_back(*id);
    }
  }
  return listed;
}

}  // namespace

ConnectionRights ConnectionRights::of(const authz::Filter& filter) {
  ConnectionRights rights;
  const authz::Table& table = *authz::find_table("connection_logs");
  for (const authz::AllOf& all : filter.any_of) {
    authz::Filter alone;
    alone.any_of.push_back(all);
    const auto condition = authz::to_sql(alone, table);
    if (condition.always()) return everything();
    if (condition.never()) continue;  // what a log cannot show, an owner for example
    const auto listed = listed_organizations(all);
    if (!listed) {
      rights.organizations.clear();
      rights.other = filter;
      return rights;
    }
    for (const Uuid& id : *listed)
      if (std::find(rights.organizations.begin(), rights.organizations.end(), id) == rights.organizations.end())
        rights.organizations.push_back(id);
  }
  return rights;
}

bool ConnectionRights::none() const {
  return !all && !other && organizations.empty();
}

ConnectionLog::Async<ConnectionPage> ConnectionLog::page(ConnectionPageRequest request) {
  return detail::on_pool(pool_, run_page(pool_, turns_, std::move(request)));
}

ConnectionLog::Async<std::int64_t> ConnectionLog::mark_lost(std::chrono::milliseconds timeout, std::int64_t chunk) {
  return detail::on_pool(pool_, run_mark_lost(pool_, timeout, chunk));
}

ConnectionLog::Async<std::int64_t> ConnectionLog::purge(std::chrono::milliseconds retention, std::int64_t chunk) {
  return detail::on_pool(pool_, run_purge(pool_, retention, chunk));
}

ConnectionLog::Async<std::int64_t> ConnectionLog::forget_moves(std::chrono::milliseconds age, std::int64_t chunk) {
  return detail::on_pool(pool_, run_forget_moves(pool_, age, chunk));
}

}  // namespace tally::db
