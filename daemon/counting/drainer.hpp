#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "daemon/counting/stream_driver.hpp"
#include "journal/reader.hpp"

namespace tally::daemon {

/// Brings in what dead processes left in the state directory, marks their streams drained and removes them after the
/// retention (accounting.md B3, B4). Everything runs on the counting executor.
class Drainer {
 public:
  /// `is_own`: streams that the flusher still handles.
  Drainer(boost::asio::any_io_executor executor, const CountingParts& parts,
          std::chrono::milliseconds journal_retention, std::function<bool(const tracker::StreamId&)> is_own);

  boost::asio::awaitable<void> run();
  /// There may be a stream that no round has seen: nothing counts as settled before one that starts from here on.
  void urge() {
    urged_ = true;
    settled_ = false;
    waker_.wake();
  }
  void stop();

  /// Every stream that is not this process's own is drained (or was given up by an operator), as of the round that
  /// ended last.
  bool all_settled() const { return settled_; }

  /// What dead processes acknowledged and nobody has brought in yet, as far as this process may read it. Nothing: the
  /// directory has not been looked through since the start. Thread-safe.
  std::optional<Volume> unflushed() const;

  /// Rounds over the whole directory that have ended.
  std::uint64_t rounds() const { return rounds_; }

  struct Trouble {
    std::string stream;
    std::string reason;
  };
  /// Streams that cannot be drained, for /readyz.
  const std::vector<Trouble>& troubles() const { return troubles_; }

 private:
  struct Foreign {
    tracker::StreamFlush flush;
    std::unique_ptr<journal::Lock> lock;
    std::optional<journal::StreamScan> scan;
    Volume unflushed;
    bool drained = false;
    bool given_up = false;                     ///< an operator ended it; its files stay
    std::optional<tracker::Lsn> seen_applied;  ///< while its owner lives: where its row stood in the last round
    explicit Foreign(tracker::StreamId id) : flush(id, tracker::StreamFlush::Owner::another) {}
  };
  boost::asio::awaitable<void> round();
  boost::asio::awaitable<bool> measure(Foreign& foreign);
  boost::asio::awaitable<void> scan(Foreign& foreign, tracker::Lsn applied);
  boost::asio::awaitable<void> drain(Foreign& foreign);
  boost::asio::awaitable<bool> claim(Foreign& foreign);
  boost::asio::awaitable<void> help(Foreign& foreign);
  void add_unflushed(Foreign& foreign, const Volume& volume);
  void take_unflushed(Foreign& foreign, const Volume& volume);
  boost::asio::awaitable<void> finish(Foreign& foreign);
  boost::asio::awaitable<void> stuck(Foreign& foreign, std::string_view reason);
  void trouble(const Foreign& foreign, std::string_view reason);

  CountingParts parts_;
  std::chrono::milliseconds journal_retention_;
  std::function<bool(const tracker::StreamId&)> is_own_;
  journal::Reader reader_;
  Waker waker_;
  StreamDriver driver_;
  const StreamDriver::Announce no_announcement_;
  std::map<tracker::StreamId, std::unique_ptr<Foreign>> foreign_;
  std::vector<Trouble> troubles_;
  std::map<tracker::StreamId, std::string> told_;  ///< a trouble is logged once
  mutable std::mutex unflushed_mutex_;             ///< guards `unflushed_` and `measured_`
  Volume unflushed_;
  bool measured_ = false;
  bool settled_ = false;
  bool urged_ = false;
  std::uint64_t rounds_ = 0;
  bool stopping_ = false;
};

}  // namespace tally::daemon
