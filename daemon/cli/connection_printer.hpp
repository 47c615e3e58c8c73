#pragma once
#include <cstddef>
#include <vector>

#include "db/connection_log.hpp"

namespace tally::daemon::cli {

enum class ConnectionForm { table, json, csv };

/// Entries of the connection log on standard output, as they come. A page in memory at most.
class ConnectionPrinter {
 public:
  /// `open_ended`: lines for ever, so neither columns nor brackets can be closed.
  ConnectionPrinter(ConnectionForm form, bool open_ended);
  void page(const std::vector<db::ConnectionShown>& entries);
  void one(const db::ConnectionShown& entry);
  void end();

 private:
  ConnectionForm form_;
  bool open_ended_;
  bool first_ = true;
  std::size_t pages_ = 0;
};

}  // namespace tally::daemon::cli
