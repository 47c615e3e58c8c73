#pragma once
#include <atomic>
#include <mutex>
#include <string>

#include "daemon/log.hpp"
#include "db/query.hpp"
#include "journal/observer.hpp"
#include "metrics/flush_metrics.hpp"
#include "metrics/journal_metrics.hpp"

/// What the journal and the database have to tell, turned into metrics and log lines.
namespace tally::daemon {

class JournalObserver final : public journal::Observer {
 public:
  JournalObserver(metrics::JournalMetrics& metrics, const tracker::Clock& clock) : metrics_(metrics), clock_(clock) {}

  void group_written(std::size_t records, std::size_t bytes, std::chrono::nanoseconds sync) override;
  void refused(std::size_t records, boost::system::error_code why) override;
  void stream_opened(const tracker::StreamId& stream) override;
  void stream_sealed(const tracker::StreamId& stream, tracker::Lsn last, boost::system::error_code why) override;
  void open_failed(boost::system::error_code why, std::chrono::milliseconds retry_after) override;
  void quota(std::uint64_t used, std::uint64_t max, bool full) override;
  void recovered(const tracker::StreamId& stream, std::uint64_t records) override;
  void corrupt(const tracker::StreamId& stream, const std::string& file, std::uint64_t offset,
               tracker::Lsn after) override;

  /// The disk refused the last group, a moment ago. Wears off by itself, so that a replica that is sent nothing while
  /// it is not ready becomes ready again and finds out.
  bool failed_lately() const;
  bool is_full() const { return full_; }
  std::uint64_t used_bytes() const { return used_; }
  /// Groups written and streams tried: feeds the watchdog.
  std::uint64_t beats() const { return beats_; }

 private:
  metrics::JournalMetrics& metrics_;
  const tracker::Clock& clock_;
  static constexpr std::int64_t kLongAgo = INT64_MIN / 2;
  std::atomic<std::int64_t> failed_at_ns_{kLongAgo};
  std::atomic<bool> full_{false};
  std::atomic<std::uint64_t> used_{0};
  std::atomic<std::uint64_t> beats_{0};
  log::Throttle open_throttle_{std::chrono::seconds(10)};
  log::Throttle full_throttle_{std::chrono::seconds(10)};
};

class DbObserver final : public db::Observer {
 public:
  DbObserver(metrics::DbMetrics& metrics, const tracker::Clock& clock) : metrics_(metrics), clock_(clock) {}

  void statement_ended(const db::StatementEnd& end) noexcept override;
  void connections_changed(const db::ConnectionCounts& counts) noexcept override;
  void connect_failed(tracker::Errc why, std::string_view message) noexcept override;
  void connected() noexcept override;

 private:
  metrics::DbMetrics& metrics_;
  const tracker::Clock& clock_;
  bool up_ = false;
  log::Throttle connect_throttle_{std::chrono::seconds(10)};
  log::Throttle statement_throttle_{std::chrono::seconds(5)};
};

}  // namespace tally::daemon
