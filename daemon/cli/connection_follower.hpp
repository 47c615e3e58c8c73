#pragma once
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "daemon/cli/connection_printer.hpp"
#include "daemon/cli/database.hpp"
#include "db/connection_arrivals.hpp"
#include "db/connection_log.hpp"

namespace tally::daemon::cli {

/// Shows the newest entries that a filter finds, oldest of them first, and then what comes in and what becomes of it:
/// what arrives late too, wherever in the log that is, and the end of every session that was ongoing, also where only
/// ongoing ones are asked for. A line for each change, whatever a session's events have repeated.
///
/// Its memory is bounded: beyond 20,000 ongoing sessions it forgets the older half, and of 100,000 other entries.
class ConnectionFollower {
 public:
  ConnectionFollower(Database& database, db::ConnectionLog& log, db::ConnectionFilter filter,
                     ConnectionPrinter& printer);

  /// Begins with `limit` entries. Until nobody reads any more; a database that goes away is waited for, and told of.
  void run(std::int64_t limit);

 private:
  struct Known {
    std::size_t sign = 0;
    db::ConnectionPlace place;
    bool shown = false;
    bool ongoing = false;
  };
  struct EntryHash {
    std::size_t operator()(const tracker::Uuid& id) const { return id.low(); }
  };
  enum class Source { log, arrivals };

  void show_present(std::int64_t limit);
  void show_backwards(const db::ConnectionPage& page);
  void watch_ongoing();
  db::ConnectionPageRequest request(std::int64_t limit) const;

  void round();
  bool take_arrivals();
  bool take_newest();
  bool take_watched();
  bool take_watched(std::vector<tracker::Uuid> entries);
  bool read(db::ConnectionPageRequest request, Source source);
  void take(const db::ConnectionShown& entry, Source source);
  bool is_wanted(const db::ConnectionShown& entry) const;
  void show_taken();
  void forget_oldest(bool ongoing, std::size_t most);
  bool failed(const boost::system::error_code& error);

  Database& database_;
  db::ConnectionLog& log_;
  db::ConnectionArrivals arrivals_;
  db::ConnectionFilter filter_;  // without its status: what is ongoing now may be what is asked for later
  std::optional<db::ConnectionFilter::Status> status_;
  ConnectionPrinter& printer_;

  std::unordered_map<tracker::Uuid, Known, EntryHash> known_;
  std::deque<tracker::Uuid> to_ask_;           // of the ongoing ones, before it is begun with all of them again
  std::vector<db::ConnectionShown> taken_;     // to be shown, oldest first, at the end of the round
  std::optional<db::ConnectionPlace> oldest_;  // what is behind this has not been looked at
  std::optional<db::ConnectionMark> mark_;
  bool away_ = false;
};

}  // namespace tally::daemon::cli
