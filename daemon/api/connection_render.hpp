#pragma once
#include <string>

#include "db/connection_log.hpp"

namespace tally::daemon::api {

/// One entry as a JSON object (http-api.md, GET /connection-log).
void append_json(std::string& out, const db::ConnectionShown& entry);

/// How it ended, as far as it did: of a session the disconnect, or that it is taken for lost.
struct ConnectionEnding {
  std::optional<std::int64_t> at_us;
  std::optional<std::string> reason;
  std::optional<std::int64_t> code;
};
ConnectionEnding ending(const db::ConnectionShown& entry);
/// `ongoing`, `completed`, or empty for a point in time.
std::string_view status_word(const db::ConnectionShown& entry);

}  // namespace tally::daemon::api
