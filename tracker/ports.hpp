#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tracker/batch.hpp"
#include "tracker/errors.hpp"
#include "tracker/record.hpp"

/// What the counting core needs from the outside: a journal, a store, a clock (clock.hpp).
namespace tally::tracker {

/// One record that waits to become durable. Owned by the journal from `submit` until `Completions::deliver`.
/// Derive from it to carry what answers the request.
struct Append {
  virtual ~Append() = default;
  RecordType type{};
  std::uint32_t shard = 0;  ///< which completion queue gets it back
  std::string payload;
  // Filled in by the journal:
  StreamId stream;
  Lsn lsn = 0;
  WallTime appended_at{};
  boost::system::error_code error;  ///< set: not acknowledged (journal_failed, journal_full, overloaded, shutting_down)
};
using AppendGroup = std::vector<std::unique_ptr<Append>>;

/// A boundary between records, at which all shards swap their accumulators.
struct Cut {
  StreamId stream;
  Lsn upto = 0;              ///< every record delivered before has an LSN <= upto, every later one is above
  Chain chain = 0;           ///< at `upto`
  std::uint64_t ticket = 0;  ///< the number given to `request_cut`; 0 when the journal changed its stream by itself
  bool sealed = false;       ///< the stream ends here; what is delivered later belongs to another
};

/// Where durable records come back. Called on the journal's thread, for each shard in LSN order. Must not block or
/// throw.
class Completions {
 public:
  virtual ~Completions() = default;
  /// Durable (or, under a relaxed sync mode, written) records of one shard, or refused ones (`error` set).
  virtual void deliver(std::uint32_t shard, AppendGroup group) = 0;
  /// All shards: everything delivered so far belongs below the cut, everything after above it.
  virtual void cut(const Cut& cut) = 0;
};

/// The append side of the journal: one stream, one writer thread. Thread-safe.
class Journal {
 public:
  virtual ~Journal() = default;
  /// Takes the records; each comes back through `Completions` exactly once, durable or refused. Never blocks.
  virtual void submit(AppendGroup group) = 0;
  /// Asks for a cut after what is durable by now; it comes back through `Completions::cut` with this ticket.
  virtual void request_cut(std::uint64_t ticket) = 0;
  /// `stream` ends with the records that it has, if it is the one that takes appends now: a sealed cut follows, and
  /// what comes next goes to a new stream. For a stream that the store will take nothing more from.
  virtual void roll(const StreamId& stream) = 0;
};

/// Where a read ended.
struct ReadEnd {
  Lsn last = 0;       ///< last record handed out, or the `after` that was asked for
  Chain chain = 0;    ///< at `last`
  bool more = false;  ///< stopped by the byte limit, the sink or `upto`, not by the end of the valid records
};

/// Reads streams back, the own one as well as those of dead processes. Blocking; one thread at a time.
class JournalReader {
 public:
  virtual ~JournalReader() = default;
  /// Hands out the valid records with after < LSN <= upto, in order, until `max_bytes` of payload are passed (at least
  /// one record is handed out) or the sink answers false: it did not take that record, and the read ends before it. A
  /// torn tail ends the read quietly. `corrupt`: a bad record before good ones; what precedes it has been handed out.
  /// `not_found`: the records after `after` are no longer there.
  virtual Result<ReadEnd> read(const StreamId& stream, Lsn after, Lsn upto, std::size_t max_bytes,
                               const std::function<bool(const RecordView&)>& sink) = 0;
  /// Chain hash at `at`, recomputed from the file: `not_found` if that LSN is no longer (or not yet) there.
  virtual Result<Chain> chain_at(const StreamId& stream, Lsn at) = 0;
};

/// The shared database, as the counting core sees it. Every call is one statement or one transaction; any call may end
/// in `store_unavailable` (nothing happened), `outcome_unknown`, `serialization`, `data_refused` or `store_refuses`.
class Store {
 public:
  virtual ~Store() = default;

  /// accounting.md section 5, F2.
  virtual boost::asio::awaitable<Result<FlushAnswer>> flush(const FlushBatch& batch) = 0;
  /// `nullopt`: no such row.
  virtual boost::asio::awaitable<Result<std::optional<StreamRow>>> read_stream(StreamId stream) = 0;
  /// Idempotent. Also makes the replica's row.
  virtual boost::asio::awaitable<Result<void>> register_stream(StreamId stream, std::string replica_id) = 0;
  /// Marks a dead stream drained if `applied_lsn` is still `last`; `conflict` otherwise (accounting.md section 6).
  virtual boost::asio::awaitable<Result<void>> mark_drained(StreamId stream, Lsn last) = 0;

  /// Steps over the single record (from, to] that the database refuses to apply: moves `applied_lsn` by the same
  /// compare-and-set and keeps the record, its sums and the reason in a table of its own (accounting.md F5, last rule).
  /// False: the compare-and-set refused.
  virtual boost::asio::awaitable<Result<bool>> set_aside(const FlushBatch& record, std::string payload,
                                                         std::string reason) = 0;

  /// C1 and C2: moves the clock on if it says `expected`; `request` is kept with the report. True: this request moved
  /// it, now or in an earlier attempt whose answer was lost. `conflict`: `expected` is neither open nor closed.
  virtual boost::asio::awaitable<Result<bool>> close(PeriodId expected, Uuid request, bool discard) = 0;
  /// C3: sums the period if nobody has yet, and answers its report. `not_found`: no such closed period.
  virtual boost::asio::awaitable<Result<Report>> report(PeriodId period) = 0;
};

}  // namespace tally::tracker
