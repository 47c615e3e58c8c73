#include "db/detail/on_pool.hpp"
#include "db/pg_store.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Errc;
using tracker::Result;

namespace {

constexpr Query kHeartbeat{"heartbeat", R"sql(
  WITH beat AS (
    UPDATE tallyd.replicas
       SET host = $2, version = $3, heartbeat_at = now(),
           complete_as_of = CASE WHEN $4 IS NULL THEN complete_as_of ELSE greatest(complete_as_of, least($4, now())) END,
           unflushed_requests = CASE WHEN $8 THEN $5 ELSE unflushed_requests END,
           unflushed_connection_events = CASE WHEN $8 THEN $6 ELSE unflushed_connection_events END,
           unflushed_usage_events = CASE WHEN $8 THEN $7 ELSE unflushed_usage_events END
     WHERE replica_id = $1 AND NOT given_up
    RETURNING true)
  SELECT c.period_id, c.cluster_id::text, c.opened_at, c.period_seconds, now(), v.version, EXISTS (SELECT FROM beat)
    FROM tallyd.period_clock c, tallyd.rights_version v WHERE c.one AND v.one
)sql",
                           true};

constexpr Query kDiscardReplica{"discard_replica", R"sql(
  SELECT tallyd.discard_replica_v1($1, $2)
)sql"};

/// Its replica is given up with its last open stream, so that the key horizon no longer waits for it.
constexpr Query kGiveUpStream{"give_up_stream", R"sql(
  WITH st AS (
    UPDATE tallyd.streams SET state = 3, updated_at = now() WHERE stream_id = $1 AND state IN (0, 3) RETURNING replica_id),
  rep AS (
    UPDATE tallyd.replicas r SET given_up = true FROM st
     WHERE r.replica_id = st.replica_id
       AND NOT EXISTS (SELECT FROM tallyd.streams o
                        WHERE o.replica_id = st.replica_id AND o.state = 0 AND o.stream_id <> $1)),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $2, 'give_up_stream', $1::text, jsonb_build_object('replica', replica_id) FROM st)
  SELECT count(*), (SELECT count(*) FROM tallyd.streams WHERE stream_id = $1) FROM st
)sql"};

constexpr Query kGiveUpReplica{"give_up_replica", R"sql(
  WITH rep AS (
    UPDATE tallyd.replicas SET given_up = true WHERE replica_id = $1 RETURNING replica_id),
  st AS (
    UPDATE tallyd.streams s SET state = 3, updated_at = now() FROM rep
     WHERE s.replica_id = rep.replica_id AND s.state = 0 RETURNING s.stream_id),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $2, 'give_up_replica', $1, jsonb_build_object('streams', (SELECT count(*) FROM st)) FROM rep)
  SELECT count(*) FROM rep
)sql"};

constexpr Query kStreams{"list_streams", R"sql(
  SELECT stream_id, replica_id, applied_lsn, state, ids_epoch, created_at, updated_at
    FROM tallyd.streams ORDER BY created_at DESC, stream_id
)sql",
                         true};

constexpr Query kReplicas{"list_replicas", R"sql(
  SELECT replica_id, host, version, heartbeat_at, complete_as_of, given_up FROM tallyd.replicas ORDER BY replica_id
)sql",
                          true};

constexpr Query kSilentReplicas{"silent_replicas", R"sql(
  SELECT r.replica_id, extract(epoch FROM now() - r.heartbeat_at)::bigint,
         (SELECT count(*) FROM tallyd.streams s WHERE s.replica_id = r.replica_id AND s.state = 0)
    FROM tallyd.replicas r
   WHERE NOT r.given_up AND r.heartbeat_at < now() - interval '15 s' ORDER BY r.heartbeat_at
)sql",
                                true};

