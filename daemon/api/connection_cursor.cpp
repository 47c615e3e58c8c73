#include "daemon/api/connection_cursor.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <vector>

namespace tally::daemon::api {
namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::size_t kTimeBytes = 8;
constexpr std::size_t kPlaceBytes = kTimeBytes + 16;
constexpr std::size_t kLongestNumber = 9;  // 63 bits, seven to a byte
constexpr std::size_t kMostBytes = kLongestCursor / 4 * 3;

std::string to_base64url(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  std::uint32_t bits = 0;
  int waiting = 0;
  for (const char byte : bytes) {
    bits = bits << 8 | static_cast<std::uint8_t>(byte);
    for (waiting += 8; waiting >= 6; waiting -= 6) text += kDigits[(bits >> (waiting - 6)) & 63];
  }
  if (waiting > 0) text += kDigits[(bits << (6 - waiting)) & 63];
  return text;
}

std::optional<std::string> from_base64url(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int waiting = 0;
  for (const char digit : text) {
    const std::size_t value = kDigits.find(digit);
    if (value == kDigits.npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    waiting += 6;
    if (waiting < 8) continue;
    waiting -= 8;
    bytes += static_cast<char>((bits >> waiting) & 255);
  }
  // Every cursor has one spelling.
  if (waiting >= 6 || (bits & ((1u << waiting) - 1)) != 0) return std::nullopt;
  return bytes;
}

void append_number(std::string& out, std::uint64_t number) {
  for (; number >= 128; number >>= 7) out += static_cast<char>((number & 127) | 128);
  out += static_cast<char>(number);
}

std::optional<std::uint64_t> take_number(std::string_view& bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < kLongestNumber && i < bytes.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    number |= std::uint64_t{byte & 127u} << 7 * i;
    if ((byte & 128) != 0) continue;
    if (byte == 0 && i > 0) return std::nullopt;
    bytes.remove_prefix(i + 1);
    return number;
  }
  return std::nullopt;
}

/// The numbers of `xmin:xmax:xip,...`.
std::vector<std::uint64_t> numbers_of(std::string_view snapshot) {
  std::vector<std::uint64_t> numbers;
  while (!snapshot.empty()) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(snapshot.data(), snapshot.data() + snapshot.size(), number);
    if (error != std::errc{}) break;
    numbers.push_back(number);
    const auto taken = static_cast<std::size_t>(end - snapshot.data());
    snapshot.remove_prefix(std::min(taken + 1, snapshot.size()));
  }
  numbers.resize(std::max<std::size_t>(numbers.size(), 2));
  return numbers;
}

void append_snapshot(std::string& out, std::string_view snapshot) {
  const std::vector<std::uint64_t> numbers = numbers_of(snapshot);
  const std::size_t room = kMostBytes - out.size() - 2 * kLongestNumber;
  std::uint64_t before = numbers[0];
  std::uint64_t end = numbers[1];
  std::string running;
  for (std::size_t i = 2; i < numbers.size(); ++i) {
    if (running.size() + kLongestNumber > room) {
      end = numbers[i];
      break;
    }
    append_number(running, numbers[i] - before);
    before = numbers[i];
  }
  append_number(out, numbers[0]);
  append_number(out, end - numbers[0]);
  out += running;
}

/// As PostgreSQL takes it for a pg_snapshot: it must not be able to refuse.
std::optional<std::string> take_snapshot(std::string_view bytes) {
  const auto first = take_number(bytes);
  const auto span = take_number(bytes);
  if (!first || !span || *first == 0 || *first > INT64_MAX || *span > INT64_MAX - *first) return std::nullopt;
  std::string spelt = std::to_string(*first) + ':' + std::to_string(*first + *span) + ':';
  std::uint64_t id = *first;
  for (bool begun = false; !bytes.empty(); begun = true) {
    const auto step = take_number(bytes);
    if (!step || (begun && *step == 0) || *step >= *first + *span - id) return std::nullopt;
    id += *step;
    if (begun) spelt += ',';
    spelt += std::to_string(id);
  }
  return spelt;
}

/// Entries are of the years 1 to 9999; far outside of them the database has no times.
bool can_be_a_time(std::int64_t us) {
  using namespace std::chrono;
  constexpr sys_time<microseconds> kFirst = sys_days(January / 1 / 1), kPast = sys_days(January / 1 / 10000);
  return us >= kFirst.time_since_epoch().count() && us < kPast.time_since_epoch().count();
}

}  // namespace

std::string to_cursor(const db::ConnectionCursor& cursor) {
  std::string bytes;
  const auto time = static_cast<std::uint64_t>(cursor.place.at_us);
  for (std::size_t i = kTimeBytes; i-- > 0;) bytes += static_cast<char>((time >> 8 * i) & 255);
  bytes.append(reinterpret_cast<const char*>(cursor.place.entry.bytes.data()), cursor.place.entry.bytes.size());
  append_snapshot(bytes, cursor.snapshot);
  return to_base64url(bytes);
}

std::optional<db::ConnectionCursor> read_cursor(std::string_view text) {
  if (text.size() > kLongestCursor) return std::nullopt;
  const auto bytes = from_base64url(text);
  if (!bytes || bytes->size() < kPlaceBytes) return std::nullopt;
  std::uint64_t time = 0;
  for (std::size_t i = 0; i < kTimeBytes; ++i) time = time << 8 | static_cast<std::uint8_t>((*bytes)[i]);
  db::ConnectionCursor cursor;
  cursor.place.at_us = static_cast<std::int64_t>(time);
  if (!can_be_a_time(cursor.place.at_us)) return std::nullopt;
  std::memcpy(cursor.place.entry.bytes.data(), bytes->data() + kTimeBytes, cursor.place.entry.bytes.size());
  auto snapshot = take_snapshot(std::string_view(*bytes).substr(kPlaceBytes));
  if (!snapshot) return std::nullopt;
  cursor.snapshot = std::move(*snapshot);
  return cursor;
}

}  // namespace tally::daemon::api
