#include "daemon/ingest/detail/usage_event.hpp"

#include <algorithm>

namespace tally::ingest::detail {
namespace {

enum Member : std::size_t { id, event_type, event_data, created_at };
constexpr std::string_view kMembers[] = {"id", "event_type", "event_data", "created_at"};
constexpr Member kRequired[] = {id, event_type, event_data};

constexpr std::size_t kIdLimitCharacters = 255;
constexpr std::size_t kDataLimitBytes = 64 * 1024;

/// Types whose data is a count of something. `dc_` is told once for each thing that happened, `hb_` again and again, by
/// every replica under the same id.
struct KnownType {
  std::string_view name;
  std::uint64_t least;  ///< of `count`
};
constexpr KnownType kKnownTypes[] = {{"dc_managed_agents_v1", 1}, {"hb_ai_seats_v1", 0}};

void take_id(JsonReader& reader, const Place& place, Findings& findings, std::string& out) {
  if (reader.peek() != JsonKind::string) {
    if (!reader.failed()) findings.invalid(place, "not a string");
    return reader.skip();
  }
  const std::string_view text = reader.string();
  if (reader.failed()) return;
  const auto characters =
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  const bool controls = std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; });
  if (text.empty() || static_cast<std::size_t>(characters) > kIdLimitCharacters)
    findings.invalid(place, "not 1 to 255 characters");
  else if (controls)
    findings.invalid(place, "holds a control character");
  else
    out = text;
}

void take_type(JsonReader& reader, const Place& place, Findings& findings, std::string& out) {
  std::string_view text;
  if (!take_text(reader, place, findings, text)) return;
  if (is_usage_type(text))
    out = text;
  else
    findings.invalid(place, "not a name of a-z, 0-9 and _ that ends in _v and a number, at most 64 characters");
}

/// Kept as it was written.
void take_data(JsonReader& reader, const Place& place, Findings& findings, std::string& out) {
  const JsonKind kind = reader.peek();
  const char* const begin = reader.position();
  reader.skip();
  if (reader.failed()) return;
  const auto size = static_cast<std::size_t>(reader.position() - begin);
  if (kind != JsonKind::object)
    findings.invalid(place, "not an object");
  else if (size > kDataLimitBytes)
    findings.invalid(place, "longer than 64 KiB");
  else
    out.assign(begin, size);
}

void check_count(std::string_view data, const Place& place, Findings& findings, std::uint64_t least) {
  constexpr std::string_view kCount[] = {"count"};
  JsonReader reader(data, data.data());
  std::uint64_t count = 0;
  bool good = false;
  const auto seen = take_members(reader, place, findings, kCount, [&](std::size_t, const Place& inside) {
    good = take_count(reader, inside, findings, count);
  });
  if (!seen) return;
  if (*seen == 0)
    findings.invalid(place.at("count"), "missing");
  else if (good && count < least)
    findings.invalid(place.at("count"), "must be at least 1");
}

void put_text(std::string& out, std::string_view text) {
  out += std::to_string(text.size());
  out += ':';
  out += text;
}

}  // namespace

bool is_usage_type(std::string_view text) {
  const auto version = text.rfind("_v");
  if (version == text.npos || version == 0 || text.size() > 64) return false;
  const auto number = text.substr(version + 2);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !number.empty() && std::all_of(number.begin(), number.end(), digit) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return (c >= 'a' && c <= 'z') || digit(c) || c == '_'; });
}

void UsageSchema::read(JsonReader& reader, const Place& place, Findings& findings, Event& out) {
  out = {};
  const auto seen = take_members(reader, place, findings, kMembers, [&](std::size_t member, const Place& inside) {
    switch (static_cast<Member>(member)) {
      case id:
        take_id(reader, inside, findings, out.id);
        break;
      case event_type:
        take_type(reader, inside, findings, out.type);
        break;
      case event_data:
        take_data(reader, inside, findings, out.data);
        break;
      case created_at:
        if (!take_null(reader)) take_time(reader, inside, findings, out.created_us.emplace());
        break;
    }
  });
  if (!seen) return;
  for (const Member member : kRequired)
    if ((*seen >> member & 1) == 0) findings.invalid(place.at(kMembers[member]), "missing");
  for (const KnownType& known : kKnownTypes) {
    if (known.name != out.type) continue;
    out.known = true;
    if (!out.data.empty()) check_count(out.data, place.at(kMembers[event_data]), findings, known.least);
  }
}

void UsageSchema::append_canonical(const Event& event, std::string& out) {
  put_text(out, event.id);
  put_text(out, event.type);
  put_text(out, event.data);
}

}  // namespace tally::ingest::detail
