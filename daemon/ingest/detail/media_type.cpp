#include "daemon/ingest/detail/media_type.hpp"

#include <algorithm>

namespace tally::ingest::detail {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Cuts what precedes the next semicolon outside quotes off the front of `rest`.
std::string_view next_part(std::string_view& rest) {
  bool quoted = false;
  std::size_t i = 0;
  for (; i < rest.size() && (quoted || rest[i] != ';'); ++i) {
    if (rest[i] == '"') quoted = !quoted;
    if (quoted && rest[i] == '\\') ++i;
  }
  i = std::min(i, rest.size());
  const std::string_view part = trimmed(rest.substr(0, i));
  rest.remove_prefix(std::min(i + 1, rest.size()));
  return part;
}

bool is_utf8(std::string_view charset) {
  if (charset.size() >= 2 && charset.front() == '"' && charset.back() == '"')
    charset = charset.substr(1, charset.size() - 2);
  return equal_ignoring_case(charset, "utf-8") || equal_ignoring_case(charset, "utf8");
}

/// The type without parameters; empty if a charset other than UTF-8 is named.
std::string_view essence(std::string_view content_type) {
  const std::string_view type = next_part(content_type);
  while (!content_type.empty()) {
    const std::string_view parameter = next_part(content_type);
    const std::size_t equals = parameter.find('=');
    if (equals == std::string_view::npos) continue;
    if (equal_ignoring_case(trimmed(parameter.substr(0, equals)), "charset") &&
        !is_utf8(trimmed(parameter.substr(equals + 1))))
      return {};
  }
  return type;
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

MediaType media_type(std::string_view content_type) {
  if (content_type == "application/json") return MediaType::json;  // what nearly everybody writes
  const std::string_view type = essence(content_type);
  if (equal_ignoring_case(type, "application/json")) return MediaType::json;
  if (equal_ignoring_case(type, "application/x-ndjson")) return MediaType::ndjson;
  if (equal_ignoring_case(type, "application/cloudevents+json")) return MediaType::cloud_event;
  if (equal_ignoring_case(type, "application/cloudevents-batch+json")) return MediaType::cloud_event_batch;
  return MediaType::other;
}

bool is_some_json(std::string_view content_type) {
  const std::string_view type = essence(content_type);
  constexpr std::string_view kSuffix = "+json";
  return equal_ignoring_case(type, "application/json") || equal_ignoring_case(type, "text/json") ||
         (type.size() > kSuffix.size() && equal_ignoring_case(type.substr(type.size() - kSuffix.size()), kSuffix));
}

}  // namespace tally::ingest::detail
