#include "authz/role_assignment.hpp"

#include <algorithm>

#include "authz/decision.hpp"
#include "authz/detail/role_tables.hpp"

namespace tally::authz {
namespace {

bool contains(std::span<const RoleName> roles, const RoleName& role) {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

bool is_org_role(std::string_view name) {
  const auto roles = named_roles();
  return std::any_of(roles.begin(), roles.end(),
                     [&](const NamedRole& each) { return each.name == name && each.kind != RoleKind::site; });
}

/// The rules of assignment name an org's built-in roles, and roles of the site and of the system. A role that an org
/// stores under the name of one of the latter is not that role; and an org role without its org counts in no org.
bool counts_for(const RoleName& actor, const RoleName& target) {
  return is_org_role(actor.name) ? actor.org == target.org : actor.org.empty();
}

std::vector<RoleName> missing_in(std::span<const RoleName> roles, std::span<const RoleName> others) {
  std::vector<RoleName> missing;
  std::copy_if(roles.begin(), roles.end(), std::back_inserter(missing),
               [&](const RoleName& each) { return !contains(others, each); });
  return missing;
}

/// The name under which the rules of assignment know a role. A stored role that shares a built-in's name is not that
/// built-in.
RoleName as_assigned(const RoleName& role) {
  if (expand_role(role)) return role;
  return {std::string(role.org.empty() ? kCustomSiteRole : kCustomOrgRole), role.org};
}

}  // namespace

bool can_assign(std::span<const RoleName> actor_roles, const RoleName& target) {
  for (const detail::AssignableRoles& rule : detail::kAssignableRoles) {
    if (std::find(rule.may_assign.begin(), rule.may_assign.end(), target.name) == rule.may_assign.end()) continue;
    for (const RoleName& role : actor_roles) {
      if (role.name == rule.actor && counts_for(role, target)) return true;
    }
  }
  return false;
}

RoleChange change_role_set(std::span<const RoleName> from, std::span<const RoleName> to) {
  return {missing_in(to, from), missing_in(from, to)};
}

std::string_view word(RoleChangeRefusal refusal) noexcept {
  switch (refusal) {
    case RoleChangeRefusal::wrong_org:
      return "wrong_org";
    case RoleChangeRefusal::unknown_role:
      return "unknown_role";
    case RoleChangeRefusal::forbidden:
      return "forbidden";
    case RoleChangeRefusal::not_assignable:
      return "not_assignable";
  }
  return "unknown";
}

std::optional<RefusedRoleChange> check_role_change(const PreparedSubject& actor, std::span<const RoleName> actor_roles,
                                                   std::string_view org, const RoleChange& change,
                                                   std::span<const RoleName> stored) {
  std::vector<RoleName> changed = change.added;
  changed.insert(changed.end(), change.removed.begin(), change.removed.end());
  for (const RoleName& role : changed) {
    if (role.org != org) return RefusedRoleChange{RoleChangeRefusal::wrong_org, role};
  }
  for (const RoleName& role : changed) {
    if (!find_built_in_role(role) && !contains(stored, role))
      return RefusedRoleChange{RoleChangeRefusal::unknown_role, role};
  }
  const Object where{org.empty() ? Type::assign_role : Type::assign_org_role, {}, {}, org};
  if ((!change.added.empty() && !decide(actor, Action::assign, where).allowed) ||
      (!change.removed.empty() && !decide(actor, Action::unassign, where).allowed)) {
    return RefusedRoleChange{RoleChangeRefusal::forbidden, {}};
  }
  for (const RoleName& role : changed) {
    if (!can_assign(actor_roles, as_assigned(role))) {
      return RefusedRoleChange{RoleChangeRefusal::not_assignable, role};
    }
  }
  return std::nullopt;
}

}  // namespace tally::authz
