#include "daemon/ingest/rfc3339.hpp"

namespace tally::ingest {
namespace {

/// Takes fixed pieces off the front of a text; `ok` stays false after the first one that is not there.
struct Pieces {
  std::string_view text;
  bool ok = true;

  int number(std::size_t digits) {
    int value = 0;
    if (text.size() < digits) return fail();
    for (std::size_t i = 0; i < digits; ++i) {
      if (!is_digit(text[i])) return fail();
      value = value * 10 + (text[i] - '0');
    }
    text.remove_prefix(digits);
    return value;
  }
  char one_of(std::string_view wanted) {
    if (text.empty() || wanted.find(text.front()) == std::string_view::npos) return static_cast<char>(fail());
    const char found = text.front();
    text.remove_prefix(1);
    return found;
  }
  std::chrono::microseconds fraction() {
    if (text.empty() || text.front() != '.') return {};
    text.remove_prefix(1);
    if (text.empty() || !is_digit(text.front())) fail();
    int value = 0;
    for (int worth = 100'000; !text.empty() && is_digit(text.front()); worth /= 10) {
      value += (text.front() - '0') * worth;
      text.remove_prefix(1);
    }
    return std::chrono::microseconds(value);
  }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  int fail() {
    ok = false;
    return 0;
  }
};

std::chrono::minutes offset(Pieces& pieces) {
  const char sign = pieces.one_of("Zz+-");
  if (sign != '+' && sign != '-') return {};
  const int hours = pieces.number(2);
  pieces.one_of(":");
  const int minutes = pieces.number(2);
  if (hours > 23 || minutes > 59) pieces.ok = false;
  const std::chrono::minutes size(hours * 60 + minutes);
  return sign == '+' ? size : -size;
}

}  // namespace

std::optional<std::chrono::sys_time<std::chrono::microseconds>> parse_rfc3339(std::string_view text) noexcept {
  using namespace std::chrono;
  Pieces pieces{text};
  const int y = pieces.number(4);
  pieces.one_of("-");
  const int m = pieces.number(2);
  pieces.one_of("-");
  const int d = pieces.number(2);
  pieces.one_of("Tt");
  const int hour_number = pieces.number(2);
  pieces.one_of(":");
  const int minute_number = pieces.number(2);
  pieces.one_of(":");
  const int second_number = pieces.number(2);
  const microseconds part = pieces.fraction();
  const minutes ahead_of_utc = offset(pieces);
  if (!pieces.ok || !pieces.text.empty()) return std::nullopt;

  const year_month_day date{year(y), month(static_cast<unsigned>(m)), day(static_cast<unsigned>(d))};
  if (!date.ok() || hour_number > 23 || minute_number > 59 || second_number > 60) return std::nullopt;
  const sys_time<microseconds> minute_start =
      sys_days(date) + hours(hour_number) + minutes(minute_number) - ahead_of_utc;
  if (second_number < 60) return minute_start + seconds(second_number) + part;
  const bool last_of_day = minute_start + minutes(1) == floor<days>(minute_start + minutes(1));
  if (!last_of_day) return std::nullopt;
  return minute_start + minutes(1);
}

}  // namespace tally::ingest
