#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "db/pool.hpp"
#include "tracker/ports.hpp"

namespace tally::db {

/// The clock row, with the database's own time: the only time that complete_as_of and "due" are reckoned in.
struct ClockRow {
  tracker::PeriodId period = 0;
  std::string cluster_id;
  std::int64_t opened_at_us = 0;
  std::optional<std::int64_t> period_seconds;  ///< 0: closed only on request; nothing: never set yet
  std::int64_t database_time_us = 0;
  std::int64_t rights_version = 0;
};

struct Heartbeat {
  std::string replica_id;
  std::string host;
  std::string version;
  /// A database time (`ClockRow::database_time_us` read before): everything this replica acknowledged before it is
  /// applied and its older streams are drained. Never moves back. Nothing: leave as it is.
  std::optional<std::int64_t> complete_as_of_us;
  bool unflushed_known = true;          ///< false: what stands in the database stays
  tracker::Sum unflushed_requests = 0;  ///< allowed + denied, acknowledged and not yet known applied
  std::uint64_t unflushed_connection_events = 0;
  std::uint64_t unflushed_usage_events = 0;
};

struct HeartbeatAnswer {
  ClockRow clock;
  bool known = false;  ///< false: not registered, or given up; register anew
};

struct Summary {
  tracker::PeriodId period = 0;
  std::int64_t started_at_us = 0;
  std::int64_t as_of_us = 0;
  std::int64_t replicas = 0;
  std::string allowed;  ///< decimal text
  std::string denied;
  std::int64_t unique_workspaces = 0;
  std::int64_t unique_users = 0;
  std::vector<std::string> missing_replicas;
};

/// In requests (allowed + denied), decimal text; one snapshot. The caller adds what only it knows: its own unflushed
/// records.
struct Ledger {
  struct Replica {
    std::string id;
    std::string unflushed;  ///< at its last heartbeat
    std::int64_t unflushed_connection_events = 0;
    std::int64_t unflushed_usage_events = 0;
    double age_seconds = 0;
  };
  std::string applied;
  std::string reported;
  std::string open;
  std::string discarded;
  std::string duplicates;
  std::string set_aside;  ///< in records that the database refused to apply; kept in tallyd.records_set_aside
  std::int64_t connection_events_applied = 0;
  std::int64_t usage_events_applied = 0;
  std::int64_t keys = 0;          ///< idempotency keys kept; PostgreSQL's estimate
  bool balanced = false;          ///< applied = reported + open + discarded + duplicates + set_aside
  std::vector<Replica> replicas;  ///< not given up
};

/// Not heard of for 15 s and not given up.
struct SilentReplica {
  std::string id;
  std::int64_t silent_seconds = 0;
  std::int64_t open_streams = 0;
};

/// A report that does not equal what its period's rows say.
struct Mismatch {
  tracker::Report stored;
  tracker::Report recomputed;
};

struct Verification {
  std::int64_t checked = 0;
  std::int64_t not_covered = 0;  ///< their ids are past the retention
  std::vector<Mismatch> mismatches;
};

struct StreamInfo {
  tracker::StreamId stream;
  std::string replica_id;
  tracker::StreamRow row;
  std::int64_t created_at_us = 0;
  std::int64_t updated_at_us = 0;
};

struct ReplicaInfo {
  std::string id;
  std::string host;
  std::string version;
  std::int64_t heartbeat_at_us = 0;
  std::int64_t complete_as_of_us = 0;
  bool given_up = false;
};

struct StoreTimeouts {
  std::chrono::milliseconds flush{10'000};
  std::chrono::milliseconds read{5'000};
  std::chrono::milliseconds write{10'000};
  std::chrono::milliseconds sum{120'000};
};

/// Counting in PostgreSQL. May be called from any executor: each call runs on the pool's and answers on the caller's.
class PgStore final : public tracker::Store {
 public:
  /// `pool` must outlive the store and every call in progress.
  explicit PgStore(Pool& pool, StoreTimeouts timeouts = {});

  template <class T>
  using Async = boost::asio::awaitable<tracker::Result<T>>;

  // tracker::Store; `batch` must outlive the call.
  Async<tracker::FlushAnswer> flush(const tracker::FlushBatch& batch) override;
  Async<std::optional<tracker::StreamRow>> read_stream(tracker::StreamId stream) override;
  Async<void> register_stream(tracker::StreamId stream, std::string replica_id) override;
  Async<void> mark_drained(tracker::StreamId stream, tracker::Lsn last) override;
  Async<bool> set_aside(const tracker::FlushBatch& record, std::string payload, std::string reason) override;
  Async<bool> close(tracker::PeriodId expected, tracker::Uuid request, bool discard) override;
  Async<tracker::Report> report(tracker::PeriodId period) override;
  /// The same for somebody who waits no longer than `time`; the period can be summed later.
  Async<tracker::Report> report_within(tracker::PeriodId period, std::chrono::milliseconds time);

  /// The period that this request closed, if it did.
  Async<std::optional<tracker::PeriodId>> closed_by(tracker::Uuid request);
  /// Closes the open period if the database clock says that it is due; answers the closed period.
  Async<std::optional<tracker::PeriodId>> close_if_due();
  Async<ClockRow> clock();
  /// Sets the period length if none was ever set; answers what holds.
  Async<std::int64_t> adopt_period_length(std::int64_t seconds);
  Async<void> set_period_length(std::int64_t seconds);

  /// Sums every closed period that nobody has summed yet.
  Async<void> sum_closed();
  /// Newest first, below `before`; unsummed ones are summed first.
  Async<std::vector<tracker::Report>> reports(std::int64_t limit, std::optional<tracker::PeriodId> before);
  Async<Summary> summary();
  Async<HeartbeatAnswer> heartbeat(Heartbeat beat);
  /// Registers the replica without a stream.
  Async<void> register_replica(std::string replica_id, std::string host, std::string version);

  /// accounting.md section 7: throws away the replica's figures of the open period. `not_found`: no such replica.
  Async<void> discard_replica(std::string replica_id, std::string actor);
  /// The stream's row refuses everything from now on; its replica is given up when it has no other open stream.
  Async<void> give_up_stream(tracker::StreamId stream, std::string actor);
  Async<void> give_up_replica(std::string replica_id, std::string actor);
  Async<std::vector<StreamInfo>> streams();
  Async<std::vector<ReplicaInfo>> replicas();
  /// The longest silent first.
  Async<std::vector<SilentReplica>> silent_replicas();

  Async<Ledger> ledger();
  Async<Verification> verify();

  /// One chunk; answers how many rows went. Zero: done for now.
  Async<std::int64_t> expire_keys(std::chrono::seconds window, std::int64_t chunk = 1'000);
  /// Summed reports with all that belongs to them; what they said goes into the carried sums of the ledger.
  /// `delivered_only`: those that wait for --report-url stay.
  Async<std::int64_t> expire_reports(std::chrono::seconds retention, bool delivered_only, std::int64_t chunk = 100);
  /// Rows of streams that ended so long ago and of whose periods no rows are left, into the carried sums too.
  Async<std::int64_t> expire_streams(std::chrono::seconds age, std::int64_t chunk = 1'000);

  /// A new cluster id after a restore; moves the clock to at least `next_period`.
  Async<void> rebase(tracker::PeriodId next_period, std::string actor);

  /// `detail_json` must be valid JSON.
  Async<void> audit(std::string actor, std::string action, std::string object, std::string detail_json = "{}");

 private:
  Pool& pool_;
  StoreTimeouts timeouts_;
};

}  // namespace tally::db
