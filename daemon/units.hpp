#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tally::daemon {

/// `250ms`, `1s`, `30m`, `24h`, `35d`, or a plain `0`. Nothing for anything else, also for what no timer can hold.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
/// In the largest unit that divides it; one day is `24h`.
std::string duration_text(std::chrono::milliseconds duration);

/// `512KiB`, `16MiB`, `1GiB`, or a plain number of bytes.
std::optional<std::uint64_t> parse_size(std::string_view text);
std::string size_text(std::uint64_t bytes);

}  // namespace tally::daemon
