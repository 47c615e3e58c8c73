#include "db/usage_events.hpp"

#include "db/detail/on_pool.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Result;

namespace {

constexpr std::string_view kStatusTexts[kUsageStatuses] = {"pending",  "sending", "published",
                                                           "rejected", "expired", "held"};

constexpr Query kList{"list_usage_events", R"sql(
  SELECT id, event_type, data, created_at, status, attempts, failure_message, published_at, number, in_page
    FROM (SELECT page.*, count(*) OVER () AS in_page, sum(octet_length(data)) OVER (ORDER BY number DESC) - octet_length(data) AS before
            FROM (SELECT e.*, event_data::text AS data FROM tallyd.usage_events e
                   WHERE ($1 < 0 OR status = $1) AND number < $2 ORDER BY number DESC LIMIT $3) page) sized
   WHERE before < $4 ORDER BY number DESC
)sql",
                      true};

/// Sent before and not settled: their outcome is unknown until somebody says otherwise.
constexpr Query kLease{"lease_usage_events", R"sql(
  WITH due AS MATERIALIZED (
    SELECT id FROM tallyd.usage_events
     WHERE ((status = 0 AND coalesce(next_attempt_at, '-infinity') <= now()) OR (status = 1 AND leased_until <= now()))
       AND (NOT $4 OR attempts > 0)
       AND coalesce(unknown_since, received_at) >= now() - make_interval(secs => $5)  -- [S11.unknown: AND ($5::float8 IS NOT NULL)]
     ORDER BY created_at, id LIMIT $3 FOR UPDATE SKIP LOCKED),
  leased AS (
    UPDATE tallyd.usage_events e
       SET status = 1, leased_by = $1, leased_at = now(), leased_until = now() + make_interval(secs => $2), attempts = e.attempts + 1,
           unknown_since = coalesce(e.unknown_since, now()), next_attempt_at = NULL
      FROM due WHERE e.id = due.id
    RETURNING e.id, e.event_type, e.event_data::text AS data, e.created_at, e.status, e.attempts, e.failure_message,
              e.published_at, e.number)
  SELECT * FROM leased ORDER BY created_at, id
)sql"};

/// Rows are locked in one order, so that two replicas which settle the same ones never wait crosswise.
constexpr Query kSettle{"settle_usage_events", R"sql(
  WITH said AS MATERIALIZED (
    SELECT * FROM unnest($1, $2, $3, $4, $5) AS u(id, attempt, kind, message, wait_ms)),
  held AS MATERIALIZED (
    SELECT e.id FROM tallyd.usage_events e JOIN said USING (id) ORDER BY e.id FOR UPDATE OF e)
  UPDATE tallyd.usage_events e
     SET status = CASE said.kind WHEN 0 THEN 2 WHEN 1 THEN 3 ELSE 0 END,
         leased_by = NULL, leased_at = NULL, leased_until = NULL,
         next_attempt_at = CASE WHEN said.kind >= 2 THEN now() + said.wait_ms * interval '1 ms' END,
         unknown_since = CASE WHEN said.kind = 3 OR (said.kind = 4 AND e.unknown_since < e.leased_at) THEN e.unknown_since END,
         first_failed_at = CASE WHEN said.kind >= 2 THEN coalesce(e.first_failed_at, now()) ELSE e.first_failed_at END,
         failure_message = nullif(said.message, ''),
         published_at = CASE WHEN said.kind = 0 THEN now() END,
         settled_at = CASE WHEN said.kind < 2 THEN now() END
    FROM said, held
   WHERE e.id = said.id AND held.id = said.id
     AND ((said.kind = 0 AND e.status <> 2) OR (e.status = 1 AND e.attempts = said.attempt))  -- [S11.fence: AND e.status <> 2]
)sql",
                        true};

