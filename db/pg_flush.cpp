#include <algorithm>

#include "db/detail/connection_params.hpp"
#include "db/detail/on_pool.hpp"
#include "db/detail/usage_params.hpp"
#include "db/pg_store.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Errc;
using tracker::Result;

namespace {

/// The numbers of tracker::StreamState are the column's.
constexpr Query kFlush{"flush", R"sql(
  SELECT clock, applied, epoch, accepted, conflicts
    FROM tallyd.flush_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                         $19, $20, $21, $22, $23, $24, $25, $26)
)sql"};

/// The same with the rows of the connection log, under the same compare-and-set: one statement, one transaction.
constexpr Query kFlushWithConnections{"flush_connections", R"sql(
  WITH f AS MATERIALIZED (
    SELECT * FROM tallyd.flush_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                                  $19, $20, $21, $22, $23, $24, $25, $26)),
  merged AS MATERIALIZED (
    SELECT tallyd.merge_connections_v1($1, $27, f.accepted, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39,
                                       $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51, $52, $53, $54, $55, $56, $57)
      FROM f WHERE f.applied IS NOT NULL)  -- [S10.applied: FROM f)]
  SELECT f.clock, f.applied, f.epoch, f.accepted, f.conflicts, (SELECT count(*) FROM merged) FROM f
)sql"};

/// And with usage events; there may be no connections in it.
constexpr Query kFlushWithUsage{"flush_usage", R"sql(
  WITH f AS MATERIALIZED (
    SELECT * FROM tallyd.flush_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                                  $19, $20, $21, $22, $23, $24, $25, $26)),
  merged AS MATERIALIZED (
    SELECT tallyd.merge_connections_v1($1, $27, f.accepted, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39,
                                       $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51, $52, $53, $54, $55, $56, $57)
      FROM f WHERE f.applied IS NOT NULL),
  inserted AS MATERIALIZED (
    SELECT tallyd.insert_usage_events_v1($1, $58, $59, $60, $61, $62, $63) AS fresh FROM f, (SELECT count(*) FROM merged) behind
     WHERE f.applied IS NOT NULL)
  SELECT f.clock, f.applied, f.epoch, f.accepted, f.conflicts, coalesce((SELECT sum(fresh) FROM inserted), 0)::bigint FROM f
)sql"};

constexpr Query kReadStream{"read_stream", R"sql(
  SELECT s.applied_lsn, s.chain, s.state, s.ids_epoch, c.period_id
    FROM tallyd.streams s, tallyd.period_clock c WHERE s.stream_id = $1 AND c.one
)sql",
                            true};

constexpr Query kRegisterReplica{"register_replica", R"sql(
  INSERT INTO tallyd.replicas AS r (replica_id, host, version) VALUES ($1, $2, $3)
  ON CONFLICT (replica_id) DO UPDATE
     SET given_up = false, registered_at = now(), heartbeat_at = now(), complete_as_of = excluded.complete_as_of
   WHERE r.given_up
)sql",
                                 true};

constexpr Query kRegisterStream{"register_stream", R"sql(
  INSERT INTO tallyd.streams (stream_id, replica_id) VALUES ($1, $2) ON CONFLICT (stream_id) DO NOTHING
)sql",
                                true};

constexpr Query kMarkDrained{"mark_drained", R"sql(
  UPDATE tallyd.streams SET state = 1, updated_at = now()
   WHERE stream_id = $1 AND state IN (0, 1)
     AND applied_lsn = $2  -- [S6.drained: AND ($2::bigint IS NOT NULL)]
  RETURNING true
)sql",
                             true};

constexpr Query kSetAside{"set_aside", R"sql(
  WITH moved AS (
    UPDATE tallyd.streams s
       SET applied_lsn = $3, chain = $5, boundary_requests = s.boundary_requests + $6, increments = s.increments + $7,
           connection_events = s.connection_events + $10, usage_events = s.usage_events + $11, updated_at = now()
     WHERE s.stream_id = $1 AND s.state = 0
       AND s.applied_lsn = $2 AND s.chain = $4  -- [F5.aside: AND ($2::bigint IS NOT NULL) AND ($4::bytea IS NOT NULL)]
    RETURNING s.stream_id)
  INSERT INTO tallyd.records_set_aside (stream_id, lsn_from, lsn_to, requests, increments, payload, reason)
  SELECT stream_id, $2, $3, $6, $7, $8, $9 FROM moved
  RETURNING true
)sql"};

std::array<std::uint8_t, 8> chain_bytes(tracker::Chain chain) {
  std::array<std::uint8_t, 8> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(chain >> (56 - 8 * i));
  return bytes;
}

