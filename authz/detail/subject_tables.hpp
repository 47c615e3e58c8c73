#pragma once
#include <algorithm>
#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "authz/allow_list.hpp"
#include "authz/catalog.hpp"
#include "authz/detail/id_hash.hpp"
#include "authz/object.hpp"

/// A subject as a decision reads it: for every level one bit per (type, action) for yes and one for no.
namespace tally::authz::detail {

/// -1 a negative permission matches, +1 only others do, 0 nothing matches.
using Vote = int;

/// One level. Column `Type::any` is what `*` permissions say, and so what holds for words outside of the catalog.
struct Votes {
  std::array<ActionMask, kTypeCount> allow{};
  std::array<ActionMask, kTypeCount> deny{};  ///< disjoint from `allow` once finished
  friend bool operator==(const Votes&, const Votes&) = default;
};

/// Permissions with a word outside of the catalog, sorted; they match nothing but that word.
struct OddVote {
  std::string type;
  std::string action;
  Vote vote = 0;
};
using OddVotes = std::vector<OddVote>;

/// Indices into the subject's tables; 0 is the level without any permission.
struct Level {
  std::uint32_t votes = 0;
  std::uint32_t odd = 0;
};

struct OrgLevels {
  std::uint64_t hash = 0;  ///< of the org's id
  Level role_org;
  Level role_member;
  Level scope_org;
  Level scope_member;
};

/// Allow list, indexed.
class AllowIndex {
 public:
  AllowIndex() = default;
  explicit AllowIndex(const AllowList& list);
  bool admits(TypeWord type, std::string_view id) const noexcept;
  /// Every object of the type is admitted.
  bool admits_whole_type(TypeWord type) const noexcept;
  /// The ids listed for the type or for every type.
  std::vector<std::string> ids_for(TypeWord type) const;

 private:
  bool everything_ = false;
  std::uint64_t whole_types_ = 0;
  std::vector<std::string> odd_whole_types_;
  std::vector<AllowEntry> by_id_;  // sorted by id
};

template <class Value>
using TextMap = boost::unordered_flat_map<std::string, Value, TextHash, SameText>;

struct SubjectTables {  // what most decisions read comes first
  HashedId hashed_id;   ///< into `id`
  Level role_site;
  Level role_user;
  Level scope_site;
  Level scope_user;
  std::vector<Votes> votes;
  AllowIndex allow;
  std::vector<OddVotes> odd;
  TextMap<OrgLevels> orgs;  ///< the memberships
  OrgLevels best_org;       ///< each level's highest vote over all memberships, except for odd words
  bool odd_words_in_orgs = false;
  bool member_of_unnamed_org = false;  ///< some role lists an org with an empty id
  std::string id;
  IdSet groups;

  const OrgLevels* find_org(std::string_view org) const noexcept {
    if (org.empty() && !member_of_unnamed_org) return nullptr;
    const auto at = orgs.find(org);
    return at == orgs.end() ? nullptr : &at->second;
  }

  Vote vote(Level level, TypeWord type, ActionWord action) const noexcept {
    const Votes& table = votes[level.votes];
    const auto column = static_cast<std::size_t>(type.known);
    const ActionMask wanted = bit(action.known);
    const Vote known = (table.deny[column] & wanted) != 0 ? -1 : (table.allow[column] & wanted) != 0 ? 1 : 0;
    if (level.odd == 0 || (type.known != Type::any && action.known != Action::any)) return known;
    const Vote by_word = odd_vote(odd[level.odd], type.text, action.text);
    return known < 0 || by_word < 0 ? -1 : std::max(known, by_word);
  }

  /// The highest vote of one level over all memberships; 0 without any.
  Vote best_vote(Level OrgLevels::*level, TypeWord type, ActionWord action) const noexcept;

  static Vote odd_vote(const OddVotes& sorted, std::string_view type, std::string_view action) noexcept;
};

}  // namespace tally::authz::detail