constexpr Query kSweep{"sweep_usage_events", R"sql(
  WITH old AS MATERIALIZED (
    SELECT id, unknown_since IS NOT NULL AS unknown FROM tallyd.usage_events
     WHERE status IN (0, 1) AND coalesce(leased_until, '-infinity') <= now()
       AND coalesce(unknown_since, received_at) < now() - make_interval(secs => $1)
     ORDER BY created_at, id LIMIT $2 FOR UPDATE SKIP LOCKED),
  swept AS (
    UPDATE tallyd.usage_events e
       SET status = CASE WHEN old.unknown THEN 5 ELSE 4 END, settled_at = now(), leased_by = NULL, leased_until = NULL,
           failure_message = CASE WHEN old.unknown
             THEN 'sent, and its outcome was unknown for longer than the collector recognises it: look there, then requeue it'
             ELSE 'waited for longer than --collector-dedup-window: requeue it to send it all the same' END
      FROM old WHERE e.id = old.id
    RETURNING e.status)
  SELECT count(*) FILTER (WHERE status = 4), count(*) FILTER (WHERE status = 5) FROM swept
)sql"};

constexpr Query kCounts{"count_usage_events", R"sql(
  WITH failing AS MATERIALIZED (
    SELECT first_failed_at, coalesce(failure_message, '') AS message FROM tallyd.usage_events
     WHERE status IN (0, 1) AND first_failed_at IS NOT NULL ORDER BY first_failed_at LIMIT 1)
  SELECT (SELECT count(*) FROM tallyd.usage_events WHERE status IN (0, 1)),
         (SELECT count(*) FROM tallyd.usage_events WHERE status = 3),
         (SELECT count(*) FROM tallyd.usage_events WHERE status = 4),
         (SELECT count(*) FROM tallyd.usage_events WHERE status = 5),
         coalesce(extract(epoch FROM now() - (SELECT min(received_at) FROM tallyd.usage_events WHERE status IN (0, 1))) * 1000, 0)::bigint,
         (SELECT first_failed_at FROM failing), coalesce((SELECT message FROM failing), ''),
         EXISTS (SELECT FROM tallyd.usage_events WHERE status IN (0, 1) AND attempts > 0)::integer,
         (SELECT count(*) FROM tallyd.usage_events WHERE status = 3 AND settled_at > now() - interval '24 hours')
)sql",
                        true};

constexpr Query kRequeue{"requeue_usage_events", R"sql(
  WITH chosen AS MATERIALIZED (
    SELECT id FROM tallyd.usage_events
     WHERE status IN (3, 4, 5) AND ($2 < 0 OR status = $2) AND (cardinality($1) = 0 OR id = ANY ($1))
     ORDER BY id LIMIT $4 FOR UPDATE),
  again AS (
    UPDATE tallyd.usage_events e
       SET status = 0, next_attempt_at = NULL, unknown_since = NULL, first_failed_at = NULL,
           failure_message = NULL, settled_at = NULL, received_at = now()
      FROM chosen WHERE e.id = chosen.id
    RETURNING e.id),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $3, 'requeue_usage_events', CASE count(*) WHEN 1 THEN min(id) ELSE count(*) || ' events' END, jsonb_build_object('events', jsonb_agg(id ORDER BY id))
      FROM again HAVING count(*) > 0)
  SELECT count(*) FROM again
)sql"};

constexpr Query kExpire{"expire_usage_events", R"sql(
  DELETE FROM tallyd.usage_events WHERE id = ANY (ARRAY(
    SELECT id FROM tallyd.usage_events
     WHERE status IN (2, 3, 4) AND settled_at < now() - make_interval(secs => $1)
     ORDER BY settled_at LIMIT $2 FOR UPDATE SKIP LOCKED))
)sql"};

// A page ends behind so much data, so that the largest events make no answer that no one can hold.
constexpr std::int64_t kPageBytes = 4 << 20;
// With their ids in one line of the audit log.
constexpr std::int64_t kRequeuedAtOnce = 1'000;

double seconds(std::chrono::milliseconds time) {
  return static_cast<double>(time.count()) / 1000.0;
}

