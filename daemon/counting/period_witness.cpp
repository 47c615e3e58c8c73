#include "daemon/counting/period_witness.hpp"

#include <fstream>

#include "daemon/detail/durable_file.hpp"
#include "daemon/log.hpp"
#include "tracker/rules.hpp"

namespace tally::daemon {

PeriodWitness::PeriodWitness(DiskThread& disk, std::string path)
    : disk_(disk), path_(std::move(path)), seen_(read(path_)), saved_(seen_) {}

/// Nothing: a first start, or a file that somebody damaged; then only what this process hears counts.
std::optional<PeriodWitness::Seen> PeriodWitness::read(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  Seen seen;
  if (file >> seen.cluster_id >> seen.period && seen.period > 0) return seen;
  log::warn("the file of the furthest period cannot be read and is written anew", {{"path", path}});
  return std::nullopt;
}

boost::asio::awaitable<bool> PeriodWitness::hear(std::string cluster_id, tracker::PeriodId period) {
  const bool before = agrees_;
  if (seen_ && seen_->cluster_id == cluster_id && period < seen_->period && tracker::holds("S13.witness")) {
    doubt(cluster_id, period);
    co_return before;
  }
  seen_ = Seen{std::move(cluster_id), period};
  agrees_ = true;
  {
    const std::lock_guard lock(mutex_);
    problem_.clear();
  }
  if (!saved_ || saved_->cluster_id != seen_->cluster_id || saved_->period != seen_->period) {
    // Captures nothing that needs a destructor: GCC 12 destroys a temporary closure in a co_await twice.
    const bool done = co_await disk_.run(
        [this] { return detail::replace_file(path_, seen_->cluster_id + " " + std::to_string(seen_->period) + "\n"); });
    if (done) saved_ = seen_;
  }
  co_return !before;
}

void PeriodWitness::doubt(const std::string& cluster_id, tracker::PeriodId period) {
  std::string problem =
      "the database is in period " + std::to_string(period) + ", this replica knew period " +
      std::to_string(seen_->period) +
      ": it lost reports that were given out. Nothing is flushed. If it was restored from a backup, run "
      "`tallyd rebase --next-period " +
      std::to_string(seen_->period + 1) + "`";
  agrees_ = false;
  const std::lock_guard lock(mutex_);
  if (problem == problem_) return;
  log::error("the database lost periods", {{"cluster", cluster_id}, {"period", period}, {"known", seen_->period}});
  problem_ = std::move(problem);
}

std::string PeriodWitness::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

}  // namespace tally::daemon
