#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "daemon/ingest/detail/findings.hpp"
#include "daemon/ingest/detail/json_reader.hpp"

/// The values that events are made of. Each function takes the value that starts here or passes over it; false means
/// that it was not such a value, which has then been told to `findings`, or that the reader has failed.
namespace tally::ingest::detail {

/// Opens an object; tells if it is something else.
bool take_object(JsonReader& reader, const Place& place, Findings& findings);
bool take_array(JsonReader& reader, const Place& place, Findings& findings);
/// At most `kTextLimitBytes`. Valid until the reader is used again.
bool take_text(JsonReader& reader, const Place& place, Findings& findings, std::string_view& out);
/// Text that is kept as far as it goes into `limit_bytes`: cut between two characters. NUL cannot be stored: told.
bool take_cut_text(JsonReader& reader, const Place& place, Findings& findings, std::size_t limit_bytes,
                   std::string& out);
/// The same, where nothing may be cut: at most `kTextLimitBytes`.
bool take_name(JsonReader& reader, const Place& place, Findings& findings, std::string& out);
/// Text of any length that is not kept.
bool take_any_text(JsonReader& reader, const Place& place, Findings& findings);
bool take_uuid(JsonReader& reader, const Place& place, Findings& findings, tracker::Uuid& out);
/// Written with digits only, at most `tracker::kLargestCount`.
bool take_count(JsonReader& reader, const Place& place, Findings& findings, std::uint64_t& out);
/// Written with digits only, and a sign in front if need be; as far from zero as a count.
bool take_integer(JsonReader& reader, const Place& place, Findings& findings, std::int64_t& out);
bool take_boolean(JsonReader& reader, const Place& place, Findings& findings, bool& out);
/// An RFC 3339 time, which is checked and not kept.
bool take_time(JsonReader& reader, const Place& place, Findings& findings);
/// An RFC 3339 time in microseconds since the Unix epoch, in the years 1 to 9999 of UTC.
bool take_time(JsonReader& reader, const Place& place, Findings& findings, std::int64_t& out_us);
/// True, and passed over: null, which stands for a member that is not there.
bool take_null(JsonReader& reader);

/// Reads the object that starts here: `on_member(i, place)` must take or skip the value of `names[i]`. Others are
/// skipped, repeats told. Returns which members were there, as bits; nothing if it was no object or no JSON, which has
/// been told.
template <std::size_t Count, class OnMember>
std::optional<unsigned> take_members(JsonReader& reader, const Place& place, Findings& findings,
                                     const std::string_view (&names)[Count], OnMember&& on_member) {
  static_assert(Count < 32);
  if (!take_object(reader, place, findings)) return std::nullopt;
  unsigned seen = 0;
  std::string_view name;
  while (reader.next_member(name)) {
    std::size_t i = 0;
    while (i < Count && names[i] != name) ++i;
    if (i == Count) {
      reader.skip();
      continue;
    }
    const Place member = place.at(names[i]);
    if ((seen >> i & 1) != 0) {
      findings.invalid(member, "given twice");
      reader.skip();
      continue;
    }
    seen |= 1u << i;
    on_member(i, member);
  }
  return reader.failed() ? std::nullopt : std::optional(seen);
}

}  // namespace tally::ingest::detail
