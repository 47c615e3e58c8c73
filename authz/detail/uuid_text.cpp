#include "authz/detail/uuid_text.hpp"

#include <algorithm>

namespace tally::authz::detail {
namespace {

constexpr bool is_hyphen_place(std::size_t i) {
  return i == 8 || i == 13 || i == 18 || i == 23;
}
constexpr bool is_lower_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}
constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

bool is_canonical_uuid(std::string_view text) noexcept {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_hyphen_place(i) ? text[i] != '-' : !is_lower_hex(text[i])) return false;
  }
  return true;
}

std::optional<std::string> canonical_uuid(std::string_view text) {
  constexpr std::size_t kLongest = 45;  // urn:uuid: and 36 characters
  if (text.size() > kLongest) return std::nullopt;
  std::string uuid(text);
  std::transform(uuid.begin(), uuid.end(), uuid.begin(), lower);
  if (uuid.starts_with("urn:uuid:")) {
    uuid.erase(0, 9);
    if (uuid.size() != 36) return std::nullopt;
  } else if (uuid.size() == 38 && uuid.front() == '{' && uuid.back() == '}') {
    uuid = uuid.substr(1, 36);
  } else if (uuid.size() == 32) {
    for (const std::size_t place : {8, 13, 18, 23}) uuid.insert(place, 1, '-');
  }
  if (!is_canonical_uuid(uuid)) return std::nullopt;
  return uuid;
}

}  // namespace tally::authz::detail
