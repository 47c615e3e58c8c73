#pragma once
#include <deque>
#include <list>

#include "daemon/counting/intake.hpp"
#include "daemon/counting/stream_driver.hpp"
#include "daemon/log.hpp"
#include "journal/reader.hpp"
#include "tracker/ports.hpp"

namespace tally::daemon {

/// Flushes what this process acknowledged: asks for a cut each interval and brings it into the store. Everything runs
/// on the counting executor.
class Flusher {
 public:
  Flusher(boost::asio::any_io_executor executor, const CountingParts& parts, Intake& intake, tracker::Journal& journal,
          std::chrono::milliseconds interval, std::chrono::milliseconds journal_retention);

  boost::asio::awaitable<void> run();
  /// The next cycle comes now: a backlog, a shard at its bound, somebody who waits.
  void urge();
  /// One last cycle, then `run` returns.
  void stop();

  /// Streams that this process opened and still flushes itself; the drainer leaves them alone.
  bool owns(const tracker::StreamId& stream) const;
  /// A stream of this process ended (its disk failed) and was flushed as far as memory had it: the drainer may have it.
  void on_released(std::function<void()> handler) { on_released_ = std::move(handler); }

  /// Cycles are numbered; one that was started after an event was acknowledged and has succeeded brought it in.
  std::uint64_t cycles_started() const { return started_; }
  std::uint64_t last_good_cycle() const { return last_good_; }
  /// Grows as long as the loop turns, also while the database is away: feeds the watchdog. Thread-safe.
  std::uint64_t beats() const { return beats_.load(std::memory_order_relaxed); }
  /// For the watchdog: a cut is owed by the journal, and how many it gave. Thread-safe.
  bool cut_is_owed() const { return cuts_asked_.load(std::memory_order_relaxed) > cuts_answered(); }
  std::uint64_t cuts_answered() const { return cuts_answered_.load(std::memory_order_relaxed); }
  /// Of the own live stream; `none` while all is well.
  tracker::StreamFlush::Alarm alarm() const;
  /// Acknowledged by this process and not yet known to be in the database. Thread-safe.
  Volume unflushed() const;
  /// After `stop`: the last cycle is over.
  bool ended() const { return stopped_; }

 private:
  struct Own {
    tracker::StreamFlush flush;
    tracker::Lsn cut_at = 0;
    bool sealed = false;
    bool rolled = false;  ///< the journal was asked to go on in another stream
    Volume unflushed;     ///< below `cut_at`
    explicit Own(tracker::StreamId id) : flush(id, tracker::StreamFlush::Owner::this_process) {}
  };
  boost::asio::awaitable<bool> cycle();
  boost::asio::awaitable<void> request_cut();
  void take_cut(const tracker::Cut& cut, std::vector<tracker::Shard::Part> parts, const std::vector<Volume>& volumes);
  boost::asio::awaitable<tracker::Result<void>> announce(tracker::StreamId stream);
  boost::asio::awaitable<void> trim(const tracker::StreamFlush& flush);
  void forget_pending(Own& own, const Volume& volume);
  void report_alarm(const Own& own);
  void leave_behind(Own& own);

  boost::asio::any_io_executor executor_;
  CountingParts parts_;
  Intake& intake_;
  tracker::Journal& journal_;
  std::chrono::milliseconds interval_;
  std::chrono::milliseconds journal_retention_;
  journal::Reader reader_;
  Waker waker_;
  Waker cut_waker_;
  StreamDriver driver_;
  StreamDriver::Announce announce_;
  std::function<void()> on_released_;

  std::list<Own> own_;                // the live one is the last
  mutable std::mutex pending_mutex_;  // guards `pending_`
  Volume pending_;                    // taken by cuts, not yet in the database
  std::uint64_t next_ticket_ = 1;
  std::uint64_t last_ticket_ = 0;  // answered
  std::atomic<std::uint64_t> cuts_asked_{0};
  std::atomic<std::uint64_t> cuts_answered_{0};
  std::uint64_t started_ = 0;
  std::uint64_t last_good_ = 0;
  tracker::SteadyTime trimmed_at_{};
  bool stopping_ = false;
  bool stopped_ = false;
  std::atomic<std::uint64_t> beats_{0};
  log::Throttle alarm_throttle_{std::chrono::minutes(1)};
};

}  // namespace tally::daemon
