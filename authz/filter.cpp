#include "authz/filter.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "authz/detail/subject_tables.hpp"

namespace tally::authz {
namespace {

using detail::Level;
using detail::OrgLevels;
using detail::SubjectTables;
using Kind = Condition::Kind;

constexpr std::array<Table, 8> kTables = {{
    {"default", "id", "organization_id", "owner_id", "user_acl", "group_acl"},
    {"workspaces", "id", "organization_id", "owner_id", "user_acl", "group_acl", true},
    {"templates", "id", "organization_id", "", "user_acl", "group_acl"},
    {"users", "id", "", "id", "", ""},
    {"audit_logs", "id", "organization_id", "", "", ""},
    {"connection_logs", "id", "organization_id", "", "", ""},
    {"aibridge_interceptions", "id", "", "initiator_id", "", ""},
    {"no_acl", "id", "organization_id", "owner_id", "", ""},
}};

/// One conjunction while it is built: limits to orgs and to own rows, and tests of access lists.
struct Term {
  std::optional<std::vector<std::string>> orgs;  ///< sorted; absent: any
  bool owned = false;
  AllOf acl;
};

/// Both; nothing if no row could pass.
std::optional<Term> meet(const Term& a, const Term& b) {
  Term both = a;
  both.owned = a.owned || b.owned;
  both.acl.insert(both.acl.end(), b.acl.begin(), b.acl.end());
  if (a.orgs && b.orgs) {
    both.orgs.emplace();
    std::set_intersection(a.orgs->begin(), a.orgs->end(), b.orgs->begin(), b.orgs->end(),
                          std::back_inserter(*both.orgs));
  } else if (b.orgs) {
    both.orgs = b.orgs;
  }
  if (both.orgs && both.orgs->empty()) return std::nullopt;
  return both;
}

/// The four levels of the roles, or of the scope, as terms.
class Levels {
 public:
  Levels(const SubjectTables& subject, ActionWord action, TypeWord type)
      : subject_(subject), action_(action), type_(type) {}

  std::vector<Term> terms(Level site, Level user, Level OrgLevels::*org, Level OrgLevels::*member) const {
    const detail::Vote site_vote = subject_.vote(site, type_, action_);
    if (site_vote > 0) return {Term{}};
    std::vector<Term> terms;
    if (site_vote < 0) return terms;
    if (subject_.vote(user, type_, action_) > 0) terms.push_back({std::vector<std::string>{""}, true, {}});

    std::vector<std::string> granting, own_only;
    for (const auto& [id, levels] : subject_.orgs) {
      const detail::Vote vote = subject_.vote(levels.*org, type_, action_);
      if (vote > 0) granting.push_back(id);
      if (vote == 0 && subject_.vote(levels.*member, type_, action_) > 0) own_only.push_back(id);
    }
    add_orgs(terms, std::move(granting), false);
    // A row without an owner is nobody's own.
    if (!subject_.id.empty()) add_orgs(terms, std::move(own_only), true);
    return terms;
  }

  std::vector<Term> acl_terms() const {
    std::vector<std::string> actions{std::string(action_.text)};
    if (actions.front() != "*") actions.emplace_back("*");
    std::vector<Term> terms;
    terms.push_back({std::nullopt, false, {{Kind::acl_user_has, {}, {subject_.id}, actions}}});
    std::vector<std::string> memberships;
    for (const auto& [org, levels] : subject_.orgs) {
      if (!org.empty()) memberships.push_back(org);
    }
    if (memberships.empty()) return terms;
    std::sort(memberships.begin(), memberships.end());
    if (subject_.groups.size() > 0) {
      terms.push_back({memberships, false, {{Kind::acl_group_has, {}, subject_.groups.texts(), actions}}});
    }
    terms.push_back({memberships, false, {{Kind::acl_org_group_has, {}, {}, actions}}});
    return terms;
  }

 private:
  static void add_orgs(std::vector<Term>& terms, std::vector<std::string> orgs, bool owned) {
    if (orgs.empty()) return;
    std::sort(orgs.begin(), orgs.end());
    terms.push_back({std::move(orgs), owned, {}});
  }

