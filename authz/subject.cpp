#include "authz/subject.hpp"

#include <xxhash.h>

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

struct GatheredOrg {
  GatheredLevel role_org;
  GatheredLevel role_member;
  GatheredLevel scope_org;
  GatheredLevel scope_member;
};

/// Levels of different orgs are mostly equal (everyone has `organization-member`), so equal ones are stored once.
class TableStore {
 public:
  explicit TableStore(SubjectTables& tables) : tables_(tables) {
    tables_.odd.emplace_back();
    add_votes({});
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
  if (tables.orgs.empty()) return {};
  Votes best;
  best.deny.fill(kEveryAction);
  for (const auto& [org, levels] : tables.orgs) {
    const Votes& each = tables.votes[(levels.*level).votes];
    for (std::size_t i = 0; i < kTypeCount; ++i) {
      best.allow[i] |= each.allow[i];
      best.deny[i] &= each.deny[i];
    }
  }
  return {store.add_votes(best), 0};
}

void gather_orgs(const Subject& subject, detail::TextMap<GatheredOrg>& orgs) {
  for (const Role& role : *subject.roles) {
    for (const auto& [org, permissions] : role.by_org) {
      GatheredOrg& gathered = orgs[org];
      gathered.role_org.add(permissions.org);
      gathered.role_member.add(permissions.member);
    }
  }
  // Memberships come from the roles alone: what a scope says about other orgs counts nothing.
  for (const auto& [org, permissions] : subject.scope->role.by_org) {
    const auto at = orgs.find(org);
    if (at == orgs.end()) continue;
    at->second.scope_org.add(permissions.org);
    at->second.scope_member.add(permissions.member);
  }
}

void add_orgs(SubjectTables& tables, detail::TextMap<GatheredOrg>& orgs, TableStore& store) {
  tables.orgs.reserve(orgs.size());
  for (auto& [org, gathered] : orgs) {
    const OrgLevels levels{store.add(gathered.role_org), store.add(gathered.role_member), store.add(gathered.scope_org),
                           store.add(gathered.scope_member)};
    tables.orgs.emplace(org, levels);
    tables.member_of_unnamed_org = tables.member_of_unnamed_org || org.empty();
  }
  tables.odd_words_in_orgs = tables.odd.size() > 1;
  tables.best_org = {best_of(tables, &OrgLevels::role_org, store), best_of(tables, &OrgLevels::role_member, store),
                     best_of(tables, &OrgLevels::scope_org, store), best_of(tables, &OrgLevels::scope_member, store)};
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
  tables->groups = subject.groups;
  std::sort(tables->groups.begin(), tables->groups.end());
  tables->groups.erase(std::unique(tables->groups.begin(), tables->groups.end()), tables->groups.end());

  TableStore store(*tables);
  detail::TextMap<GatheredOrg> orgs;
  gather_orgs(subject, orgs);
  add_orgs(*tables, orgs, store);

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
