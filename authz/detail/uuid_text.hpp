#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace tally::authz::detail {

/// The canonical lower-case form of a uuid in any of its spellings: plain, without hyphens, in braces, or behind
/// `urn:uuid:`.
std::optional<std::string> canonical_uuid(std::string_view text);

/// Exactly the form in which PostgreSQL writes a uuid.
bool is_canonical_uuid(std::string_view text) noexcept;

}  // namespace tally::authz::detail