  const SubjectTables& subject_;
  const ActionWord action_;
  const TypeWord type_;
};

AllOf conditions(const Term& term, const SubjectTables& subject, const std::vector<std::string>* ids) {
  AllOf all;
  if (ids) all.push_back({Kind::equals_any, Column::id, *ids, {}});
  if (term.orgs) all.push_back({Kind::equals_any, Column::org, *term.orgs, {}});
  if (term.owned) all.push_back({Kind::equals_any, Column::owner, {subject.id}, {}});
  all.insert(all.end(), term.acl.begin(), term.acl.end());
  return all;
}

std::optional<std::string_view> value_of(const Table& table, Column column, const Row& row) {
  switch (column) {
    case Column::id:
      return row.id;
    case Column::org:
      return table.has_org() ? row.org : std::string_view{};
    case Column::owner:
      if (!table.has_owner()) return std::nullopt;
      return table.owned_by_itself() ? row.id : row.owner;
  }
  return std::nullopt;
}

bool lists_any(const Acl* acl, std::string_view who, const std::vector<std::string>& actions) {
  return acl &&
         std::any_of(actions.begin(), actions.end(), [&](const auto& action) { return acl->lists(who, action); });
}

bool holds(const Condition& condition, const Table& table, const Row& row) {
  const auto acl_has = [&](const Acl* acl) {
    return table.has_acl() && std::any_of(condition.values.begin(), condition.values.end(),
                                          [&](const auto& who) { return lists_any(acl, who, condition.actions); });
  };
  const auto is_listed = [&](std::string_view value) {
    return std::find(condition.values.begin(), condition.values.end(), value) != condition.values.end();
  };
  switch (condition.kind) {
    case Kind::always:
      return true;
    case Kind::never:
      return false;
    case Kind::equals_any:
    case Kind::differs: {
      const auto value = value_of(table, condition.column, row);
      return value && is_listed(*value) == (condition.kind == Kind::equals_any);
    }
    case Kind::acl_user_has:
      return acl_has(row.acl_user);
    case Kind::acl_group_has:
      return acl_has(row.acl_group);
    case Kind::acl_org_group_has:
      return table.has_acl() && lists_any(row.acl_group, *value_of(table, Column::org, row), condition.actions);
  }
  return false;
}

}  // namespace

std::span<const Table> tables() {
  return kTables;
}

const Table* find_table(std::string_view name) noexcept {
  const auto at = std::find_if(kTables.begin(), kTables.end(), [&](const Table& each) { return each.name == name; });
  return at == kTables.end() ? nullptr : &*at;
}

bool Filter::always() const noexcept {
  return std::any_of(any_of.begin(), any_of.end(), [](const AllOf& all) {
    return std::all_of(all.begin(), all.end(), [](const Condition& each) { return each.kind == Kind::always; });
  });
}

Filter make_filter(const PreparedSubject& prepared, ActionWord action, TypeWord type) {
  const SubjectTables& subject = prepared.tables();
  std::optional<std::vector<std::string>> ids;
  if (!subject.allow.admits_whole_type(type)) {
    ids = subject.allow.ids_for(type);
    if (ids->empty()) return {};
  }

  const Levels levels(subject, action, type);
  std::vector<Term> granted =
      levels.terms(subject.role_site, subject.role_user, &OrgLevels::role_org, &OrgLevels::role_member);
  const bool unlimited = !granted.empty() && !granted.front().orgs;
  if (!unlimited) {
    std::vector<Term> by_acl = levels.acl_terms();
    std::move(by_acl.begin(), by_acl.end(), std::back_inserter(granted));
  }
  const std::vector<Term> scoped =
      levels.terms(subject.scope_site, subject.scope_user, &OrgLevels::scope_org, &OrgLevels::scope_member);

  Filter filter;
  for (const Term& grant : granted) {
    for (const Term& limit : scoped) {
      const std::optional<Term> both = meet(grant, limit);
      if (both) filter.any_of.push_back(conditions(*both, subject, ids ? &*ids : nullptr));
    }
  }
  return filter;
}

Object as_object(const Table& table, TypeWord type, const Row& row) {
  Object object;
  object.type = type;
  object.id = row.id;
  object.org = *value_of(table, Column::org, row);
  object.owner = value_of(table, Column::owner, row).value_or("");
  if (table.has_acl()) {
    object.acl_user = row.acl_user;
    object.acl_group = row.acl_group;
  }
  return object;
}

bool admits(const Filter& filter, const Table& table, const Row& row) {
  return std::any_of(filter.any_of.begin(), filter.any_of.end(), [&](const AllOf& all) {
    return std::all_of(all.begin(), all.end(), [&](const Condition& each) { return holds(each, table, row); });
  });
}

Result<std::vector<std::size_t>> filter_objects(const PreparedSubject& subject, ActionWord action,
                                                std::span<const Object> objects, const std::stop_token& cancelled) {
  std::vector<std::size_t> passed;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (objects[i].type.text != objects.front().type.text) return Errc::mixed_types;
  }
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (cancelled.stop_requested()) return Errc::cancelled;
    const Decision decision = decide(subject, action, objects[i]);
    if (decision.error) return *decision.error;
    if (decision.allowed) passed.push_back(i);
  }
  return passed;
}

}  // namespace tally::authz
