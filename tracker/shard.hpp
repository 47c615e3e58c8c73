#pragma once
#include "tracker/accumulator.hpp"
#include "tracker/ports.hpp"

namespace tally::tracker {

/// One thread's share of what was acknowledged since the last cut. Filled from the journal's deliveries, so in LSN
/// order.
class Shard {
 public:
  struct Part {
    std::uint64_t epoch = 0;
    bool complete = true;  ///< false: a bound was reached; the range must be re-read from the journal
    FlushBatch content;
  };

  explicit Shard(AccumulatorLimits limits = {}) : accumulator_(limits), limits_(limits) {}

  void track(const Append& durable);

  /// Hands over what lies below the cut and goes on in `next_epoch`.
  Part cut(std::uint64_t next_epoch);

  /// So much is waiting that a cut should not wait for the interval.
  bool wants_cut() const noexcept {
    return !complete_ || accumulator_.effects() * 4 >= limits_.effects ||
           accumulator_.connection_bytes() * 4 >= limits_.connection_bytes ||
           accumulator_.usage_bytes() * 4 >= limits_.usage_bytes ||
           accumulator_.usage_events() * 4 >= limits_.usage_events;
  }
  std::size_t memory_bytes() const noexcept { return accumulator_.memory_bytes(); }

 private:
  Accumulator accumulator_;
  AccumulatorLimits limits_;
  std::uint64_t epoch_ = 1;
  bool complete_ = true;
};

/// What all shards gathered between two cuts.
struct Gathered {
  Lsn from = 0;
  Lsn upto = 0;
  Chain chain = 0;  ///< at `upto`
  std::uint64_t epoch = 0;
  bool complete = true;
  FlushBatch content;  ///< range and guard unset
};

/// Joins the shards' parts of one cut. `max_effects`: past it the range counts as incomplete.
Gathered join(std::vector<Shard::Part> parts, Lsn from, const Cut& cut, std::size_t max_effects);

}  // namespace tally::tracker