/// One snapshot. Closed periods come from their reports, or from their rows where nobody has summed them yet.
constexpr Query kLedger{"ledger", R"sql(
  WITH cum AS (
    SELECT coalesce(sum(boundary_requests), 0) AS requests, coalesce(sum(connection_events), 0)::bigint AS connections,
           coalesce(sum(usage_events), 0)::bigint AS usages
      FROM tallyd.streams),
  done AS (
    SELECT coalesce(sum(allowed + denied) FILTER (WHERE NOT discarded), 0) AS reported,
           coalesce(sum(allowed + denied) FILTER (WHERE discarded), 0) + coalesce(sum(thrown_away), 0) AS thrown,
           coalesce(sum(dup_allowed + dup_denied), 0) AS dups
      FROM tallyd.boundary_usage_reports WHERE summed_at IS NOT NULL),
  pending AS (
    SELECT coalesce(sum(t.allowed + t.denied) FILTER (WHERE NOT r.discarded), 0) AS reported,
           coalesce(sum(t.allowed + t.denied) FILTER (WHERE r.discarded), 0) + coalesce(sum(t.discarded), 0) AS thrown,
           coalesce(sum(t.dup_allowed + t.dup_denied), 0) AS dups
      FROM tallyd.boundary_usage_reports r JOIN tallyd.boundary_usage_stats t USING (period_id)
     WHERE r.summed_at IS NULL),
  now_open AS (
    SELECT coalesce(sum(t.allowed + t.denied), 0) AS open, coalesce(sum(t.discarded), 0) AS thrown,
           coalesce(sum(t.dup_allowed + t.dup_denied), 0) AS dups
      FROM tallyd.period_clock c JOIN tallyd.boundary_usage_stats t USING (period_id)),
  aside AS (SELECT coalesce(sum(requests), 0) AS requests FROM tallyd.records_set_aside),
  total AS (
    SELECT cum.requests + k.applied AS applied, done.reported + pending.reported + k.reported AS reported,
           now_open.open AS open, done.thrown + pending.thrown + now_open.thrown + k.discarded AS discarded,
           done.dups + pending.dups + now_open.dups + k.duplicates AS duplicates, aside.requests AS aside,
           cum.connections + k.connection_events AS connections, cum.usages + k.usage_events AS usages
      FROM cum, done, pending, now_open, aside, tallyd.ledger_carried k WHERE k.one)
  SELECT applied::text, reported::text, open::text, discarded::text, duplicates::text, aside::text, connections, usages,
         applied = reported + open + discarded + duplicates + aside,
         ARRAY(SELECT replica_id FROM tallyd.replicas WHERE NOT given_up ORDER BY replica_id),
         ARRAY(SELECT unflushed_requests::text FROM tallyd.replicas WHERE NOT given_up ORDER BY replica_id),
         ARRAY(SELECT unflushed_connection_events FROM tallyd.replicas WHERE NOT given_up ORDER BY replica_id),
         ARRAY(SELECT unflushed_usage_events FROM tallyd.replicas WHERE NOT given_up ORDER BY replica_id),
         ARRAY(SELECT (extract(epoch FROM now() - heartbeat_at) * 1000)::bigint
                 FROM tallyd.replicas WHERE NOT given_up ORDER BY replica_id),
         greatest(0, (SELECT reltuples FROM pg_catalog.pg_class WHERE oid = 'tallyd.ingest_keys'::regclass))::bigint
    FROM total
)sql",
                        true};

/// Rows are locked here and never updated, so the ctid is safe.
constexpr Query kExpireKeys{"expire_keys", R"sql(
  WITH horizon AS (
    SELECT least(now(),
                 min(complete_as_of)  -- [S9.horizon: min(now())]
                ) - make_interval(secs => $1) AS t FROM tallyd.replicas WHERE NOT given_up)
  DELETE FROM tallyd.ingest_keys WHERE ctid = ANY (ARRAY(
    SELECT k.ctid FROM tallyd.ingest_keys k WHERE k.seen_at < (SELECT t FROM horizon)
     ORDER BY k.seen_at LIMIT $2 FOR UPDATE OF k SKIP LOCKED))
)sql"};

/// The row of the carried sums is locked first: who purges comes one after the other.
constexpr Query kExpireReports{"expire_reports", R"sql(
  WITH carried AS MATERIALIZED (SELECT one FROM tallyd.ledger_carried WHERE one FOR UPDATE),
  old AS (
    DELETE FROM tallyd.boundary_usage_reports WHERE period_id = ANY (ARRAY(
      SELECT r.period_id FROM carried, tallyd.boundary_usage_reports r
       WHERE r.summed_at IS NOT NULL AND r.ended_at < now() - make_interval(secs => $1)
         AND (r.delivered_at IS NOT NULL OR NOT $3)
       ORDER BY r.period_id LIMIT $2))
    RETURNING period_id, allowed + denied AS requests, thrown_away, dup_allowed + dup_denied AS dups, discarded),
  ids AS (DELETE FROM tallyd.boundary_usage_ids i USING old WHERE i.period_id = old.period_id),
  stats AS (DELETE FROM tallyd.boundary_usage_stats t USING old WHERE t.period_id = old.period_id),
  sums AS (
    SELECT count(*) AS rows, coalesce(sum(requests) FILTER (WHERE NOT discarded), 0) AS reported,
           coalesce(sum(requests) FILTER (WHERE discarded), 0) + coalesce(sum(thrown_away), 0) AS thrown,
           coalesce(sum(dups), 0) AS dups
      FROM old),
  kept AS (
    UPDATE tallyd.ledger_carried k
       SET reported = k.reported + sums.reported, discarded = k.discarded + sums.thrown,
           duplicates = k.duplicates + sums.dups
      FROM sums WHERE k.one AND sums.rows > 0)
  SELECT rows FROM sums
)sql"};

