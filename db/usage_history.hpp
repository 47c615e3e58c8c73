#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "db/pg_store.hpp"

namespace tally::db {

enum class HistoryStep : std::uint8_t { day, week, month };

/// What the closed periods that began within one day, week (from Monday) or month of UTC add up to. Discarded ones are
/// left out.
struct HistoryEntry {
  std::int64_t start_us = 0;
  std::int64_t end_us = 0;
  std::int64_t periods = 0;
  std::string allowed;  ///< decimal text
  std::string denied;
  std::int64_t unique_workspaces = 0;
  std::int64_t unique_users = 0;
  bool exact = true;  ///< false: the unique figures are estimates, `tracker::Sketch::kRelativeError`
};

/// Closed periods added up: unique ids are counted while the ids are retained, and estimated from the reports' sketches
/// beyond. May be called from any executor.
class UsageHistory {
 public:
  explicit UsageHistory(Pool& pool, StoreTimeouts timeouts = {}) : pool_(pool), timeouts_(timeouts) {}

  template <class T>
  using Async = boost::asio::awaitable<tracker::Result<T>>;

  /// Of the periods that began in [from, to), oldest first; steps without a period are left out.
  Async<std::vector<HistoryEntry>> read(std::int64_t from_us, std::int64_t to_us, HistoryStep step);
  /// Removes the ids of one period that ended longer ago than `retention`, after its sketches were made of them. False:
  /// there is none.
  Async<bool> retire_ids(std::chrono::seconds retention);

 private:
  Pool& pool_;
  StoreTimeouts timeouts_;
};

}  // namespace tally::db
