#include "db/migrations.hpp"

#include "db/detail/embedded.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Errc;
using tracker::Result;

namespace {

using namespace std::chrono_literals;
constexpr auto kReadTimeout = 10s;
// A migration may have to wait for another replica's, and to rewrite a table.
constexpr auto kMigrateTimeout = 10min;

// Asks the catalog itself: to_regclass may answer from this session's cache what was true before the lock was ours.
constexpr Query kHasTable{"schema_table", R"sql(
  SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'tallyd' AND c.relname = 'schema_migrations')
)sql",
                          true};

constexpr Query kApplied{"schema_versions", R"sql(
  SELECT version, checksum FROM tallyd.schema_migrations ORDER BY version
)sql",
                         true};

constexpr Query kBegin{"migrate_begin", R"sql(
  BEGIN ISOLATION LEVEL READ COMMITTED;
  SELECT pg_advisory_xact_lock(7290, 1);
)sql"};

// The schema may exist already, made by an administrator for a role that may not create one.
constexpr Query kCreateTable{"migrate_table", R"sql(
  DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'tallyd') THEN CREATE SCHEMA tallyd; END IF;
  END $$;
  CREATE TABLE IF NOT EXISTS tallyd.schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
  );
)sql"};

constexpr Query kRecord{"migrate_record", R"sql(
  INSERT INTO tallyd.schema_migrations (version, name, checksum) VALUES ($1, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))
)sql"};

constexpr Query kChecksums{"migrate_checksums", R"sql(
  SELECT array_agg(encode(sha256(convert_to(t, 'UTF8')), 'hex') ORDER BY n) FROM unnest($1::text[]) WITH ORDINALITY AS x(t, n)
)sql",
                           true};

// For people and SQL tools; our own statements qualify every name. Where the database is not ours, the role is.
constexpr Query kSearchPath{"migrate_search_path", R"sql(
  DO $$ BEGIN
    BEGIN
      EXECUTE format('ALTER DATABASE %I SET search_path = tallyd, public', current_database());
    EXCEPTION WHEN insufficient_privilege THEN
      EXECUTE format('ALTER ROLE %I SET search_path = tallyd, public', current_user);
    END;
  END $$;
)sql"};

constexpr Query kCommit{"migrate_commit", "COMMIT"};

struct Applied {
  int version;
  std::string checksum;
};

std::vector<Applied> to_applied(const Rows& rows) {
  std::vector<Applied> applied;
  for (int i = 0; i < rows.size(); ++i) {
    applied.push_back({static_cast<int>(rows.integer(i, 0)), std::string(rows.text(i, 1))});
  }
  return applied;
}

/// What the versions in the database mean for a program that knows `checksums`.
SchemaStatus judge(const std::vector<Applied>& applied, const std::vector<std::string>& checksums) {
  SchemaStatus status;
  status.known = static_cast<int>(checksums.size());
  status.version = applied.empty() ? 0 : applied.back().version;
  const std::string at = std::to_string(status.version), known = std::to_string(status.known);
  if (status.version > status.known) {
    status.state = SchemaState::newer;
    status.detail = "the database schema is at version " + at + ", this program knows " + known +
                    ": start a tallyd at least as new as the one that migrated it";
    return status;
  }
  for (std::size_t i = 0; i < applied.size(); ++i) {
    const bool same = applied[i].version == static_cast<int>(i) + 1 && applied[i].checksum == checksums[i];
    if (same) continue;
    status.state = SchemaState::altered;
    status.detail = "schema version " + std::to_string(applied[i].version) +
                    " in the database was made by a different migration than this program's: nothing was touched";
    return status;
  }
  status.state = status.version == status.known ? SchemaState::current
                 : status.version == 0          ? SchemaState::absent
                                                : SchemaState::behind;
  status.detail = status.state == SchemaState::current ? "the schema is current, version " + at
                                                       : "the schema is at version " + at + " of " + known +
                                                             ": run `tallyd migrate` with a role that may";
  return status;
}

