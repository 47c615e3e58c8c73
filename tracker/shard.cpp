#include "tracker/shard.hpp"

namespace tally::tracker {

void Shard::track(const Append& durable) {
  if (!complete_) return;
  if (accumulator_.add(durable.type, std::as_bytes(std::span(durable.payload)), durable.appended_at) ==
      Accumulator::Added::yes)
    return;
  complete_ = false;
  accumulator_.begin_epoch();  // what is re-read need not be held too
}

Shard::Part Shard::cut(std::uint64_t next_epoch) {
  Part part{epoch_, complete_, accumulator_.take()};
  if (next_epoch != epoch_) {
    epoch_ = next_epoch;
    accumulator_.begin_epoch();
    complete_ = true;
  }
  return part;
}

Gathered join(std::vector<Shard::Part> parts, Lsn from, const Cut& cut, std::size_t max_effects) {
  Gathered whole;
  whole.from = from;
  whole.upto = cut.upto;
  whole.chain = cut.chain;
  if (!parts.empty()) whole.epoch = parts.front().epoch;
  for (Shard::Part& part : parts) {
    whole.complete = whole.complete && part.complete && part.epoch == whole.epoch;
    if (whole.complete) whole.complete = merge(whole.content, std::move(part.content), max_effects);
  }
  if (!whole.complete) whole.content = {};
  return whole;
}

}  // namespace tally::tracker
