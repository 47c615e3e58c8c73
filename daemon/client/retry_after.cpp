#include "daemon/client/retry_after.hpp"

#include <algorithm>
#include <charconv>

namespace tally::daemon::client {
namespace {

using std::chrono::milliseconds;

std::optional<int> digits(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.front() == '-') return std::nullopt;
  return value;
}

}  // namespace

std::optional<tracker::WallTime> parse_http_date(std::string_view text) {
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT") return std::nullopt;
  const auto month_at = kMonths.find(text.substr(8, 3));
  const auto day = digits(text.substr(5, 2)), year = digits(text.substr(12, 4)), hour = digits(text.substr(17, 2)),
             minute = digits(text.substr(20, 2)), second = digits(text.substr(23, 2));
  if (month_at == kMonths.npos || month_at % 3 != 0 || !day || !year || !hour || !minute || !second)
    return std::nullopt;
  if (*hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(month_at / 3 + 1)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return tracker::WallTime(std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
                           std::chrono::seconds(*second));
}

std::optional<milliseconds> retry_after(std::string_view value, std::string_view date, tracker::WallTime now,
                                        milliseconds longest) {
  if (value.empty()) return std::nullopt;
  milliseconds wait{};
  if (value.find_first_not_of("0123456789") == value.npos) {
    const auto seconds = value.size() > 9 ? std::nullopt : digits(value);
    wait = seconds ? milliseconds(std::chrono::seconds(*seconds)) : longest;
  } else {
    const auto at = parse_http_date(value);
    if (!at) return std::nullopt;
    wait = *at - parse_http_date(date).value_or(now);
  }
  return std::clamp(wait, milliseconds(0), longest);
}

}  // namespace tally::daemon::client
