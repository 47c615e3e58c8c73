#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "authz/role.hpp"
#include "authz/subject.hpp"

/// Giving roles to people and taking them away.
namespace tally::authz {

/// Roles that the store holds are assigned under these names, except `organization-member`.
inline constexpr std::string_view kCustomSiteRole = "custom-site-role";
inline constexpr std::string_view kCustomOrgRole = "custom-organization-role";

/// Whether one of the actor's role names may give or take the target. An actor's org role counts for targets of the
/// same org alone; names of roles of the site and of system subjects count without an org alone.
bool can_assign(std::span<const RoleName> actor_roles, const RoleName& target);

struct RoleChange {
  std::vector<RoleName> added;
  std::vector<RoleName> removed;
};
RoleChange change_role_set(std::span<const RoleName> from, std::span<const RoleName> to);

enum class RoleChangeRefusal : std::uint8_t {
  wrong_org,       ///< an org call with a role of another org or of the site, or a site call with an org role
  unknown_role,    ///< neither built in nor stored
  forbidden,       ///< no right to assign or unassign roles there
  not_assignable,  ///< none of the actor's roles may give or take this one
};
std::string_view word(RoleChangeRefusal refusal) noexcept;

struct RefusedRoleChange {
  RoleChangeRefusal refusal;
  RoleName role;  ///< the one that is at fault; empty for `forbidden`
};

/// `org` is empty for the site's roles. `stored` are those of the changed roles that the store knows.
std::optional<RefusedRoleChange> check_role_change(const PreparedSubject& actor, std::span<const RoleName> actor_roles,
                                                   std::string_view org, const RoleChange& change,
                                                   std::span<const RoleName> stored);

}  // namespace tally::authz
