#pragma once
#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "daemon/counting/drainer.hpp"
#include "daemon/counting/flusher.hpp"
#include "db/pg_store.hpp"
#include "metrics/report_metrics.hpp"

namespace tally::daemon {

/// Tells the database that this replica lives and how complete its figures are, learns the clock and the version of the
/// rights, and closes the period when it is due. Everything runs on the counting executor.
class Heart {
 public:
  struct Options {
    std::string replica_id;
    std::string host;
    std::string version;
    std::chrono::milliseconds period{};  ///< 0: closed only on request
    std::string registered_mark;         ///< file that exists once the replica has registered in its life
  };

  Heart(boost::asio::any_io_executor executor, Options options, db::PgStore& store, Flusher& flusher, Drainer& drainer,
        PeriodWitness& witness, DiskThread& disk, metrics::ReportMetrics& metrics);

  boost::asio::awaitable<void> run();
  void urge() { waker_.wake(); }
  void stop();
  /// Grows while `run` goes round. Thread-safe.
  std::uint64_t rounds() const { return waker_.waits(); }

  /// Called with the version of the rights after each heartbeat.
  void on_rights(std::function<void(std::int64_t version)> handler) { on_rights_ = std::move(handler); }

  /// Keyed requests may be acknowledged (accounting.md section 5, last rule). Thread-safe.
  bool registered() const { return registered_.load(std::memory_order_relaxed); }
  /// The last heartbeat succeeded. Thread-safe.
  bool connected() const { return connected_.load(std::memory_order_relaxed); }

 private:
  boost::asio::awaitable<void> beat();
  boost::asio::awaitable<bool> register_replica();
  boost::asio::awaitable<void> agree_on_period(const db::ClockRow& clock);
  boost::asio::awaitable<void> close_if_due(const db::ClockRow& clock);
  void settle_mark();

  Options options_;
  db::PgStore& store_;
  Flusher& flusher_;
  Drainer& drainer_;
  PeriodWitness& witness_;
  DiskThread& disk_;
  metrics::ReportMetrics& metrics_;
  Waker waker_;
  std::function<void(std::int64_t)> on_rights_;

  /// A database time, and the first cycle that began after it was read: once that cycle is in, so is all before the
  /// time.
  struct Mark {
    std::int64_t database_time_us = 0;
    std::uint64_t cycle = 0;
  };
  std::optional<Mark> mark_;
  std::optional<std::int64_t> complete_as_of_us_;
  bool period_agreed_ = false;
  bool stopping_ = false;
  std::atomic<bool> registered_;
  std::atomic<bool> connected_{false};
};

}  // namespace tally::daemon
