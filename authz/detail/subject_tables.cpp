#include "authz/detail/subject_tables.hpp"

namespace tally::authz::detail {

AllowIndex::AllowIndex(const AllowList& list) {
  for (const AllowEntry& entry : list) {
    if (is_everything(entry)) {
      everything_ = true;
    } else if (entry.id != "*") {
      by_id_.push_back(entry);
    } else if (const auto type = find_type(entry.type)) {
      whole_types_ |= std::uint64_t{1} << static_cast<unsigned>(*type);
    } else {
      odd_whole_types_.push_back(entry.type);
    }
  }
  std::sort(by_id_.begin(), by_id_.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
}

bool AllowIndex::admits_whole_type(TypeWord type) const noexcept {
  static_assert(kTypeCount <= 64);
  if (everything_) return true;
  if (type.known != Type::any) return (whole_types_ >> static_cast<unsigned>(type.known) & 1) != 0;
  return std::find(odd_whole_types_.begin(), odd_whole_types_.end(), type.text) != odd_whole_types_.end();
}

bool AllowIndex::admits(TypeWord type, std::string_view id) const noexcept {
  if (admits_whole_type(type)) return true;
  auto at = std::lower_bound(by_id_.begin(), by_id_.end(), id,
                             [](const AllowEntry& each, std::string_view wanted) { return each.id < wanted; });
  for (; at != by_id_.end() && at->id == id; ++at) {
    if (at->type == "*" || at->type == type.text) return true;
  }
  return false;
}

std::vector<std::string> AllowIndex::ids_for(TypeWord type) const {
  std::vector<std::string> ids;
  for (const AllowEntry& entry : by_id_) {
    const bool fits = entry.type == "*" || entry.type == type.text;
    if (fits && (ids.empty() || ids.back() != entry.id)) ids.push_back(entry.id);
  }
  return ids;
}

Vote SubjectTables::best_vote(Level OrgLevels::*level, TypeWord type, ActionWord action) const noexcept {
  if (orgs.empty()) return 0;
  const bool by_word = type.known == Type::any || action.known == Action::any;
  if (!by_word || !odd_words_in_orgs) return vote(best_org.*level, type, action);
  Vote best = -1;
  for (const auto& [org, levels] : orgs) best = std::max(best, vote(levels.*level, type, action));
  return best;
}

Vote SubjectTables::odd_vote(const OddVotes& sorted, std::string_view type, std::string_view action) noexcept {
  using Key = std::pair<std::string_view, std::string_view>;
  Vote result = 0;
  for (const Key& key : {Key{type, action}, Key{type, "*"}, Key{"*", action}}) {
    const auto at = std::lower_bound(sorted.begin(), sorted.end(), key, [](const OddVote& each, const Key& wanted) {
      return Key{each.type, each.action} < wanted;
    });
    if (at == sorted.end() || at->type != key.first || at->action != key.second) continue;
    if (at->vote < 0) return -1;
    result = 1;
  }
  return result;
}

}  // namespace tally::authz::detail
