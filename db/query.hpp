#pragma once
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "tracker/errors.hpp"

namespace tally::db {

/// One SQL text with a name, which labels metrics.
struct Query {
  std::string_view name;
  std::string_view sql;  ///< outlives the call; every name in it is qualified with `tallyd.`
  /// A read, or a write that is the same done twice: may be sent again after a lost connection.
  bool repeatable = false;
};

/// How one statement ended.
struct StatementEnd {
  std::string_view query;
  std::chrono::nanoseconds took{};
  std::optional<tracker::Errc> error;
  std::string_view sqlstate;  ///< empty: no answer from the server
  std::string_view message;   ///< of the server or libpq; never holds parameter values that we sent as secrets
};

struct ConnectionCounts {
  std::size_t connecting = 0;
  std::size_t idle = 0;
  std::size_t busy = 0;
  std::size_t waiting = 0;  ///< callers without a connection
};

/// What metrics and logs want to know. Called on the pool's executor; must not block.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void statement_ended(const StatementEnd&) noexcept {}
  virtual void connections_changed(const ConnectionCounts&) noexcept {}
  virtual void connect_failed(tracker::Errc, std::string_view /*message*/) noexcept {}
  virtual void connected() noexcept {}
  virtual void notice(std::string_view /*message*/) noexcept {}
};

}  // namespace tally::db
