#pragma once
#include <chrono>
#include <optional>
#include <string_view>

#include "tracker/clock.hpp"

namespace tally::daemon::client {

/// `Sun, 06 Nov 1994 08:49:37 GMT`; nothing for anything else.
std::optional<tracker::WallTime> parse_http_date(std::string_view text);

/// How long a Retry-After asks to wait: seconds, or an HTTP date, which is compared with the answer's own `date` header
/// where there is one, since the clocks may differ. Never negative, at most `longest`; nothing where it cannot be read.
std::optional<std::chrono::milliseconds> retry_after(std::string_view value, std::string_view date,
                                                     tracker::WallTime now, std::chrono::milliseconds longest);

}  // namespace tally::daemon::client
