#include "authz/object.hpp"

#include <algorithm>

namespace tally::authz {

void Acl::set(std::string_view who, std::span<const std::string_view> actions) {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), who,
                                   [](const Entry& each, std::string_view wanted) { return each.who < wanted; });
  Entry entry{std::string(who), 0, {}};
  for (const std::string_view action : actions) {
    if (const auto known = find_action(action)) entry.granted |= *known == Action::any ? kEveryAction : bit(*known);
    entry.words.emplace_back(action);
  }
  if (at != entries_.end() && at->who == who) {
    *at = std::move(entry);
  } else {
    entries_.insert(at, std::move(entry));
  }
}

const Acl::Entry* Acl::find(std::string_view who) const noexcept {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), who,
                                   [](const Entry& each, std::string_view wanted) { return each.who < wanted; });
  return at != entries_.end() && at->who == who ? &*at : nullptr;
}

bool Acl::grants(const Entry& entry, ActionWord action) noexcept {
  if ((entry.granted & bit(action.known)) != 0) return true;
  return action.known == Action::any &&
         std::find(entry.words.begin(), entry.words.end(), action.text) != entry.words.end();
}

bool Acl::grants(std::string_view who, ActionWord action) const noexcept {
  const Entry* entry = find(who);
  return entry && grants(*entry, action);
}

bool Acl::grants_any(std::span<const std::string> sorted_ids, ActionWord action) const noexcept {
  if (sorted_ids.size() <= entries_.size()) {
    return std::any_of(sorted_ids.begin(), sorted_ids.end(), [&](const std::string& id) { return grants(id, action); });
  }
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return grants(entry, action) && std::binary_search(sorted_ids.begin(), sorted_ids.end(), entry.who);
  });
}

bool Acl::lists(std::string_view who, std::string_view action) const noexcept {
  const Entry* entry = find(who);
  return entry && std::find(entry->words.begin(), entry->words.end(), action) != entry->words.end();
}

}  // namespace tally::authz
