#pragma once
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "db/pg_store.hpp"

namespace tally::db {

/// The numbers are the column's.
enum class UsageStatus : std::int16_t { pending = 0, sending = 1, published = 2, rejected = 3, expired = 4, held = 5 };
inline constexpr std::size_t kUsageStatuses = 6;
std::string_view to_string(UsageStatus status);
/// Nothing: no such status.
std::optional<UsageStatus> usage_status(std::string_view text);

struct UsageEventRow {
  std::string id;
  std::string event_type;
  std::string event_data;  ///< JSON
  std::int64_t created_at_us = 0;
  UsageStatus status = UsageStatus::pending;
  std::int64_t attempts = 0;
  std::optional<std::string> failure_message;
  std::optional<std::int64_t> published_at_us;
  std::int64_t number = 0;  ///< order of arrival
};

struct UsageFilter {
  std::optional<UsageStatus> status;
  std::optional<std::int64_t> before;  ///< a number
  std::int64_t limit = 100;
};

struct UsagePage {
  std::vector<UsageEventRow> events;
  bool more = false;  ///< older ones follow
};

/// What became of one leased event.
struct UsageOutcome {
  enum class Kind : std::int32_t {
    published = 0,
    rejected = 1,  ///< for good
    again = 2,     ///< known not to have been taken; sent again after `wait`
    unknown = 3,   ///< may have been taken; the same, but not past the collector's dedup window
    refused = 4,   ///< not taken this time; if it was unknown before this attempt, it still is
  };
  std::string id;
  std::int64_t attempt = 0;
  Kind kind = Kind::again;
  std::string message;
  std::chrono::milliseconds wait{};
};

struct UsageCounts {
  std::int64_t pending = 0;       ///< sending too
  bool some_sent_before = false;  ///< some of them have been sent
  std::int64_t rejected = 0;
  std::int64_t rejected_today = 0;  ///< in the last 24 h
  std::int64_t expired = 0;
  std::int64_t held = 0;
  double oldest_pending_seconds = 0;             ///< since it was received
  std::optional<std::int64_t> failing_since_us;  ///< first failure of any that still waits
  std::string last_error;                        ///< of the one that has failed the longest
};

/// How many came to rest without being published.
struct UsageSwept {
  std::int64_t expired = 0;
  std::int64_t held = 0;
};

/// The outbox of usage events (accounting.md section 11). May be called from any executor.
class UsageEvents {
 public:
  explicit UsageEvents(Pool& pool, StoreTimeouts timeouts = {}) : pool_(pool), timeouts_(timeouts) {}

  template <class T>
  using Async = boost::asio::awaitable<tracker::Result<T>>;

  /// Newest first; fewer than the limit if their data is large.
  Async<UsagePage> list(UsageFilter filter);

  struct Lease {
    std::string holder;
    std::chrono::milliseconds lasts{};
    std::int64_t most = 100;
    bool only_again = false;  ///< only what has been sent before
    /// What is older, or has been unknown for longer, is left to `sweep`.
    std::chrono::seconds window{std::chrono::hours(24 * 365 * 100)};
  };
  /// The oldest that are due, each leased to one holder at a time.
  Async<std::vector<UsageEventRow>> lease(Lease lease);
  /// `published` holds whoever has the lease now; the others only if it is still this attempt's. Answers how many
  /// changed.
  Async<std::int64_t> settle(std::vector<UsageOutcome> outcomes);
  /// What has waited longer than `window` without ever being sent is expired; what was sent and has been unknown for so
  /// long is held. At most `kSweptAtOnce`.
  static constexpr std::int64_t kSweptAtOnce = 1'000;
  Async<UsageSwept> sweep(std::chrono::seconds window);
  Async<UsageCounts> counts();

  /// Rejected, expired or held ones are pending again, on record; with no ids, all that have `status`. Answers how
  /// many.
  Async<std::int64_t> requeue(std::vector<std::string> ids, std::optional<UsageStatus> status, std::string actor);
  /// One chunk of finished ones (published, rejected, expired) past their retention; answers how many went.
  Async<std::int64_t> expire(std::chrono::seconds retention, std::int64_t chunk = 1'000);

 private:
  Pool& pool_;
  StoreTimeouts timeouts_;
};

}  // namespace tally::db
