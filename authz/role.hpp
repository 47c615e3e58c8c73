#pragma once
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "authz/errors.hpp"
#include "authz/permission.hpp"

namespace tally::authz {

inline constexpr std::string_view kNilId = "00000000-0000-0000-0000-000000000000";

/// `<name>` or `<name>:<org uuid>`.
struct RoleName {
  std::string name;
  std::string org;  ///< canonical lower-case uuid; empty for a site role (the nil uuid means the same)
  friend bool operator==(const RoleName&, const RoleName&) = default;
};

/// `bad_role_name`: more than one colon, no name, or no uuid behind the colon.
Result<RoleName> parse_role_name(std::string_view text);
std::string to_string(const RoleName& role);

struct OrgPermissions {
  PermissionList org;
  PermissionList member;
};

/// A role with its permissions. An org in `by_org` makes its holder a member of that org, even with empty lists.
struct Role {
  std::string name;
  PermissionList site;
  PermissionList user;
  std::vector<std::pair<std::string, OrgPermissions>> by_org;
};

/// Switches of the deployment that change what named roles hold.
struct RoleOptions {
  bool no_owner_workspace_exec = false;  ///< the owner loses workspace:ssh and workspace:application_connect
  bool no_workspace_sharing = false;     ///< `member` gains a site negative on workspace:share
  std::vector<std::string> workspace_sharing_disabled;  ///< orgs whose `organization-member` may not share
};

enum class RoleKind { site, org, org_system };

/// A role that the program defines, for listings.
struct NamedRole {
  std::string_view name;
  std::string_view display_name;
  RoleKind kind;
};
/// All named roles; `org_system` is `organization-member`, which the store holds per org.
std::span<const NamedRole> named_roles();
/// Custom roles must not take one of these names: those of named roles, and what the rules of assignment name besides.
bool is_reserved_role_name(std::string_view name) noexcept;

/// Built-in roles only. `unknown_role`: also for an org role without an org, a site role with one, and
/// `organization-member`.
Result<Role> find_built_in_role(const RoleName& role, const RoleOptions& options = {});
/// As above, and `organization-member` as every org has it.
Result<Role> expand_role(const RoleName& role, const RoleOptions& options = {});
/// Reads the name first: `bad_role_name` besides.
Result<Role> expand_role(std::string_view role, const RoleOptions& options = {});

}  // namespace tally::authz
