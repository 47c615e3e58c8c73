#include "daemon/ingest/detail/values.hpp"

#include <algorithm>

#include "daemon/ingest/rfc3339.hpp"

namespace tally::ingest::detail {
namespace {

bool is_kind(JsonReader& reader, JsonKind wanted, const char* otherwise, const Place& place, Findings& findings) {
  const JsonKind kind = reader.peek();
  if (kind == wanted) return true;
  if (kind != JsonKind::none) {
    findings.invalid(place, otherwise);
    reader.skip();
  }
  return false;
}

const char* read_count(std::string_view text, std::uint64_t& out) {
  if (text.front() == '-') return "negative";
  if (!std::all_of(text.begin(), text.end(), is_digit)) return "not an integer written with digits only";
  out = 0;
  for (const char digit : text) {
    out = out * 10 + static_cast<std::uint64_t>(digit - '0');
    if (out > tracker::kLargestCount) return "above 9007199254740991";
  }
  return nullptr;
}

}  // namespace

bool take_object(JsonReader& reader, const Place& place, Findings& findings) {
  if (!is_kind(reader, JsonKind::object, "not an object", place, findings)) return false;
  reader.enter_object();
  return true;
}

bool take_array(JsonReader& reader, const Place& place, Findings& findings) {
  if (!is_kind(reader, JsonKind::array, "not an array", place, findings)) return false;
  reader.enter_array();
  return true;
}

bool take_text(JsonReader& reader, const Place& place, Findings& findings, std::string_view& out) {
  if (!is_kind(reader, JsonKind::string, "not a string", place, findings)) return false;
  out = reader.string();
  if (reader.failed()) return false;
  if (out.size() <= kTextLimitBytes) return true;
  findings.invalid(place, "longer than 256 bytes");
  return false;
}

bool take_cut_text(JsonReader& reader, const Place& place, Findings& findings, std::size_t limit_bytes,
                   std::string& out) {
  if (!is_kind(reader, JsonKind::string, "not a string", place, findings)) return false;
  std::string_view text = reader.string();
  if (reader.failed()) return false;
  if (text.find('\0') != text.npos) {
    findings.invalid(place, "holds a NUL");
    return false;
  }
  if (text.size() > limit_bytes) {
    std::size_t end = limit_bytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text = text.substr(0, end);
  }
  out = text;
  return true;
}

bool take_name(JsonReader& reader, const Place& place, Findings& findings, std::string& out) {
  std::string_view text;
  if (!take_text(reader, place, findings, text)) return false;
  if (text.find('\0') != text.npos) {
    findings.invalid(place, "holds a NUL");
    return false;
  }
  out = text;
  return true;
}

bool take_any_text(JsonReader& reader, const Place& place, Findings& findings) {
  if (!is_kind(reader, JsonKind::string, "not a string", place, findings)) return false;
  reader.skip();
  return !reader.failed();
}

bool take_uuid(JsonReader& reader, const Place& place, Findings& findings, tracker::Uuid& out) {
  std::string_view text;
  if (!take_text(reader, place, findings, text)) return false;
  if (const auto uuid = tracker::Uuid::parse(text)) {
    out = *uuid;
    return true;
  }
  findings.invalid(place, "not a UUID");
  return false;
}

bool take_count(JsonReader& reader, const Place& place, Findings& findings, std::uint64_t& out) {
  if (!is_kind(reader, JsonKind::number, "not a number", place, findings)) return false;
  const std::string_view text = reader.number();
  if (reader.failed()) return false;
  if (const char* why = read_count(text, out)) {
    findings.invalid(place, why);
    return false;
  }
  return true;
}

bool take_integer(JsonReader& reader, const Place& place, Findings& findings, std::int64_t& out) {
  if (!is_kind(reader, JsonKind::number, "not a number", place, findings)) return false;
  std::string_view text = reader.number();
  if (reader.failed()) return false;
  const bool negative = text.front() == '-';
  if (negative) text.remove_prefix(1);
  std::uint64_t magnitude = 0;
  if (const char* why = read_count(text, magnitude)) {
    findings.invalid(place, negative && magnitude > 0 ? "below -9007199254740991" : why);
    return false;
  }
  out = negative ? -static_cast<std::int64_t>(magnitude) : static_cast<std::int64_t>(magnitude);
  return true;
}

bool take_boolean(JsonReader& reader, const Place& place, Findings& findings, bool& out) {
  if (!is_kind(reader, JsonKind::boolean, "not true or false", place, findings)) return false;
  out = reader.boolean();
  return !reader.failed();
}

bool take_time(JsonReader& reader, const Place& place, Findings& findings) {
  std::string_view text;
  if (!take_text(reader, place, findings, text)) return false;
  if (parse_rfc3339(text)) return true;
  findings.invalid(place, "not an RFC 3339 time");
  return false;
}

bool take_time(JsonReader& reader, const Place& place, Findings& findings, std::int64_t& out_us) {
  using namespace std::chrono;
  constexpr sys_time<microseconds> kFirst = sys_days(January / 1 / 1), kPast = sys_days(January / 1 / 10000);
  std::string_view text;
  if (!take_text(reader, place, findings, text)) return false;
  const auto time = parse_rfc3339(text);
  if (!time || *time < kFirst || *time >= kPast) {
    findings.invalid(place, time ? "not in the years 1 to 9999" : "not an RFC 3339 time");
    return false;
  }
  out_us = time->time_since_epoch().count();
  return true;
}

bool take_null(JsonReader& reader) {
  if (reader.peek() != JsonKind::null) return false;
  reader.skip();
  return true;
}

}  // namespace tally::ingest::detail
