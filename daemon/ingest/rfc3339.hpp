#pragma once
#include <chrono>
#include <optional>
#include <string_view>

namespace tally::ingest {

/// RFC 3339 date-time with its offset, checked against the calendar. Digits beyond microseconds are cut. Second 60 is
/// taken where leap seconds can be (23:59 UTC) and means the first instant of the next minute. No space in place of the
/// "T".
std::optional<std::chrono::sys_time<std::chrono::microseconds>> parse_rfc3339(std::string_view text) noexcept;

/// Where the time that starts at `at` ends, or null if none does.
const char* skip_rfc3339(const char* at, const char* end) noexcept;

}  // namespace tally::ingest
