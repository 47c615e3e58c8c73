#include "tracker/stream_flush.hpp"

#include <algorithm>
#include <cassert>

#include "tracker/rules.hpp"

namespace tally::tracker {
namespace {

constexpr std::chrono::milliseconds kFirstWait{200};
constexpr std::chrono::milliseconds kLongestWait{30'000};

}  // namespace

StreamFlush::Action StreamFlush::next() const {
  if (alarm_ != Alarm::none) return {Do::halt};
  if (!row_known_) {
    if (unchecked_) return {Do::check_chain, 0, unchecked_->applied_lsn};
    if (registration_ == Registration::pending) return {Do::find_registration};
    if (registration_ == Registration::absent) return {Do::register_stream};
    return {Do::read_row};
  }
  if (must_set_aside_) return {Do::set_aside, applied_, applied_ + 1};
  if (frozen_) return {Do::send};
  if (applied_ < target_) {
    const bool suspect = applied_ < suspect_upto_;
    return {Do::read_journal, applied_, target_, suspect ? chunk_records_ : UINT64_MAX};
  }
  return {};
}

void StreamFlush::gathered(Gathered gathered) {
  const bool in_order = gathered.from == covered_;
  if (gathered.epoch > epoch_) {
    epoch_ = gathered.epoch;
    epoch_requested_ = false;
    epoch_state_ = EpochState::fresh;
  }
  if (!in_order || (!gathered.complete && holds("F1.complete")) || gathered.epoch != epoch_) break_epoch();
  covered_ = std::max(covered_, gathered.upto);

  const bool sendable = epoch_state_ != EpochState::broken && row_known_ && !frozen_ && !must_set_aside_ &&
                        applied_ >= target_ && applied_ == gathered.from && alarm_ == Alarm::none;
  if (gathered.upto == gathered.from) return;
  if (!sendable) {
    break_epoch();
    target_ = std::max(target_, gathered.upto);
    return;
  }
  target_ = gathered.upto;
  frozen_ = std::move(gathered.content);
  frozen_->stream = stream_;
  frozen_->from = applied_;
  frozen_->to = gathered.upto;
  frozen_->chain_from = chain_;
  frozen_->chain_to = gathered.chain;
  frozen_->guard.reset();
  if (epoch_state_ == EpochState::confirmed && holds("M9")) frozen_->guard = epoch_guard_;
  frozen_is_gathered_ = true;
}

void StreamFlush::durable(Lsn upto) {
  target_ = std::max(target_, upto);
}

void StreamFlush::row(const std::optional<StreamRow>& row) {
  failures_ = 0;
  if (!row) {
    // A stream without a row either never got one, or lost it: only its journal knows.
    if (was_registered_ && holds("M13.row"))
      halt(Alarm::row_gone);
    else
      registration_ = owner_ == Owner::this_process ? Registration::absent : Registration::pending;
    return;
  }
  was_registered_ = true;
  learn_clock(row->clock);
  if (alarm_ != Alarm::none) return;
  const bool open = row->state == StreamState::open ||
                    (row->state == StreamState::drained && owner_ == Owner::another && row->applied_lsn >= target_);
  if (!open) return halt(Alarm::closed);

  if (unknown_to_) {
    if (row->applied_lsn == *unknown_to_)
      ++counts_.unknown_applied;
    else if (row->applied_lsn == applied_)
      ++counts_.unknown_not_applied;
    unknown_to_.reset();
  } else if (row->applied_lsn > applied_ && applied_ > 0) {
    ++counts_.drained_by_other;
  }
  if (row->applied_lsn < applied_) {
    ++counts_.lost_commits;
    if (!holds("F5.lost")) return adopt(applied_, chain_);
    break_epoch();
  }
  if (row->applied_lsn == 0 && row->chain == 0) return adopt(0, 0);
  if (row->applied_lsn == applied_ && row->chain == chain_) return adopt(applied_, chain_);
  unchecked_ = row;
}

void StreamFlush::registration(bool found) {
  if (found)
    halt(Alarm::row_gone);
  else
    registration_ = Registration::absent;
}

void StreamFlush::registered() {
  failures_ = 0;
  was_registered_ = true;
  registration_ = Registration::unknown;  // and read the row: another process may have been first
}

void StreamFlush::chain(Result<Chain> at_applied) {
  const StreamRow row = *unchecked_;
  unchecked_.reset();
  if (at_applied) {
    if (*at_applied != row.chain && holds("M13.chain")) return halt(Alarm::forked);
    return adopt(row.applied_lsn, row.chain);
  }
  if (at_applied.error() == Errc::corrupt) return halt(Alarm::corrupt);
  // Not in the journal: either it is beyond what this copy of the stream holds, or its segment went after retention.
  halt(row.applied_lsn > std::max(target_, covered_) ? Alarm::forked : Alarm::journal_gap);
}

void StreamFlush::adopt(Lsn applied, Chain chain) {
  applied_ = applied;
  chain_ = chain;
  row_known_ = true;
}

void StreamFlush::rebuilt(FlushBatch batch) {
  assert(!frozen_ && batch.from == applied_);
  ++counts_.rebuilt;
  frozen_ = std::move(batch);
  frozen_is_gathered_ = false;
}

void StreamFlush::unreadable(Errc why) {
  if (why == Errc::corrupt) return halt(Alarm::corrupt);
  if (why == Errc::not_found) return halt(Alarm::journal_gap);
  halt(Alarm::unreadable);
}

void StreamFlush::answer(const FlushAnswer& answer) {
  const FlushBatch& batch = *frozen_;
  if (!answer.applied) {
    const bool by_guard = batch.guard && (batch.guard->period != answer.clock);
    ++(by_guard ? counts_.refused_guard : counts_.refused_cas);
    forget_frozen();
    learn_clock(answer.clock);
    return;
  }
  ++counts_.confirmed;
  failures_ = 0;
  learn_clock(answer.clock);
  applied_ = batch.to;
  chain_ = batch.chain_to;
  target_ = std::max(target_, applied_);
  if (frozen_is_gathered_) {
    epoch_state_ = EpochState::confirmed;
    epoch_guard_ = {*answer.applied, answer.ids_epoch};
  }
  if (applied_ >= suspect_upto_) suspect_upto_ = 0;
  frozen_.reset();
}

void StreamFlush::failed(Errc why) {
  ++failures_;
  switch (why) {
    case Errc::outcome_unknown:
      if (frozen_ && !holds("F4")) {  // guess that it was applied
        applied_ = frozen_->to;
        chain_ = frozen_->chain_to;
        frozen_.reset();
      } else if (frozen_) {
        ++counts_.unknown;
        unknown_to_ = frozen_->to;
        forget_frozen();
      } else if (must_set_aside_) {
        row_known_ = false;
        must_set_aside_ = false;
      }
      return;
    case Errc::data_refused:
      if (frozen_ && holds("F5.split")) split_batch();
      return;
    default:
      return;  // nothing happened: the same again after a wait
  }
}

void StreamFlush::split_batch() {
  const std::uint64_t records = frozen_->to - frozen_->from;
  suspect_upto_ = std::max(suspect_upto_, frozen_->to);
  ++counts_.split;
  break_epoch();
  frozen_.reset();
  if (records == 1)
    must_set_aside_ = true;
  else
    chunk_records_ = records / 2;
}

void StreamFlush::set_aside_done(bool moved) {
  failures_ = 0;
  must_set_aside_ = false;
  row_known_ = false;  // read where it stands, whoever moved it
  if (moved) ++counts_.set_aside;
}

void StreamFlush::forget_frozen() {
  target_ = std::max(target_, frozen_->to);
  frozen_.reset();
  row_known_ = false;
  if (holds("F5.ids")) break_epoch();
}

void StreamFlush::learn_clock(PeriodId clock) {
  if (clock < clock_ && holds("S13.clock"))
    halt(Alarm::clock_back);
  else
    clock_ = clock;
}

void StreamFlush::halt(Alarm alarm) {
  if (alarm_ == Alarm::none) alarm_ = alarm;
}

std::chrono::milliseconds StreamFlush::backoff_ceiling() const {
  if (failures_ == 0) return std::chrono::milliseconds::zero();
  return std::min(kLongestWait, kFirstWait * (1 << std::min(failures_ - 1, 10)));
}

std::string_view to_string(StreamFlush::Alarm alarm) {
  switch (alarm) {
    case StreamFlush::Alarm::none:
      return "none";
    case StreamFlush::Alarm::row_gone:
      return "row_gone";
    case StreamFlush::Alarm::forked:
      return "forked";
    case StreamFlush::Alarm::clock_back:
      return "clock_back";
    case StreamFlush::Alarm::closed:
      return "closed";
    case StreamFlush::Alarm::journal_gap:
      return "journal_gap";
    case StreamFlush::Alarm::corrupt:
      return "corrupt";
    case StreamFlush::Alarm::unreadable:
      return "unreadable";
  }
  return "unknown";
}

Result<FlushBatch> rebuild_batch(JournalReader& reader, StreamId stream, Lsn from, Chain chain_from, Lsn upto,
                                 std::uint64_t records, const RebuildLimits& limits) {
  Accumulator accumulator(limits.accumulator);
  std::uint64_t taken = 0;
  bool unknown_kind = false;
  Lsn last = from;
  Chain chain = chain_from;
  const Lsn last_wanted = records < upto - from ? from + records : upto;
  const auto end = reader.read(stream, from, last_wanted, limits.payload_bytes, [&](const RecordView& record) {
    const auto added = accumulator.add(record.type, record.payload, record.appended_at);
    unknown_kind = added == Accumulator::Added::malformed;
    if (added != Accumulator::Added::yes) return false;
    ++taken;
    last = record.lsn;
    chain = record.chain;
    return true;
  });
  if (taken == 0) {
    if (unknown_kind) return Errc::conflict;
    return end ? make_error_code(Errc::not_found) : end.error();
  }
  // A record that could not be read to its end has left traces in the accumulator: start over without it.
  if (unknown_kind) return rebuild_batch(reader, stream, from, chain_from, upto, taken, limits);

  FlushBatch batch = accumulator.take();
  batch.stream = stream;
  batch.from = from;
  batch.to = last;
  batch.chain_from = chain_from;
  batch.chain_to = chain;
  return batch;
}

}  // namespace tally::tracker
