#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tally::daemon {

/// How long what has failed `attempts` times (from 1) waits for its next attempt: a jittered 0.2 s to 30 s that doubles
/// with each, or longer where the other side asked for it. `random` in [0, 1).
std::chrono::milliseconds retry_wait(std::int64_t attempts, double random,
                                     std::optional<std::chrono::milliseconds> asked_for = std::nullopt);

/// What a peer sent, as it may stand in a log line or a row: one line of printable ASCII, not long.
std::string excerpt(std::string_view text);

/// For those who need no token to ask: without the collector's words, hosts and files, which the log has.
inline std::string in_short(std::string_view error) {
  if (!error.starts_with("answered ")) return "no answer; the log says why";
  return std::string(error.substr(0, error.find(':')));
}

}  // namespace tally::daemon
