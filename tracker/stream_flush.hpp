#pragma once
#include <chrono>
#include <optional>
#include <string_view>

#include "tracker/batch.hpp"
#include "tracker/errors.hpp"
#include "tracker/shard.hpp"

namespace tally::tracker {

/// Brings one stream's records into the store, each exactly once (accounting.md section 5). It decides and waits for
/// nothing: ask `next`, do it, tell the outcome, ask again. One thread.
///
/// The rule for ids: a batch made of what shards gathered leaves out ids that earlier batches of the same epoch
/// carried. It is sent only while every one of those was confirmed, by its own answer, in one period p, and then under
/// the guard p. Any other outcome breaks the epoch: nothing gathered in it is sent any more, its range is re-read from
/// the journal in full.
class StreamFlush {
 public:
  enum class Do {
    nothing,            ///< up to date with what it was told about
    read_row,           ///< Store::read_stream, then `row` or `failed`
    find_registration,  ///< does the journal hold a `registered` record, or has its beginning gone? then `registration`
    register_stream,    ///< Store::register_stream (own stream: then make a `registered` record durable), then
                        ///< `registered`
    check_chain,        ///< JournalReader::chain_at(upto), then `chain`
    read_journal,       ///< build the batch (from, upto] or a prefix of it with at most `records`, then `rebuilt` or
                        ///< `unreadable`
    send,               ///< Store::flush(batch()), then `answer` or `failed`
    set_aside,          ///< Store::set_aside of the record (from, upto], then `set_aside_done` or `failed`
    halt,               ///< stopped for good; see `alarm`
  };
  struct Action {
    Do what = Do::nothing;
    Lsn from = 0;
    Lsn upto = 0;
    std::uint64_t records = 0;
  };
  enum class Alarm {
    none,
    row_gone,     ///< registered once, and no row now: the database was restored or somebody deleted it
    forked,       ///< another chain at the same LSN, or more applied than this journal holds
    clock_back,   ///< the open period is lower than it was: the database lost a close
    closed,       ///< the row says removed, given up or (for a live stream) drained
    journal_gap,  ///< records that were never applied are no longer in the journal
    corrupt,      ///< a damaged record; what precedes it was flushed
    unreadable,   ///< a record that this version does not understand
  };
  enum class Owner { this_process, another };

  StreamFlush(StreamId stream, Owner owner) : stream_(stream), owner_(owner) {}

  Action next() const;
  const FlushBatch& batch() const { return *frozen_; }

  /// The shards' gathering between the last cut and this one (own stream only; every cut must be told).
  void gathered(Gathered gathered);
  /// Records up to `upto` are durable and not covered by a gathering.
  void durable(Lsn upto);

  void row(const std::optional<StreamRow>& row);
  void registration(bool found);
  void registered();
  void chain(Result<Chain> at_applied);
  void rebuilt(FlushBatch batch);
  void unreadable(Errc why);
  void answer(const FlushAnswer& answer);
  void set_aside_done(bool moved);
  /// The store's call failed; what may be concluded depends on `why`.
  void failed(Errc why);

  StreamId stream() const { return stream_; }
  Lsn applied() const { return applied_; }
  Chain applied_chain() const { return chain_; }
  bool row_known() const { return row_known_; }
  bool idle() const { return next().what == Do::nothing; }
  /// The next cut should begin a new epoch; tell `new_epoch_asked` when that was arranged.
  bool wants_new_epoch() const { return epoch_state_ == EpochState::broken && !epoch_requested_; }
  void new_epoch_asked() { epoch_requested_ = true; }
  Alarm alarm() const { return alarm_; }
  /// Ceiling of the wait before the next try, doubling from 200 ms to 30 s; zero after a success. Draw from [0,
  /// ceiling].
  std::chrono::milliseconds backoff_ceiling() const;

  /// How it was reached, for metrics and for tests that must prove their generator got there.
  struct Counts {
    std::uint64_t confirmed = 0, refused_guard = 0, refused_cas = 0, unknown = 0, unknown_applied = 0,
                  unknown_not_applied = 0, drained_by_other = 0, rebuilt = 0, lost_commits = 0, split = 0,
                  set_aside = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  enum class EpochState { broken, fresh, confirmed };

  void forget_frozen();
  void break_epoch() { epoch_state_ = EpochState::broken; }
  void halt(Alarm alarm);
  void adopt(Lsn applied, Chain chain);
  void learn_clock(PeriodId clock);
  void split_batch();

  StreamId stream_;
  Owner owner_;
  Alarm alarm_ = Alarm::none;

  bool row_known_ = false;
  bool was_registered_ = false;
  enum class Registration { unknown, absent, pending } registration_ = Registration::unknown;
  std::optional<StreamRow> unchecked_;  // a row whose chain is to be compared with the journal's

  Lsn applied_ = 0;  // confirmed by a committed answer
  Chain chain_ = 0;
  Lsn target_ = 0;   // durable records to bring in
  Lsn covered_ = 0;  // up to where gatherings were told
  PeriodId clock_ = 0;

  std::optional<FlushBatch> frozen_;
  bool frozen_is_gathered_ = false;
  std::optional<Lsn> unknown_to_;  // the end of a batch whose outcome is unknown

  std::uint64_t epoch_ = 0;
  EpochState epoch_state_ = EpochState::broken;
  bool epoch_requested_ = true;  // the first gathering begins one
  Guard epoch_guard_;

  Lsn suspect_upto_ = 0;  // a refused batch ends here; until then batches hold at most chunk_records_
  std::uint64_t chunk_records_ = 0;
  bool must_set_aside_ = false;
  int failures_ = 0;
  Counts counts_;
};

std::string_view to_string(StreamFlush::Alarm alarm);

struct RebuildLimits {
  std::size_t payload_bytes = 8 << 20;
  AccumulatorLimits accumulator{.ids = 500'000, .effects = 1'000, .effect_ids = 200'000};
};

/// Adds up the records after `from` (whose chain is `chain_from`) until `upto`, `records` or a limit, leaving nothing
/// out. `corrupt`/`not_found`: as `JournalReader::read`, when not even one record could be read; `conflict`: the first
/// record is of a kind that this version does not know.
Result<FlushBatch> rebuild_batch(JournalReader& reader, StreamId stream, Lsn from, Chain chain_from, Lsn upto,
                                 std::uint64_t records, const RebuildLimits& limits = {});

}  // namespace tally::tracker