tracker::Chain to_chain(std::string_view bytes) {
  tracker::Chain chain = 0;
  for (char byte : bytes) chain = chain << 8 | static_cast<std::uint8_t>(byte);
  return chain;
}

std::int64_t lsn(tracker::Lsn value) {
  return static_cast<std::int64_t>(value);
}

/// Keyed effects as parallel arrays, in the order that the statement wants them.
struct EffectArrays {
  std::vector<tracker::Uuid> keys, workspaces, users;
  std::vector<std::int64_t> bodies;
  std::vector<tracker::Sum> allowed, denied;
  std::vector<std::int32_t> workspace_effects, user_effects;

  explicit EffectArrays(const std::vector<tracker::KeyedEffect>& effects) {
    std::int32_t number = 0;
    for (const tracker::KeyedEffect& effect : effects) {
      ++number;
      keys.push_back(effect.key);
      bodies.push_back(static_cast<std::int64_t>(effect.body));
      allowed.push_back(effect.allowed);
      denied.push_back(effect.denied);
      workspaces.insert(workspaces.end(), effect.workspaces.begin(), effect.workspaces.end());
      workspace_effects.resize(workspaces.size(), number);
      users.insert(users.end(), effect.users.begin(), effect.users.end());
      user_effects.resize(users.size(), number);
    }
  }
};

Params flush_params(const tracker::FlushBatch& batch) {
  Params params;
  params.uuid(batch.stream.uuid).int8(lsn(batch.from)).int8(lsn(batch.to));
  params.bytea(chain_bytes(batch.chain_from)).bytea(chain_bytes(batch.chain_to));
  if (batch.guard) {
    params.int8(batch.guard->period).int8(batch.guard->ids_epoch);
  } else {
    params.null_int8().null_int8();
  }
  params.numeric(all_requests(batch)).int8(static_cast<std::int64_t>(batch.increments));
  params.numeric(batch.allowed).numeric(batch.denied).uuids(batch.workspaces).uuids(batch.users);
  params.numeric(batch.repeat_allowed).numeric(batch.repeat_denied);

  std::vector<std::int64_t> seconds, counts;
  for (const tracker::AppendedAt& appended : batch.appended) {
    seconds.push_back(appended.at_unix_seconds);
    counts.push_back(static_cast<std::int64_t>(appended.increments));
  }
  const auto oldest = std::min_element(seconds.begin(), seconds.end());
  if (oldest == seconds.end()) {
    params.null_int8();
  } else {
    params.int8(*oldest);
  }
  params.int8s(seconds).int8s(counts);

  const EffectArrays effects(batch.effects);
  params.uuids(effects.keys).int8s(effects.bodies).numerics(effects.allowed).numerics(effects.denied);
  params.int4s(effects.workspace_effects).uuids(effects.workspaces);
  params.int4s(effects.user_effects).uuids(effects.users);
  return params;
}

tracker::FlushAnswer to_answer(const Rows& rows, const tracker::FlushBatch& batch) {
  tracker::FlushAnswer answer;
  answer.clock = rows.integer(0, 0);
  answer.applied = rows.maybe_integer(0, 1);
  answer.ids_epoch = rows.maybe_integer(0, 2).value_or(0);
  for (std::int64_t number : rows.integers(0, 3)) answer.accepted.push_back(static_cast<std::uint32_t>(number - 1));
  answer.conflicts = static_cast<std::uint64_t>(rows.integer(0, 4));
  if (batch.usage_events > 0) answer.fresh_usage_events = static_cast<std::uint64_t>(rows.integer(0, 5));
  if (answer.applied) answer.conflicts += batch.repeat_conflicts;
  return answer;
}

/// Rows of their own, with their indexes: one large request is one batch, and must come in.
std::chrono::milliseconds time_for_rows(const tracker::FlushBatch& batch) {
  std::size_t rows = batch.usage.size() + batch.connections.size();
  for (const tracker::KeyedEffect& effect : batch.effects) rows += effect.connections.size();
  return std::chrono::milliseconds(rows / 2);
}

asio::awaitable<Result<tracker::FlushAnswer>> run_flush(Pool& pool, const tracker::FlushBatch& batch,
                                                        std::chrono::milliseconds timeout) {
  Params params = flush_params(batch);
  const bool with_usage = batch.usage_events > 0;
  const bool with_connections = with_usage || batch.connection_events > 0;
  if (with_connections) detail::add_connections(params, batch);
  if (with_usage) detail::add_usage(params, batch);
  const Query& query = with_usage ? kFlushWithUsage : with_connections ? kFlushWithConnections : kFlush;
  Result<Rows> rows = co_await pool.fetch(query, params, timeout + time_for_rows(batch));
  if (!rows) co_return rows.error();
  if (rows->is_null(0, 0)) co_return Errc::store_refuses;  // no clock row
  co_return to_answer(*rows, batch);
}

