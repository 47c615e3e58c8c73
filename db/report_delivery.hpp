#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "db/pg_store.hpp"

namespace tally::db {

/// A report that is leased to be delivered. The attempt's number fences: a holder whose lease ran out cannot undo what
/// came after it.
struct LeasedReport {
  tracker::PeriodId period = 0;
  std::int64_t attempt = 0;  ///< from 1
};

/// What of the reports was not accepted yet.
struct UndeliveredReports {
  std::int64_t count = 0;
  double oldest_age_seconds = 0;                 ///< since its period ended
  std::optional<std::int64_t> failing_since_us;  ///< first failed attempt of any of them
  std::string last_error;                        ///< of the one that has failed the longest
};

/// Which closed periods `--report-url` has accepted (accounting.md C4). The lease stands in the report's row, so that
/// any replica delivers and one that dies anywhere loses nothing. May be called from any executor.
class ReportDelivery {
 public:
  explicit ReportDelivery(Pool& pool, StoreTimeouts timeouts = {}) : pool_(pool), timeouts_(timeouts) {}

  template <class T>
  using Async = boost::asio::awaitable<tracker::Result<T>>;

  /// The oldest summed report that is due and not leased; nothing: none is.
  Async<std::optional<LeasedReport>> lease(std::string holder, std::chrono::milliseconds lease);
  /// The sink accepted it, whoever holds the lease now. False: that was known already.
  Async<bool> delivered(tracker::PeriodId period);
  /// The attempt failed; the next one comes after `wait`. Changes nothing if the lease went to another.
  Async<void> failed(LeasedReport leased, std::string holder, std::chrono::milliseconds wait, std::string error);
  /// Given back unsent: as if it had not been leased.
  Async<void> give_back(LeasedReport leased, std::string holder);
  Async<UndeliveredReports> undelivered();

 private:
  Pool& pool_;
  StoreTimeouts timeouts_;
};

}  // namespace tally::db
