#include "db/connection_arrivals.hpp"

#include "db/detail/on_pool.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Result;
using tracker::Uuid;

namespace {

using namespace std::chrono_literals;
constexpr auto kTimeout = 10s;

// `created_at` is when the transaction began, which may have waited: one that began two minutes before the mark can
// still commit behind it. Which rows those are is told by their transaction, of which a row has the lower half.
constexpr Query kSince{"connections_arrived", R"sql(
  SELECT m.at, m.snapshot::text, a.entry
    FROM (SELECT now() AS at, pg_current_snapshot() AS snapshot,
                 pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next) m
    LEFT JOIN LATERAL (
      SELECT c.entry FROM tallyd.connection_logs c
       WHERE c.created_at >= $1 - interval '2 min' AND c.entry > $3
         AND NOT pg_visible_in_snapshot((m.next - ((m.next - c.xmin::text::bigint) & 4294967295))::text::xid8, $2::pg_snapshot)
       ORDER BY c.entry LIMIT $4) a ON true
)sql",
                       true};

Params params_of(const std::optional<ConnectionMark>& mark, const Uuid& behind, std::int64_t limit) {
  Params params;
  if (mark) {
    params.timestamptz(mark->at_us);
    params.literal(mark->snapshot);
  } else {
    params.null_timestamptz();
    params.null_text();
  }
  params.uuid(behind);
  params.int8(limit);
  return params;
}

ConnectionArrivalsSeen to_seen(const Rows& rows) {
  ConnectionArrivalsSeen seen;
  seen.mark.at_us = rows.timestamp_us(0, 0);
  seen.mark.snapshot = rows.text(0, 1);
  for (int row = 0; row < rows.size(); ++row)
    if (const auto entry = rows.maybe_uuid(row, 2)) seen.entries.push_back(*entry);
  return seen;
}

asio::awaitable<Result<ConnectionArrivalsSeen>> run_since(Pool& pool, std::optional<ConnectionMark> mark, Uuid behind,
                                                          std::int64_t limit) {
  const Params params = params_of(mark, behind, limit);
  Result<Rows> rows = co_await pool.fetch(kSince, params, kTimeout);
  if (!rows) co_return rows.error();
  co_return to_seen(*rows);
}

}  // namespace

ConnectionArrivals::Async<ConnectionArrivalsSeen> ConnectionArrivals::since(std::optional<ConnectionMark> mark,
                                                                            Uuid behind, std::int64_t limit) {
  return detail::on_pool(pool_, run_since(pool_, std::move(mark), behind, limit));
}

}  // namespace tally::db
