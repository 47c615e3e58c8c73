#pragma once
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <mutex>

#include "tracker/accumulator.hpp"
#include "tracker/uuid.hpp"

namespace tally::tracker {

/// The greatest sequence number of each session that this process has heard, so that a hole between two batches is
/// noticed. For information only: a batch that was merely late, or went to another replica, looks like a hole too, and
/// what was said is not taken back. Thread-safe.
class SequenceWatch {
 public:
  /// `capacity`: sessions at most; the one that was heard of first gives way.
  explicit SequenceWatch(std::size_t capacity) : capacity_(capacity) {}

  /// The session brought the numbers `first` to `last`. Answers how many were passed over since its greatest so far;
  /// nothing is known before the first batch.
  std::uint64_t follow(const Uuid& session, std::uint64_t first, std::uint64_t last);

 private:
  const std::size_t capacity_;
  std::mutex mutex_;  ///< guards what follows
  boost::unordered_flat_map<Uuid, std::uint64_t, UuidHash> greatest_;
  std::deque<Uuid> by_age_;
};

}  // namespace tally::tracker
