#include "daemon/ingest/rfc3339.hpp"

#include "daemon/ingest/detail/text_scan.hpp"

namespace tally::ingest {
namespace {

using Instant = std::chrono::sys_time<std::chrono::microseconds>;
using detail::is_digit;

constexpr std::string_view kLayout = "0000-00-00T00:00:00";

unsigned two_digits(const char* at) {
  return static_cast<unsigned>((at[0] - '0') * 10 + (at[1] - '0'));
}

bool has_layout_at(const char* at, std::size_t from, std::size_t to) {
  bool wrong = false;
  for (std::size_t i = from; i < to; ++i) wrong |= kLayout[i] == '0' ? !is_digit(at[i]) : at[i] != kLayout[i];
  return !wrong;
}

/// Digits and separators are where they belong, but for the "T".
bool has_layout(const char* at) {
#if defined(__SSE2__)
  constexpr int kDigits = 0b1101'1011'0110'1111, kSeparators = 0b0010'0000'1001'0000;
  const __m128i text = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  const __m128i layout = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kLayout.data()));
  const __m128i value = _mm_sub_epi8(text, _mm_set1_epi8('0'));
  const int digits = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(value, _mm_set1_epi8(9)), value));
  const int separators = _mm_movemask_epi8(_mm_cmpeq_epi8(text, layout));
  return (digits & kDigits) == kDigits && (separators & kSeparators) == kSeparators &&
         has_layout_at(at, 16, kLayout.size());
#else
  return has_layout_at(at, 0, 10) && has_layout_at(at, 11, kLayout.size());
#endif
}

/// A time as it is written, in range each by itself.
struct Written {
  std::chrono::year_month_day date;
  unsigned hour, minute, second;
  std::chrono::microseconds part{};
  std::chrono::minutes ahead_of_utc{};

  /// The first instant of its minute.
  Instant minute_start() const {
    return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) - ahead_of_utc;
  }
  bool is_leap_second() const {
    const Instant next = minute_start() + std::chrono::minutes(1);
    return second == 60 && next == std::chrono::floor<std::chrono::days>(next);
  }
};

/// "Z" or an offset such as "+01:00".
const char* read_offset(const char* at, const char* end, std::chrono::minutes& out) {
  if (at == end) return nullptr;
  if (*at == 'Z' || *at == 'z') return at + 1;
  if (end - at < 6 || (*at != '+' && *at != '-')) return nullptr;
  if (!is_digit(at[1]) || !is_digit(at[2]) || at[3] != ':' || !is_digit(at[4]) || !is_digit(at[5])) return nullptr;
  const unsigned hours = two_digits(at + 1), minutes = two_digits(at + 4);
  if (hours > 23 || minutes > 59) return nullptr;
  out = std::chrono::minutes(hours * 60 + minutes);
  if (*at == '-') out = -out;
  return at + 6;
}

const char* read_fraction(const char* at, const char* end, std::chrono::microseconds& out) {
  if (at == end || *at != '.') return at;
  if (++at == end || !is_digit(*at)) return nullptr;
  int value = 0;
  for (int worth = 100'000; at < end && is_digit(*at); ++at, worth /= 10) value += (*at - '0') * worth;
  out = std::chrono::microseconds(value);
  return at;
}

const char* read(const char* at, const char* end, Written& out) {
  using namespace std::chrono;
  if (end - at < static_cast<std::ptrdiff_t>(kLayout.size()) || !has_layout(at) || (at[10] | 0x20) != 't')
    return nullptr;
  const unsigned year_number = two_digits(at) * 100 + two_digits(at + 2);
  out.date = {year(static_cast<int>(year_number)), month(two_digits(at + 5)), day(two_digits(at + 8))};
  out.hour = two_digits(at + 11);
  out.minute = two_digits(at + 14);
  out.second = two_digits(at + 17);
  if (!out.date.ok() || out.hour > 23 || out.minute > 59) return nullptr;
  at = read_fraction(at + kLayout.size(), end, out.part);
  if (at == nullptr || (at = read_offset(at, end, out.ahead_of_utc)) == nullptr) return nullptr;
  return out.second < 60 || out.is_leap_second() ? at : nullptr;
}

}  // namespace

std::optional<Instant> parse_rfc3339(std::string_view text) noexcept {
  Written written;
  const char* const end = text.data() + text.size();
  if (text.empty() || read(text.data(), end, written) != end) return std::nullopt;
  if (written.second == 60) return written.minute_start() + std::chrono::minutes(1);
  return written.minute_start() + std::chrono::seconds(written.second) + written.part;
}

const char* skip_rfc3339(const char* at, const char* end) noexcept {
  Written written;
  return read(at, end, written);
}

}  // namespace tally::ingest