asio::awaitable<Result<std::optional<tracker::StreamRow>>> run_read(Pool& pool, tracker::StreamId stream,
                                                                    std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().uuid(stream.uuid));
  Result<Rows> rows = co_await pool.fetch(kReadStream, params, timeout);
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return std::optional<tracker::StreamRow>();
  tracker::StreamRow row;
  row.applied_lsn = static_cast<tracker::Lsn>(rows->integer(0, 0));
  row.chain = to_chain(rows->text(0, 1));
  row.state = static_cast<tracker::StreamState>(rows->integer(0, 2));
  row.ids_epoch = rows->integer(0, 3);
  row.clock = rows->integer(0, 4);
  co_return std::optional(row);
}

asio::awaitable<Result<void>> run_register_replica(Pool& pool, std::string replica_id, std::string host,
                                                   std::string version, std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().text(replica_id).text(host).text(version));
  Result<Rows> rows = co_await pool.fetch(kRegisterReplica, params, timeout);
  if (!rows) co_return rows.error();
  co_return Result<void>();
}

asio::awaitable<Result<void>> run_register_stream(Pool& pool, tracker::StreamId stream, std::string replica_id,
                                                  std::chrono::milliseconds timeout) {
  // The replica first: a stream never belongs to one that the key horizon does not ask.
  Result<void> replica = co_await run_register_replica(pool, replica_id, {}, {}, timeout);
  if (!replica) co_return replica.error();
  const Params params = std::move(Params().uuid(stream.uuid).text(replica_id));
  Result<Rows> rows = co_await pool.fetch(kRegisterStream, params, timeout);
  if (!rows) co_return rows.error();
  co_return Result<void>();
}

asio::awaitable<Result<void>> run_mark_drained(Pool& pool, tracker::StreamId stream, tracker::Lsn last,
                                               std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().uuid(stream.uuid).int8(lsn(last)));
  Result<Rows> rows = co_await pool.fetch(kMarkDrained, params, timeout);
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return Errc::conflict;
  co_return Result<void>();
}

asio::awaitable<Result<bool>> run_set_aside(Pool& pool, const tracker::FlushBatch& record, std::string payload,
                                            std::string reason, std::chrono::milliseconds timeout) {
  Params params;
  params.uuid(record.stream.uuid).int8(lsn(record.from)).int8(lsn(record.to));
  params.bytea(chain_bytes(record.chain_from)).bytea(chain_bytes(record.chain_to));
  params.numeric(all_requests(record)).int8(static_cast<std::int64_t>(record.increments));
  params.bytea({reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()}).text(reason);
  params.int8(static_cast<std::int64_t>(record.connection_events));
  params.int8(static_cast<std::int64_t>(record.usage_events));
  Result<Rows> rows = co_await pool.fetch(kSetAside, params, timeout);
  if (!rows) co_return detail::failed_bool(rows.error());
  co_return !rows->empty();
}

}  // namespace

PgStore::PgStore(Pool& pool, StoreTimeouts timeouts) : pool_(pool), timeouts_(timeouts) {}

PgStore::Async<tracker::FlushAnswer> PgStore::flush(const tracker::FlushBatch& batch) {
  return detail::on_pool(pool_, run_flush(pool_, batch, timeouts_.flush));
}

PgStore::Async<std::optional<tracker::StreamRow>> PgStore::read_stream(tracker::StreamId stream) {
  return detail::on_pool(pool_, run_read(pool_, stream, timeouts_.read));
}

PgStore::Async<void> PgStore::register_replica(std::string replica_id, std::string host, std::string version) {
  return detail::on_pool(
      pool_, run_register_replica(pool_, std::move(replica_id), std::move(host), std::move(version), timeouts_.write));
}

PgStore::Async<void> PgStore::register_stream(tracker::StreamId stream, std::string replica_id) {
  return detail::on_pool(pool_, run_register_stream(pool_, stream, std::move(replica_id), timeouts_.write));
}

PgStore::Async<void> PgStore::mark_drained(tracker::StreamId stream, tracker::Lsn last) {
  return detail::on_pool(pool_, run_mark_drained(pool_, stream, last, timeouts_.write));
}

PgStore::Async<bool> PgStore::set_aside(const tracker::FlushBatch& record, std::string payload, std::string reason) {
  return detail::on_pool(pool_, run_set_aside(pool_, record, std::move(payload), std::move(reason), timeouts_.write));
}

}  // namespace tally::db