UsageEventRow to_event(const Rows& rows, int row) {
  UsageEventRow event;
  event.id = rows.text(row, 0);
  event.event_type = rows.text(row, 1);
  event.event_data = rows.text(row, 2);
  event.created_at_us = rows.timestamp_us(row, 3);
  event.status = static_cast<UsageStatus>(rows.integer(row, 4));
  event.attempts = rows.integer(row, 5);
  if (!rows.is_null(row, 6)) event.failure_message = rows.text(row, 6);
  event.published_at_us = rows.maybe_timestamp_us(row, 7);
  event.number = rows.integer(row, 8);
  return event;
}

std::vector<UsageEventRow> to_events(const Rows& rows) {
  std::vector<UsageEventRow> events;
  for (int i = 0; i < rows.size(); ++i) events.push_back(to_event(rows, i));
  return events;
}

Params settle_params(const std::vector<UsageOutcome>& outcomes) {
  std::vector<std::string> ids, messages;
  std::vector<std::int64_t> attempts, waits;
  std::vector<std::int32_t> kinds;
  for (const UsageOutcome& outcome : outcomes) {
    ids.push_back(outcome.id);
    attempts.push_back(outcome.attempt);
    kinds.push_back(static_cast<std::int32_t>(outcome.kind));
    messages.push_back(outcome.message);
    waits.push_back(outcome.wait.count());
  }
  Params params;
  params.texts(ids).int8s(attempts).int4s(kinds).texts(messages).int8s(waits);
  return params;
}

std::int32_t status_number(const std::optional<UsageStatus>& status) {
  return status ? static_cast<std::int32_t>(*status) : -1;
}

asio::awaitable<Result<UsagePage>> run_list(Pool& pool, UsageFilter filter, std::chrono::milliseconds timeout) {
  const Params params = std::move(Params()
                                      .int4(status_number(filter.status))
                                      .int8(filter.before.value_or(INT64_MAX))
                                      .int8(filter.limit + 1)
                                      .int8(kPageBytes));
  Result<Rows> rows = co_await pool.fetch(kList, params, timeout);
  if (!rows) co_return rows.error();
  UsagePage page{to_events(*rows), false};
  const std::int64_t in_page = rows->empty() ? 0 : rows->integer(0, 9);
  if (static_cast<std::int64_t>(page.events.size()) > filter.limit) page.events.pop_back();
  page.more = in_page > static_cast<std::int64_t>(page.events.size());
  co_return page;
}

asio::awaitable<Result<std::vector<UsageEventRow>>> run_lease(Pool& pool, UsageEvents::Lease lease,
                                                              std::chrono::milliseconds timeout) {
  const Params params = std::move(Params()
                                      .text(lease.holder)
                                      .float8(seconds(lease.lasts))
                                      .int8(lease.most)
                                      .boolean(lease.only_again)
                                      .float8(static_cast<double>(lease.window.count())));
  Result<Rows> rows = co_await pool.fetch(kLease, params, timeout);
  if (!rows) co_return rows.error();
  co_return to_events(*rows);
}

asio::awaitable<Result<std::int64_t>> run_settle(Pool& pool, std::vector<UsageOutcome> outcomes,
                                                 std::chrono::milliseconds timeout) {
  if (outcomes.empty()) co_return std::int64_t{0};
  const Params params = settle_params(outcomes);
  Result<Rows> rows = co_await pool.fetch(kSettle, params, timeout);
  if (!rows) co_return rows.error();
  co_return rows->affected();
}

asio::awaitable<Result<UsageSwept>> run_sweep(Pool& pool, std::chrono::seconds window,
                                              std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().float8(static_cast<double>(window.count())).int8(UsageEvents::kSweptAtOnce));
  Result<Rows> rows = co_await pool.fetch(kSweep, params, timeout);
  if (!rows) co_return rows.error();
  UsageSwept swept;
  swept.expired = rows->integer(0, 0);
  swept.held = rows->integer(0, 1);
  co_return swept;
}