/// Streams that are over, and of whose periods no rows are left. Whoever still has a journal of one finds its row gone
/// and stops (M13).
constexpr Query kExpireStreams{"expire_streams", R"sql(
  WITH carried AS MATERIALIZED (SELECT one FROM tallyd.ledger_carried WHERE one FOR UPDATE),
  old AS (
    DELETE FROM tallyd.streams WHERE stream_id = ANY (ARRAY(
      SELECT s.stream_id FROM carried, tallyd.streams s
       WHERE s.state <> 0 AND s.updated_at < now() - make_interval(secs => $1)
         AND NOT EXISTS (SELECT FROM tallyd.boundary_usage_stats t WHERE t.stream_id = s.stream_id)
       ORDER BY s.updated_at LIMIT $2))
    RETURNING boundary_requests, connection_events, usage_events),
  sums AS (
    SELECT count(*) AS rows, coalesce(sum(boundary_requests), 0) AS requests,
           coalesce(sum(connection_events), 0)::bigint AS connections, coalesce(sum(usage_events), 0)::bigint AS usages
      FROM old),
  kept AS (
    UPDATE tallyd.ledger_carried k
       SET applied = k.applied + sums.requests, connection_events = k.connection_events + sums.connections,
           usage_events = k.usage_events + sums.usages
      FROM sums WHERE k.one AND sums.rows > 0)
  SELECT rows FROM sums
)sql"};

/// The open period is closed first where the clock jumps, so that its figures stay in a report.
constexpr Query kRebase{"rebase", R"sql(
  WITH old AS MATERIALIZED (
    SELECT period_id, cluster_id, opened_at FROM tallyd.period_clock WHERE one FOR UPDATE),
  kept AS (
    INSERT INTO tallyd.boundary_usage_reports (period_id, cluster_id, request_id, started_at, ended_at)
    SELECT period_id, cluster_id, gen_random_uuid(), opened_at, greatest(clock_timestamp(), opened_at)
      FROM old WHERE period_id < $1),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $2, 'rebase', cluster_id::text, jsonb_build_object('period', period_id, 'next', greatest(period_id, $1)) FROM old)
  UPDATE tallyd.period_clock c
     SET cluster_id = gen_random_uuid(), period_id = greatest(old.period_id, $1),
         opened_at = CASE WHEN old.period_id < $1 THEN greatest(clock_timestamp(), old.opened_at) ELSE old.opened_at END
    FROM old WHERE c.one
)sql"};

constexpr Query kAudit{"audit", R"sql(
  INSERT INTO tallyd.audit_log (actor, action, object, detail) VALUES ($1, $2, $3, $4)
)sql"};

// Rows are decoded outside the coroutines: GCC 12 destroys the elements of a braced list in a coroutine twice.

StreamInfo to_stream(const Rows& rows, int row) {
  StreamInfo info;
  info.stream = {rows.uuid(row, 0)};
  info.replica_id = rows.text(row, 1);
  info.row.applied_lsn = static_cast<tracker::Lsn>(rows.integer(row, 2));
  info.row.state = static_cast<tracker::StreamState>(rows.integer(row, 3));
  info.row.ids_epoch = rows.integer(row, 4);
  info.created_at_us = rows.timestamp_us(row, 5);
  info.updated_at_us = rows.timestamp_us(row, 6);
  return info;
}

ReplicaInfo to_replica(const Rows& rows, int row) {
  ReplicaInfo info;
  info.id = rows.text(row, 0);
  info.host = rows.text(row, 1);
  info.version = rows.text(row, 2);
  info.heartbeat_at_us = rows.timestamp_us(row, 3);
  info.complete_as_of_us = rows.timestamp_us(row, 4);
  info.given_up = rows.boolean(row, 5);
  return info;
}

Ledger to_ledger(const Rows& rows) {
  Ledger ledger;
  std::string* const figures[] = {&ledger.applied,   &ledger.reported,   &ledger.open,
                                  &ledger.discarded, &ledger.duplicates, &ledger.set_aside};
  int column = 0;
  for (std::string* figure : figures) *figure = rows.text(0, column++);
  ledger.connection_events_applied = rows.integer(0, 6);
  ledger.usage_events_applied = rows.integer(0, 7);
  ledger.balanced = rows.boolean(0, 8);
  const std::vector<std::string> ids = rows.texts(0, 9), unflushed = rows.texts(0, 10);
  const std::vector<std::int64_t> connections = rows.integers(0, 11), usages = rows.integers(0, 12);
  const std::vector<std::int64_t> ages_ms = rows.integers(0, 13);
  ledger.keys = rows.integer(0, 14);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ledger.replicas.push_back(
        {ids[i], unflushed[i], connections[i], usages[i], static_cast<double>(ages_ms[i]) / 1000.0});
  }
  return ledger;
}

