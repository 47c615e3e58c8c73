#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "authz/permission.hpp"
#include "authz/subject.hpp"

/// Roles that people make for an org.
namespace tally::authz {

enum class CustomRoleOp : std::uint8_t { create, update, delete_ };

struct CustomRole {
  std::string name;
  std::string org;
  bool is_system = false;  ///< for an update: what the store says, not what the request says
  std::vector<Permission> site;
  std::vector<Permission> user;
  std::vector<Permission> in_org;
  std::vector<Permission> member;
};

enum class CustomRoleRefusal : std::uint8_t {
  org_required,
  forbidden,
  reserved_name,       ///< `is_reserved_role_name`
  mixed_levels,        ///< site or user permissions in an org role
  member_permissions,  ///< only system roles have them
  invalid_resource,
  invalid_action,
  negative,
  wildcard,
  escalation,  ///< the actor itself may not do what the role would allow
};
std::string_view word(CustomRoleRefusal refusal) noexcept;

/// The permission that is at fault: its list as `CustomRole` names it, and its place there.
struct PermissionPlace {
  std::string_view list;
  std::size_t at = 0;
};

/// What forbids it, or nothing. The checks run in the order of the enum, permission by permission from `negative` on.
/// `place`, if given, receives which permission is refused; its list stays empty when it is none of them.
std::optional<CustomRoleRefusal> check_custom_role(const PreparedSubject& actor, CustomRoleOp op,
                                                   const CustomRole& role, PermissionPlace* place = nullptr);

/// As a role that subjects can hold.
Role to_role(const CustomRole& role);

}  // namespace tally::authz
