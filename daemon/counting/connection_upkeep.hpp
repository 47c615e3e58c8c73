#pragma once
#include <chrono>

#include "daemon/counting/waker.hpp"
#include "db/connection_log.hpp"
#include "metrics/connection_metrics.hpp"
#include "tracker/clock.hpp"

namespace tally::daemon {

/// Marks sessions that said no goodbye as lost, removes entries past their retention, and forgets what only old cursors
/// want to know: in chunks, with pauses in between, so that no flush waits long. Every replica does both; rows that
/// another holds are passed over. Runs on the counting executor.
class ConnectionUpkeep {
 public:
  /// Zero: never.
  struct Limits {
    std::chrono::milliseconds timeout{};
    std::chrono::milliseconds retention{};
  };
  ConnectionUpkeep(boost::asio::any_io_executor executor, db::ConnectionLog& log, const tracker::Clock& clock,
                   metrics::ConnectionMetrics& metrics, Limits limits);

  boost::asio::awaitable<void> run();
  void stop();
  /// Grows while `run` goes round. Thread-safe.
  std::uint64_t rounds() const { return waker_.waits(); }

 private:
  boost::asio::awaitable<void> mark_lost();
  boost::asio::awaitable<void> purge();
  boost::asio::awaitable<void> forget_moves();

  db::ConnectionLog& log_;
  const tracker::Clock& clock_;
  metrics::ConnectionMetrics& metrics_;
  Limits limits_;
  std::chrono::milliseconds every_;
  Waker waker_;
  tracker::SteadyTime forget_next_{};
  bool stopping_ = false;
};

}  // namespace tally::daemon