asio::awaitable<Result<HeartbeatAnswer>> run_heartbeat(Pool& pool, Heartbeat beat, std::chrono::milliseconds timeout) {
  Params params;
  params.text(beat.replica_id).text(beat.host).text(beat.version);
  if (beat.complete_as_of_us) {
    params.timestamptz(*beat.complete_as_of_us);
  } else {
    params.null_timestamptz();
  }
  params.numeric(beat.unflushed_requests);
  params.int8(static_cast<std::int64_t>(beat.unflushed_connection_events));
  params.int8(static_cast<std::int64_t>(beat.unflushed_usage_events)).boolean(beat.unflushed_known);
  Result<Rows> rows = co_await pool.fetch(kHeartbeat, params, timeout);
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return Errc::store_refuses;
  HeartbeatAnswer answer;
  answer.clock.period = rows->integer(0, 0);
  answer.clock.cluster_id = rows->text(0, 1);
  answer.clock.opened_at_us = rows->timestamp_us(0, 2);
  answer.clock.period_seconds = rows->maybe_integer(0, 3);
  answer.clock.database_time_us = rows->timestamp_us(0, 4);
  answer.clock.rights_version = rows->integer(0, 5);
  answer.known = rows->boolean(0, 6);
  co_return answer;
}

asio::awaitable<Result<void>> run_discard(Pool& pool, std::string replica, std::string actor,
                                          std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().text(replica).text(actor));
  Result<Rows> rows = co_await pool.fetch(kDiscardReplica, params, timeout);
  if (!rows) co_return rows.error();
  if (!rows->boolean(0, 0)) co_return Errc::not_found;
  co_return Result<void>();
}

asio::awaitable<Result<void>> run_give_up_stream(Pool& pool, tracker::StreamId stream, std::string actor,
                                                 std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().uuid(stream.uuid).text(actor));
  Result<Rows> rows = co_await pool.fetch(kGiveUpStream, params, timeout);
  if (!rows) co_return rows.error();
  if (rows->integer(0, 0) == 0) co_return rows->integer(0, 1) == 0 ? Errc::not_found : Errc::conflict;
  co_return Result<void>();
}

asio::awaitable<Result<void>> run_give_up_replica(Pool& pool, std::string replica, std::string actor,
                                                  std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().text(replica).text(actor));
  Result<Rows> rows = co_await pool.fetch(kGiveUpReplica, params, timeout);
  if (!rows) co_return rows.error();
  if (rows->integer(0, 0) == 0) co_return Errc::not_found;
  co_return Result<void>();
}

asio::awaitable<Result<std::vector<StreamInfo>>> run_streams(Pool& pool, std::chrono::milliseconds timeout) {
  Result<Rows> rows = co_await pool.fetch(kStreams, {}, timeout);
  if (!rows) co_return rows.error();
  std::vector<StreamInfo> streams;
  for (int i = 0; i < rows->size(); ++i) streams.push_back(to_stream(*rows, i));
  co_return streams;
}

asio::awaitable<Result<std::vector<ReplicaInfo>>> run_replicas(Pool& pool, std::chrono::milliseconds timeout) {
  Result<Rows> rows = co_await pool.fetch(kReplicas, {}, timeout);
  if (!rows) co_return rows.error();
  std::vector<ReplicaInfo> replicas;
  for (int i = 0; i < rows->size(); ++i) replicas.push_back(to_replica(*rows, i));
  co_return replicas;
}

std::vector<SilentReplica> to_silent(const Rows& rows) {
  std::vector<SilentReplica> silent;
  for (int row = 0; row < rows.size(); ++row)
    silent.push_back({std::string(rows.text(row, 0)), rows.integer(row, 1), rows.integer(row, 2)});
  return silent;
}

asio::awaitable<Result<std::vector<SilentReplica>>> run_silent(Pool& pool, std::chrono::milliseconds timeout) {
  Result<Rows> rows = co_await pool.fetch(kSilentReplicas, {}, timeout);
  if (!rows) co_return rows.error();
  co_return to_silent(*rows);
}