asio::awaitable<Result<SchemaStatus>> inspect(Connection& connection, std::span<const Migration> list,
                                              tracker::SteadyTime deadline) {
  std::vector<std::string> texts;
  for (const Migration& migration : list) texts.emplace_back(migration.sql);
  Result<Rows> has_table = co_await connection.fetch(kHasTable, {}, deadline);
  if (!has_table) co_return has_table.error();
  const Params text_params = std::move(Params().texts(texts));
  Result<Rows> sums = co_await connection.fetch(kChecksums, text_params, deadline);
  if (!sums) co_return sums.error();
  const std::vector<std::string> checksums = sums->is_null(0, 0) ? std::vector<std::string>() : sums->texts(0, 0);

  std::vector<Applied> applied;
  if (has_table->boolean(0, 0)) {
    Result<Rows> rows = co_await connection.fetch(kApplied, {}, deadline);
    if (!rows) co_return rows.error();
    applied = to_applied(*rows);
  }
  co_return judge(applied, checksums);
}

asio::awaitable<Result<void>> apply(Connection& connection, std::span<const Migration> list, int from,
                                    tracker::SteadyTime deadline) {
  if (from == 0) {
    Result<void> made = co_await connection.script(kCreateTable, deadline);
    if (!made) co_return made.error();
  }
  for (const Migration& migration : list.subspan(static_cast<std::size_t>(from))) {
    Result<void> ran = co_await connection.script({"migrate_step", migration.sql}, deadline);
    if (!ran) co_return ran.error();
    const Params record = std::move(Params().int4(migration.version).text(migration.name).text(migration.sql));
    Result<Rows> recorded = co_await connection.fetch(kRecord, record, deadline);
    if (!recorded) co_return recorded.error();
  }
  Result<void> path = co_await connection.script(kSearchPath, deadline);
  if (!path) co_return path.error();
  co_return co_await connection.script(kCommit, deadline);
}

}  // namespace

std::span<const Migration> migrations() {
  return detail::embedded_migrations();
}

asio::awaitable<Result<SchemaStatus>> inspect_schema(Pool& pool) {
  const tracker::SteadyTime deadline = pool.clock().steady() + kReadTimeout;
  Result<Pool::Lease> lease = co_await pool.acquire(deadline);
  if (!lease) co_return lease.error();
  co_return co_await inspect(**lease, migrations(), deadline);
}

asio::awaitable<Result<SchemaStatus>> migrate(Pool& pool, std::string* why) {
  return migrate(pool, migrations(), why);
}

asio::awaitable<Result<SchemaStatus>> migrate(Pool& pool, std::span<const Migration> list, std::string* why) {
  const tracker::SteadyTime deadline = pool.clock().steady() + kMigrateTimeout;
  Result<Pool::Lease> lease = co_await pool.acquire(pool.clock().steady() + kReadTimeout);
  if (!lease) {
    if (why) *why = pool.last_problem();
    co_return lease.error();
  }
  Connection& connection = **lease;
  const auto failed = [&](boost::system::error_code error) {
    if (why) *why = connection.last_message();
    return error;
  };
  const auto nothing_to_do = [](const SchemaStatus& status) {
    return status.state != SchemaState::absent && status.state != SchemaState::behind;
  };

  Result<SchemaStatus> before = co_await inspect(connection, list, pool.clock().steady() + kReadTimeout);
  if (!before) co_return failed(before.error());
  if (nothing_to_do(*before)) co_return before;

  // Whatever ends this function early drops the connection, which is inside the transaction: the server rolls back.
  Result<void> began = co_await connection.script(kBegin, deadline);
  if (!began) co_return failed(began.error());
  Result<SchemaStatus> locked = co_await inspect(connection, list, deadline);
  if (!locked) co_return failed(locked.error());
  if (nothing_to_do(*locked)) co_return locked;
  Result<void> applied = co_await apply(connection, list, locked->version, deadline);
  if (!applied) co_return failed(applied.error());
  co_return co_await inspect(connection, list, pool.clock().steady() + kReadTimeout);
}

}  // namespace tally::db
