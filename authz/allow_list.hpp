#pragma once
#include <compare>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "authz/errors.hpp"

/// Which objects a scope may touch at all.
namespace tally::authz {

/// `*` stands for every type or every id. An entry with an empty id admits objects without an id, as when one is
/// created.
struct AllowEntry {
  std::string type;
  std::string id;
  friend auto operator<=>(const AllowEntry&, const AllowEntry&) = default;
};
/// Admits an object if any entry does; an empty list admits nothing.
using AllowList = std::vector<AllowEntry>;

inline constexpr std::size_t kMaxAllowEntries = 128;

inline AllowEntry allow_everything() {
  return {"*", "*"};
}
bool is_everything(const AllowEntry& entry) noexcept;

/// `<type>:<id>` in any letter case, blanks around it ignored. `bad_allow_entry`.
Result<AllowEntry> parse_allow_entry(std::string_view text);
/// Normalized. `bad_allow_entry`, `too_many_allow_entries`. The first `*:*` ends the reading: what follows is not
/// looked at.
Result<AllowList> parse_allow_list(std::span<const std::string> texts, std::size_t max_entries = kMaxAllowEntries);

/// Without repeats and swallowed entries, sorted by type and id.
AllowList normalize(AllowList list);
AllowList unite(std::span<const AllowList> lists);
/// What both admit. An empty list on either side admits nothing.
AllowList intersect(const AllowList& scope_list, const AllowList& stored_list);

}  // namespace tally::authz
