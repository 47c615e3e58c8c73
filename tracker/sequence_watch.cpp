#include "tracker/sequence_watch.hpp"

#include <algorithm>

namespace tally::tracker {

std::uint64_t SequenceWatch::follow(const Uuid& session, std::uint64_t first, std::uint64_t last) {
  const std::lock_guard lock(mutex_);
  const auto [known, fresh] = greatest_.try_emplace(session, last);
  if (!fresh) {
    const std::uint64_t greatest = known->second;
    known->second = std::max(greatest, last);
    return first > greatest ? first - greatest - 1 : 0;
  }
  by_age_.push_back(session);
  if (by_age_.size() > capacity_) {
    greatest_.erase(by_age_.front());
    by_age_.pop_front();
  }
  return 0;
}

}  // namespace tally::tracker
