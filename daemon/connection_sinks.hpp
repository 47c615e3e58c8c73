#pragma once
#include <memory>
#include <vector>

#include "daemon/config.hpp"
#include "tracker/connection.hpp"

namespace tally::daemon {

/// Somewhere that accepted connection events are told of, beside the database. A sink must neither block nor fail
/// whoever tells it: what it cannot take, it drops and counts. Called on http threads, several at a time.
class ConnectionSink {
 public:
  virtual ~ConnectionSink() = default;
  virtual void take(const tracker::ConnectionEvent& event) noexcept = 0;
};

/// One line `connection_log` of the structured log for each event, whatever the log's level. The lines have a queue of
/// their own, which counts what gives way: `tallyd_log_lines_dropped_total{queue="connection_log"}`.
class LogConnectionSink final : public ConnectionSink {
 public:
  void take(const tracker::ConnectionEvent& event) noexcept override;
};

/// Where accepted connection events go. The database is reached through the journal, so it is not one of `others`.
struct ConnectionSinks {
  bool database = true;
  std::vector<std::unique_ptr<ConnectionSink>> others;
};
ConnectionSinks make_connection_sinks(const ConnectionLogSinks& chosen);

}  // namespace tally::daemon
