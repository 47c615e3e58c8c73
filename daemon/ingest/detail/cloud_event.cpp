#include "daemon/ingest/detail/cloud_event.hpp"

#include <simdjson.h>

#include "daemon/ingest/detail/media_type.hpp"
#include "daemon/ingest/rfc3339.hpp"
#include "tracker/uuid_decode.hpp"

namespace tally::ingest::detail {
namespace {

// In the order of kCloudEventMembers.
enum Attribute : std::size_t { kSpecVersion, kType, kSource, kId, kTime, kDataContentType, kDataBase64 };
constexpr unsigned kRequired = 1u << kSpecVersion | 1u << kType | 1u << kSource | 1u << kId;

/// The CloudEvents type "String" leaves out control characters, C1 ones included.
bool has_control_character(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

std::optional<std::string> unquoted(std::string_view value) {
  if (value.empty() || value.front() != '"') return std::string(value);
  std::string text;
  for (std::size_t i = 1; i < value.size(); ++i) {
    if (value[i] == '"') return i + 1 == value.size() ? std::optional(std::move(text)) : std::nullopt;
    if (value[i] == '\\' && ++i == value.size()) return std::nullopt;
    text += value[i];
  }
  return std::nullopt;
}

}  // namespace

const char* CloudEventAttributes::set(std::size_t attribute, std::string_view value, std::string_view wanted_type) {
  given_ |= 1u << attribute;
  if (value.empty()) return "empty";
  if (value.size() > kTextLimitBytes) return "longer than 256 bytes";
  if (has_control_character(value)) return "holds a control character";
  switch (static_cast<Attribute>(attribute)) {
    case kSpecVersion:
      return value == "1.0" ? nullptr : "not 1.0";
    case kType:
      return value == wanted_type ? nullptr : "not the type of event that this route takes";
    case kSource:
      source_ = value;
      return nullptr;
    case kId:
      id_ = value;
      return nullptr;
    case kTime:
      return parse_rfc3339(value) ? nullptr : "not an RFC 3339 time";
    case kDataContentType:
      return is_some_json(value) ? nullptr : "not JSON in UTF-8";
    case kDataBase64:
      break;
  }
  return nullptr;
}

void CloudEventAttributes::take(std::size_t attribute, JsonReader& reader, const Place& place, Findings& findings,
                                std::string_view wanted_type) {
  if (reader.peek() == JsonKind::null) {
    reader.skip();
    return;
  }
  given_ |= 1u << attribute;
  if (attribute == kDataBase64) {
    reader.skip();
    findings.invalid(place, "the event must be JSON in `data`");
    return;
  }
  std::string_view value;
  if (!take_text(reader, place, findings, value)) return;
  if (const char* why = set(attribute, value, wanted_type)) findings.invalid(place, why);
}

std::optional<std::size_t> CloudEventAttributes::next_missing() {
  const unsigned missing = kRequired & ~given_;
  if (missing == 0) return std::nullopt;
  const auto first = static_cast<std::size_t>(__builtin_ctz(missing));
  given_ |= 1u << first;
  return first;
}

std::optional<std::string> decode_header_value(std::string_view value) {
  const auto plain = unquoted(value);
  if (!plain) return std::nullopt;
  std::string text;
  for (std::size_t i = 0; i < plain->size(); ++i) {
    if ((*plain)[i] != '%') {
      text += (*plain)[i];
      continue;
    }
    if (plain->size() - i < 3) return std::nullopt;
    const unsigned high = tracker::detail::kHexValues[static_cast<unsigned char>((*plain)[i + 1])];
    const unsigned low = tracker::detail::kHexValues[static_cast<unsigned char>((*plain)[i + 2])];
    if ((high | low) > 15) return std::nullopt;
    text += static_cast<char>(high << 4 | low);
    i += 2;
  }
  if (!simdjson::validate_utf8(text)) return std::nullopt;
  return text;
}

std::optional<std::string_view> attribute_name(std::string_view header_name) {
  if (header_name.size() < 4 || !equal_ignoring_case(header_name.substr(0, 3), "ce-")) return std::nullopt;
  return header_name.substr(3);
}

std::optional<Refusal> read_headers(std::span<const Header> headers, std::string_view wanted_type,
                                    CloudEventAttributes& out) {
  const auto refuse = [](std::size_t attribute, std::string_view why) {
    return Refusal{400, "header ce-" + std::string(kCloudEventMembers[attribute]) + ": " + std::string(why), {}};
  };
  unsigned seen = 0;
  for (const Header& header : headers) {
    const auto name = attribute_name(header.name);
    if (!name) continue;
    for (std::size_t attribute = 0; attribute < kDataContentType; ++attribute) {
      if (!equal_ignoring_case(*name, kCloudEventMembers[attribute])) continue;
      if ((seen >> attribute & 1) != 0) return refuse(attribute, "given twice");
      seen |= 1u << attribute;
      const auto value = decode_header_value(header.value);
      if (!value) return refuse(attribute, "not percent-encoded UTF-8");
      if (const char* why = out.set(attribute, *value, wanted_type)) return refuse(attribute, why);
    }
  }
  if (const auto missing = out.next_missing()) return refuse(*missing, "missing");
  return std::nullopt;
}

}  // namespace tally::ingest::detail