asio::awaitable<Result<UsageCounts>> run_counts(Pool& pool, std::chrono::milliseconds timeout) {
  Result<Rows> rows = co_await pool.fetch(kCounts, {}, timeout);
  if (!rows) co_return rows.error();
  UsageCounts counts;
  counts.pending = rows->integer(0, 0);
  counts.rejected = rows->integer(0, 1);
  counts.expired = rows->integer(0, 2);
  counts.held = rows->integer(0, 3);
  counts.oldest_pending_seconds = static_cast<double>(rows->integer(0, 4)) / 1000.0;
  counts.failing_since_us = rows->maybe_timestamp_us(0, 5);
  counts.last_error = rows->text(0, 6);
  counts.some_sent_before = rows->integer(0, 7) > 0;
  counts.rejected_today = rows->integer(0, 8);
  co_return counts;
}

asio::awaitable<Result<std::int64_t>> run_requeue(Pool& pool, std::vector<std::string> ids,
                                                  std::optional<UsageStatus> status, std::string actor,
                                                  std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().texts(ids).int4(status_number(status)).text(actor).int8(kRequeuedAtOnce));
  for (std::int64_t all = 0;;) {
    Result<Rows> rows = co_await pool.fetch(kRequeue, params, timeout);
    if (!rows) co_return rows.error();
    all += rows->integer(0, 0);
    if (rows->integer(0, 0) < kRequeuedAtOnce) co_return all;
  }
}

asio::awaitable<Result<std::int64_t>> run_expire(Pool& pool, std::chrono::seconds retention, std::int64_t chunk,
                                                 std::chrono::milliseconds timeout) {
  const Params params = std::move(Params().float8(static_cast<double>(retention.count())).int8(chunk));
  Result<Rows> rows = co_await pool.fetch(kExpire, params, timeout);
  if (!rows) co_return rows.error();
  co_return rows->affected();
}

}  // namespace

std::string_view to_string(UsageStatus status) {
  return kStatusTexts[static_cast<std::size_t>(status)];
}

std::optional<UsageStatus> usage_status(std::string_view text) {
  for (std::size_t i = 0; i < kUsageStatuses; ++i)
    if (kStatusTexts[i] == text) return static_cast<UsageStatus>(i);
  return std::nullopt;
}

UsageEvents::Async<UsagePage> UsageEvents::list(UsageFilter filter) {
  return detail::on_pool(pool_, run_list(pool_, filter, timeouts_.read));
}

UsageEvents::Async<std::vector<UsageEventRow>> UsageEvents::lease(Lease lease) {
  return detail::on_pool(pool_, run_lease(pool_, std::move(lease), timeouts_.write));
}

UsageEvents::Async<std::int64_t> UsageEvents::settle(std::vector<UsageOutcome> outcomes) {
  return detail::on_pool(pool_, run_settle(pool_, std::move(outcomes), timeouts_.write));
}

UsageEvents::Async<UsageSwept> UsageEvents::sweep(std::chrono::seconds window) {
  return detail::on_pool(pool_, run_sweep(pool_, window, timeouts_.write));
}

UsageEvents::Async<UsageCounts> UsageEvents::counts() {
  return detail::on_pool(pool_, run_counts(pool_, timeouts_.read));
}

UsageEvents::Async<std::int64_t> UsageEvents::requeue(std::vector<std::string> ids, std::optional<UsageStatus> status,
                                                      std::string actor) {
  return detail::on_pool(pool_, run_requeue(pool_, std::move(ids), status, std::move(actor), timeouts_.write));
}

UsageEvents::Async<std::int64_t> UsageEvents::expire(std::chrono::seconds retention, std::int64_t chunk) {
  return detail::on_pool(pool_, run_expire(pool_, retention, chunk, timeouts_.write));
}

}  // namespace tally::db