asio::awaitable<Result<Ledger>> run_ledger(Pool& pool, std::chrono::milliseconds timeout) {
  Result<Rows> rows = co_await pool.fetch(kLedger, {}, timeout);
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return Errc::store_refuses;
  co_return to_ledger(*rows);
}

asio::awaitable<Result<std::int64_t>> run_expire(Pool& pool, const Query& query, std::chrono::seconds age,
                                                 std::int64_t chunk, std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().float8(static_cast<double>(age.count())).int8(chunk));
  Result<Rows> rows = co_await pool.fetch(query, params, timeout);
  if (!rows) co_return rows.error();
  co_return rows->affected();
}

asio::awaitable<Result<std::int64_t>> run_purge(Pool& pool, const Query& query, Params params,
                                                std::chrono::milliseconds timeout) {
  Result<Rows> rows = co_await pool.fetch(query, params, timeout);
  if (!rows) co_return rows.error();
  co_return rows->integer(0, 0);
}

asio::awaitable<Result<void>> run_rebase(Pool& pool, tracker::PeriodId next, std::string actor,
                                         std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().int8(next).text(actor));
  Result<Rows> rows = co_await pool.fetch(kRebase, params, timeout);
  if (!rows) co_return rows.error();
  co_return Result<void>();
}

asio::awaitable<Result<void>> run_audit(Pool& pool, std::string actor, std::string action, std::string object,
                                        std::string detail_json, std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().text(actor).text(action).text(object).jsonb(detail_json));
  Result<Rows> rows = co_await pool.fetch(kAudit, params, timeout);
  if (!rows) co_return rows.error();
  co_return Result<void>();
}

}  // namespace

PgStore::Async<HeartbeatAnswer> PgStore::heartbeat(Heartbeat beat) {
  return detail::on_pool(pool_, run_heartbeat(pool_, std::move(beat), timeouts_.read));
}

PgStore::Async<void> PgStore::discard_replica(std::string replica_id, std::string actor) {
  return detail::on_pool(pool_, run_discard(pool_, std::move(replica_id), std::move(actor), timeouts_.write));
}

PgStore::Async<void> PgStore::give_up_stream(tracker::StreamId stream, std::string actor) {
  return detail::on_pool(pool_, run_give_up_stream(pool_, stream, std::move(actor), timeouts_.write));
}

PgStore::Async<void> PgStore::give_up_replica(std::string replica_id, std::string actor) {
  return detail::on_pool(pool_, run_give_up_replica(pool_, std::move(replica_id), std::move(actor), timeouts_.write));
}

PgStore::Async<std::vector<StreamInfo>> PgStore::streams() {
  return detail::on_pool(pool_, run_streams(pool_, timeouts_.read));
}

PgStore::Async<std::vector<ReplicaInfo>> PgStore::replicas() {
  return detail::on_pool(pool_, run_replicas(pool_, timeouts_.read));
}

PgStore::Async<std::vector<SilentReplica>> PgStore::silent_replicas() {
  return detail::on_pool(pool_, run_silent(pool_, timeouts_.read));
}

PgStore::Async<Ledger> PgStore::ledger() {
  return detail::on_pool(pool_, run_ledger(pool_, timeouts_.sum));
}

PgStore::Async<std::int64_t> PgStore::expire_keys(std::chrono::seconds window, std::int64_t chunk) {
  return detail::on_pool(pool_, run_expire(pool_, kExpireKeys, window, chunk, timeouts_.write));
}

PgStore::Async<std::int64_t> PgStore::expire_reports(std::chrono::seconds retention, bool delivered_only,
                                                     std::int64_t chunk) {
  Params params =
      std::move(Params().float8(static_cast<double>(retention.count())).int8(chunk).boolean(delivered_only));
  return detail::on_pool(pool_, run_purge(pool_, kExpireReports, std::move(params), timeouts_.sum));
}

PgStore::Async<std::int64_t> PgStore::expire_streams(std::chrono::seconds age, std::int64_t chunk) {
  Params params = std::move(Params().float8(static_cast<double>(age.count())).int8(chunk));
  return detail::on_pool(pool_, run_purge(pool_, kExpireStreams, std::move(params), timeouts_.sum));
}

PgStore::Async<void> PgStore::rebase(tracker::PeriodId next_period, std::string actor) {
  return detail::on_pool(pool_, run_rebase(pool_, next_period, std::move(actor), timeouts_.write));
}

PgStore::Async<void> PgStore::audit(std::string actor, std::string action, std::string object,
                                    std::string detail_json) {
  return detail::on_pool(pool_, run_audit(pool_, std::move(actor), std::move(action), std::move(object),
                                          std::move(detail_json), timeouts_.write));
}

}  // namespace tally::db
