#pragma once
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <mutex>
#include <optional>
#include <string>

#include "daemon/counting/disk_thread.hpp"
#include "tracker/record.hpp"

namespace tally::daemon {

/// Remembers, over restarts too, how far the periods of the database had come. One whose clock stands before that lost
/// reports that were given out: nothing goes into it until `tallyd rebase` gave it a new cluster id, under which its
/// periods cannot be mistaken for those (accounting.md 13). The counting executor's, but for `problem`.
class PeriodWitness {
 public:
  /// `path`: of a small file in the state directory.
  PeriodWitness(DiskThread& disk, std::string path);

  /// What the database's clock says now. True: `agrees` changed.
  boost::asio::awaitable<bool> hear(std::string cluster_id, tracker::PeriodId period);

  /// The database may be counted into. Not before it was heard once.
  bool agrees() const { return agrees_; }
  /// For an operator; empty while there is none. Thread-safe.
  std::string problem() const;

 private:
  struct Seen {
    std::string cluster_id;
    tracker::PeriodId period = 0;
  };
  static std::optional<Seen> read(const std::string& path);
  void doubt(const std::string& cluster_id, tracker::PeriodId period);

  DiskThread& disk_;
  std::string path_;
  std::optional<Seen> seen_;  ///< the furthest
  std::optional<Seen> saved_;
  bool agrees_ = false;
  mutable std::mutex mutex_;  ///< guards `problem_`
  std::string problem_;
};

}  // namespace tally::daemon
