#include "authz/custom_role.hpp"

#include "authz/decision.hpp"

namespace tally::authz {
namespace {

using Refusal = CustomRoleRefusal;

Action verb(CustomRoleOp op) {
  switch (op) {
    case CustomRoleOp::create:
      return Action::create;
    case CustomRoleOp::update:
      return Action::update;
    case CustomRoleOp::delete_:
      return Action::delete_;
  }
  return Action::delete_;
}

bool may_touch(const PreparedSubject& actor, CustomRoleOp op, const CustomRole& role) {
  // A system role is never deleted by its own right: that takes the ordinary one.
  if (role.is_system && op != CustomRoleOp::delete_) return decide(actor, verb(op), {Type::system, {}, {}, {}}).allowed;
  return decide(actor, verb(op), {Type::assign_org_role, {}, {}, role.org}).allowed;
}

/// `organization-member` is stored: an organization may have its own, which only the system makes.
bool may_be_called(const CustomRole& role) {
  if (!is_reserved_role_name(role.name)) return true;
  return role.is_system && !find_built_in_role({role.name, role.org}) && expand_role(RoleName{role.name, role.org});
}

/// `*` as a type has no actions that could be checked.
std::optional<Refusal> known_words(const Permission& permission) {
  const auto type = find_type(permission.resource_type);
  if (!type) return Refusal::invalid_resource;
  if (*type == Type::any || permission.action == "*") return std::nullopt;
  const auto action = find_action(permission.action);
  if (!action || !has_action(*type, *action)) return Refusal::invalid_action;
  return std::nullopt;
}

std::optional<Refusal> check_grant(const PreparedSubject& actor, const Permission& permission, std::string_view org) {
  if (permission.negate) return Refusal::negative;
  if (permission.action == "*" || permission.resource_type == "*") return Refusal::wildcard;
  // Without an owner: what the actor may do with its own things does not help.
  const Object anything{TypeWord(permission.resource_type), {}, {}, org};
  if (!decide(actor, ActionWord(permission.action), anything).allowed) return Refusal::escalation;
  return std::nullopt;
}

/// The first refusal of a permission in the list.
template <class Check>
std::optional<Refusal> check_each(const std::vector<Permission>& list, std::string_view name, PermissionPlace* place,
                                  Check check) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::optional<Refusal> refusal = check(list[i]);
    if (!refusal) continue;
    if (place) *place = {name, i};
    return refusal;
  }
  return std::nullopt;
}

}  // namespace

std::string_view word(CustomRoleRefusal refusal) noexcept {
  switch (refusal) {
    case Refusal::org_required:
      return "org_required";
    case Refusal::forbidden:
      return "forbidden";
    case Refusal::reserved_name:
      return "reserved_name";
    case Refusal::mixed_levels:
      return "mixed_levels";
    case Refusal::member_permissions:
      return "member_permissions";
    case Refusal::invalid_resource:
      return "invalid_resource";
    case Refusal::invalid_action:
      return "invalid_action";
    case Refusal::negative:
      return "negative";
    case Refusal::wildcard:
      return "wildcard";
    case Refusal::escalation:
      return "escalation";
  }
  return "unknown";
}

std::optional<CustomRoleRefusal> check_custom_role(const PreparedSubject& actor, CustomRoleOp op,
                                                   const CustomRole& role, PermissionPlace* place) {
  if (role.org.empty() || role.org == kNilId) return Refusal::org_required;
  if (!may_touch(actor, op, role)) return Refusal::forbidden;
  if (op == CustomRoleOp::delete_) return std::nullopt;
  if (!may_be_called(role)) return Refusal::reserved_name;
  const auto refuse_first = [place](Refusal refusal, std::string_view list) {
    if (place) *place = {list, 0};
    return refusal;
  };
  if (!role.site.empty()) return refuse_first(Refusal::mixed_levels, "site");
  if (!role.user.empty()) return refuse_first(Refusal::mixed_levels, "user");
  if (!role.member.empty() && !role.is_system) return refuse_first(Refusal::member_permissions, "member");
  if (const auto refusal = check_each(role.in_org, "in_org", place, known_words)) return refusal;
  if (const auto refusal = check_each(role.member, "member", place, known_words)) return refusal;
  if (role.is_system) return std::nullopt;
  return check_each(role.in_org, "in_org", place,
                    [&](const Permission& permission) { return check_grant(actor, permission, role.org); });
}

Role to_role(const CustomRole& role) {
  Role result;
  result.name = to_string(RoleName{role.name, role.org});
  result.site.own = role.site;
  result.user.own = role.user;
  if (!role.org.empty()) result.by_org.emplace_back(role.org, OrgPermissions{{{}, role.in_org}, {{}, role.member}});
  return result;
}

}  // namespace tally::authz
