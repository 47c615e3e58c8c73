#include "daemon/units.hpp"

#include <charconv>
#include <limits>

namespace tally::daemon {
namespace {

struct Number {
  std::uint64_t value = 0;
  std::string_view unit;
};

std::optional<Number> split_number(std::string_view text) {
  Number number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number.value);
  if (error != std::errc{}) return std::nullopt;
  number.unit = text.substr(static_cast<std::size_t>(end - text.data()));
  return number;
}

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr Unit kDurationUnits[] = {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}};
constexpr Unit kSizeUnits[] = {{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}};

constexpr std::uint64_t kDay = 86'400'000;  // said as 24h

// A hundred years: more is a slip, and steady_clock's nanoseconds end at 292.
constexpr std::uint64_t kLongestMs = 36'525ULL * 86'400'000;

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto number = split_number(text);
  if (!number) return std::nullopt;
  if (number->unit.empty()) return number->value == 0 ? std::optional(std::chrono::milliseconds(0)) : std::nullopt;
  for (const Unit& unit : kDurationUnits)
    if (unit.name == number->unit) {
      if (number->value > kLongestMs / unit.factor) return std::nullopt;
      return std::chrono::milliseconds(number->value * unit.factor);
    }
  return std::nullopt;
}

std::string duration_text(std::chrono::milliseconds duration) {
  const auto ms = static_cast<std::uint64_t>(duration.count());
  if (ms == 0) return "0";
  for (const Unit& unit : kDurationUnits)
    if (ms % unit.factor == 0 && (unit.factor != kDay || ms != kDay))
      return std::to_string(ms / unit.factor).append(unit.name);
  return std::to_string(ms) + "ms";
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto number = split_number(text);
  if (!number) return std::nullopt;
  if (number->unit.empty()) return number->value;
  for (const Unit& unit : kSizeUnits)
    if (unit.name == number->unit) {
      if (number->value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / unit.factor)
        return std::nullopt;
      return number->value * unit.factor;
    }
  return std::nullopt;
}

std::string size_text(std::uint64_t bytes) {
  for (const Unit& unit : kSizeUnits)
    if (bytes != 0 && bytes % unit.factor == 0) return std::to_string(bytes / unit.factor).append(unit.name);
  return std::to_string(bytes);
}

}  // namespace tally::daemon
