#include "authz/allow_list.hpp"

#include <algorithm>
#include <optional>

#include "authz/catalog.hpp"
#include "authz/detail/uuid_text.hpp"

namespace tally::authz {
namespace {

constexpr std::string_view kBlanks = " \t\n\v\f\r";

std::string lowered_and_trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(kBlanks);
  if (from == std::string_view::npos) return {};
  std::string result(text.substr(from, text.find_last_not_of(kBlanks) - from + 1));
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

/// What both words admit, `*` being neutral.
std::optional<std::string> meet(const std::string& a, const std::string& b) {
  if (a == "*") return b;
  if (b == "*" || a == b) return a;
  return std::nullopt;
}

bool holds_everything(const AllowList& list) {
  return std::any_of(list.begin(), list.end(), is_everything);
}

}  // namespace

bool is_everything(const AllowEntry& entry) noexcept {
  return entry.type == "*" && entry.id == "*";
}

Result<AllowEntry> parse_allow_entry(std::string_view text) {
  const std::string entry = lowered_and_trimmed(text);
  const std::size_t colon = entry.find(':');
  if (colon == std::string::npos) return Errc::bad_allow_entry;
  AllowEntry result{entry.substr(0, colon), entry.substr(colon + 1)};
  if (!find_type(result.type)) return Errc::bad_allow_entry;
  if (result.id != "*" && !detail::canonical_uuid(result.id)) return Errc::bad_allow_entry;
  return result;
}

Result<AllowList> parse_allow_list(std::span<const std::string> texts, std::size_t max_entries) {
  if (texts.size() > max_entries) return Errc::too_many_allow_entries;
  AllowList list;
  list.reserve(texts.size());
  for (const std::string& text : texts) {
    Result<AllowEntry> entry = parse_allow_entry(text);
    if (!entry) return entry.error();
    if (is_everything(*entry)) return AllowList{allow_everything()};
    list.push_back(std::move(*entry));
  }
  return normalize(std::move(list));
}

AllowList normalize(AllowList list) {
  if (holds_everything(list)) return {allow_everything()};
  std::sort(list.begin(), list.end());
  // `*` sorts before every letter and digit, but not before every text, so the whole types are looked up.
  AllowList whole_types;
  std::copy_if(list.begin(), list.end(), std::back_inserter(whole_types),
               [](const auto& each) { return each.id == "*"; });
  AllowList result;
  for (AllowEntry& entry : list) {
    if (!result.empty() && result.back() == entry) continue;
    const bool swallowed =
        entry.id != "*" && std::binary_search(whole_types.begin(), whole_types.end(), AllowEntry{entry.type, "*"});
    if (!swallowed) result.push_back(std::move(entry));
  }
  return result;
}

AllowList unite(std::span<const AllowList> lists) {
  AllowList all;
  for (const AllowList& list : lists) all.insert(all.end(), list.begin(), list.end());
  return normalize(std::move(all));
}

AllowList intersect(const AllowList& scope_list, const AllowList& stored_list) {
  if (stored_list.empty()) return {};
  if (holds_everything(scope_list)) return stored_list;
  if (holds_everything(stored_list)) return scope_list;
  AllowList both;
  for (const AllowEntry& a : scope_list) {
    for (const AllowEntry& b : stored_list) {
      std::optional<std::string> type = meet(a.type, b.type);
      std::optional<std::string> id = meet(a.id, b.id);
      if (type && id) both.push_back({std::move(*type), std::move(*id)});
    }
  }
  return normalize(std::move(both));
}

}  // namespace tally::authz
