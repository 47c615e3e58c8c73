#include "authz/subject.hpp"

#include <algorithm>

#include "authz/detail/gathered_level.hpp"
#include "authz/detail/subject_tables.hpp"

namespace tally::authz {
namespace {

using detail::GatheredLevel;
using detail::Level;
using detail::OddVotes;
using detail::OrgLevels;
using detail::SubjectTables;
using detail::Votes;

/// What the roles and the scope say about one org.
struct OrgSources {
  std::vector<const OrgPermissions*> roles;
  std::vector<const OrgPermissions*> scope;
};

/// Levels of different orgs are mostly equal (everyone has `organization-member`), so equal ones are stored once.
class TableStore {
 public:
  explicit TableStore(SubjectTables& tables) : tables_(tables) {
    tables_.odd.emplace_back();
    add_votes({});
  }

  Level add(const std::vector<const OrgPermissions*>& sources, PermissionList OrgPermissions::*list) {
    GatheredLevel gathered;
    bool empty = true;
    for (const OrgPermissions* source : sources) {
      gathered.add(source->*list);
      empty = empty && (source->*list).empty();
    }
    return empty ? Level{} : add(gathered);
  }

  Level add(GatheredLevel& gathered) {
    Level level{add_votes(gathered.finish()), 0};
    OddVotes odd = gathered.finish_odd();
    if (!odd.empty()) {
      level.odd = static_cast<std::uint32_t>(tables_.odd.size());
      tables_.odd.push_back(std::move(odd));
    }
    return level;
  }

  std::uint32_t add_votes(const Votes& votes) {
    const auto next = static_cast<std::uint32_t>(tables_.votes.size());
    const auto [at, is_new] = by_hash_.emplace(XXH3_64bits(&votes, sizeof votes), next);
    if (!is_new && tables_.votes[at->second] == votes) return at->second;
    tables_.votes.push_back(votes);
    return next;
  }

 private:
  SubjectTables& tables_;
  boost::unordered_flat_map<std::uint64_t, std::uint32_t> by_hash_;
};

/// The highest vote of one level over all orgs: yes if one says yes, no only if all say no.
Level best_of(const SubjectTables& tables, Level OrgLevels::*level, TableStore& store) {
  std::vector<std::uint32_t> distinct;
  for (const auto& [org, levels] : tables.orgs) distinct.push_back((levels.*level).votes);
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  if (distinct.empty()) return {};
  Votes best;
  best.deny.fill(kEveryAction);
  for (const std::uint32_t votes : distinct) {
    const Votes& each = tables.votes[votes];
    for (std::size_t i = 0; i < kTypeCount; ++i) {
      best.allow[i] |= each.allow[i];
      best.deny[i] &= each.deny[i];
    }
  }
  return {store.add_votes(best), 0};
}

detail::TextMap<OrgSources> sources_by_org(const Subject& subject) {
  detail::TextMap<OrgSources> orgs;
  for (const Role& role : *subject.roles) {
    for (const auto& [org, permissions] : role.by_org) orgs[org].roles.push_back(&permissions);
  }
  // Memberships come from the roles alone: what a scope says about other orgs counts nothing.
  for (const auto& [org, permissions] : subject.scope->role.by_org) {
    const auto at = orgs.find(org);
    if (at != orgs.end()) at->second.scope.push_back(&permissions);
  }
  return orgs;
}

void add_orgs(SubjectTables& tables, const detail::TextMap<OrgSources>& orgs, TableStore& store) {
  tables.orgs.reserve(orgs.size());
  for (const auto& [org, sources] : orgs) {
    OrgLevels levels;
    levels.hash = hash_id(org);
    levels.role_org = store.add(sources.roles, &OrgPermissions::org);
    levels.role_member = store.add(sources.roles, &OrgPermissions::member);
    levels.scope_org = store.add(sources.scope, &OrgPermissions::org);
    levels.scope_member = store.add(sources.scope, &OrgPermissions::member);
    tables.orgs.emplace(org, levels);
    tables.member_of_unnamed_org = tables.member_of_unnamed_org || org.empty();
  }
  tables.odd_words_in_orgs = tables.odd.size() > 1;
  for (const auto level :
       {&OrgLevels::role_org, &OrgLevels::role_member, &OrgLevels::scope_org, &OrgLevels::scope_member}) {
    tables.best_org.*level = best_of(tables, level, store);
  }
}

}  // namespace

std::string_view PreparedSubject::id() const noexcept {
  return tables_->id;
}

bool PreparedSubject::is_member_of(std::string_view org) const noexcept {
  return !org.empty() && tables_->find_org(org) != nullptr;
}

Result<PreparedSubject> prepare(const Subject& subject) {
  if (!subject.roles) return Errc::roles_missing;
  if (!subject.scope) return Errc::scope_missing;
  const auto tables = std::make_shared<SubjectTables>();
  tables->id = subject.id;
  tables->hashed_id = {hash_id(tables->id), tables->id};
  tables->groups = IdSet(subject.groups);

  TableStore store(*tables);
  add_orgs(*tables, sources_by_org(subject), store);

  GatheredLevel role_site, role_user, scope_site, scope_user;
  for (const Role& role : *subject.roles) {
    role_site.add(role.site);
    role_user.add(role.user);
  }
  scope_site.add(subject.scope->role.site);
  scope_user.add(subject.scope->role.user);
  tables->role_site = store.add(role_site);
  tables->role_user = store.add(role_user);
  tables->scope_site = store.add(scope_site);
  tables->scope_user = store.add(scope_user);
  tables->allow = detail::AllowIndex(subject.scope->allow_list);
  return PreparedSubject(tables);
}

}  // namespace tally::authz
