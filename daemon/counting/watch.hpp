#pragma once
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/counting/drainer.hpp"
#include "daemon/counting/flusher.hpp"
#include "db/pg_store.hpp"
#include "metrics/ingest_metrics.hpp"
#include "metrics/ledger_metrics.hpp"

namespace tally::daemon {

/// Looks after what a person should know: replicas that fell silent, streams that cannot be brought in, the ledger.
/// Nothing is decided here. Runs on the counting executor.
class Watch {
 public:
  Watch(boost::asio::any_io_executor executor, db::PgStore& store, const Flusher& flusher, const Drainer& drainer,
        metrics::LedgerMetrics& metrics, metrics::IngestMetrics& ingest_metrics);

  boost::asio::awaitable<void> run();
  void stop();
  /// Called about every second.
  void on_turn(std::function<void()> handler) { on_turn_ = std::move(handler); }
  /// Grows while `run` goes round. Thread-safe.
  std::uint64_t rounds() const { return waker_.waits(); }

  /// For /readyz: empty, or a sentence. Thread-safe.
  std::string silent_replicas() const;
  std::string stuck_streams() const;

 private:
  boost::asio::awaitable<void> look_for_silence();
  boost::asio::awaitable<void> read_ledger();
  void look_at_own();
  void say(std::string& what, std::string text);

  db::PgStore& store_;
  const Flusher& flusher_;
  const Drainer& drainer_;
  metrics::LedgerMetrics& metrics_;
  metrics::IngestMetrics& ingest_metrics_;
  std::function<void()> on_turn_;
  Waker waker_;
  bool stopping_ = false;
  bool balanced_ = true;
  std::map<std::string, bool> silent_;  ///< the value: seen in this look
  mutable std::mutex mutex_;            ///< guards what follows
  std::string silent_text_;
  std::string stuck_text_;
};

}  // namespace tally::daemon
