#include "authz/role.hpp"

#include <algorithm>
#include <array>

#include "authz/detail/role_tables.hpp"
#include "authz/detail/uuid_text.hpp"

namespace tally::authz {
namespace {

const detail::RoleTable* find_table(std::string_view name) noexcept {
  const auto& tables = detail::kRoleTables;
  const auto at =
      std::find_if(std::begin(tables), std::end(tables), [&](const auto& each) { return each.role.name == name; });
  return at == std::end(tables) ? nullptr : at;
}

constexpr auto kNamedRoles = [] {
  std::array<NamedRole, std::size(detail::kRoleTables)> roles{};
  for (std::size_t i = 0; i < roles.size(); ++i) roles[i] = detail::kRoleTables[i].role;
  return roles;
}();

bool sharing_disabled(const RoleOptions& options, std::string_view org) {
  const auto& orgs = options.workspace_sharing_disabled;
  return std::find(orgs.begin(), orgs.end(), org) != orgs.end();
}

Role make_role(const detail::RoleTable& table, const RoleName& wanted, const RoleOptions& options) {
  Role role;
  role.name = to_string(wanted);
  role.site.built_in = table.site;
  role.user.built_in = table.user;
  if (table.role.name == "owner" && options.no_owner_workspace_exec) role.site.built_in = detail::kOwnerSiteWithoutExec;
  if (table.role.name == "member" && options.no_workspace_sharing)
    role.site.built_in = detail::kMemberSiteWithoutSharing;
  if (table.role.kind == RoleKind::site) return role;

  OrgPermissions in_org{{table.org, {}}, {table.member, {}}};
  if (table.role.kind == RoleKind::org_system && sharing_disabled(options, wanted.org)) {
    in_org.org.built_in = detail::kOrgMemberOrgWithoutSharing;
    in_org.member.built_in = detail::kOrgMemberMemberWithoutSharing;
  }
  role.by_org.emplace_back(wanted.org, std::move(in_org));
  return role;
}

}  // namespace

Result<RoleName> parse_role_name(std::string_view text) {
  const std::size_t colon = text.find(':');
  RoleName role{std::string(text.substr(0, colon)), {}};
  if (role.name.empty()) return Errc::bad_role_name;
  if (colon == std::string_view::npos) return role;
  const std::string_view org = text.substr(colon + 1);
  if (org.find(':') != std::string_view::npos) return Errc::bad_role_name;
  std::optional<std::string> uuid = detail::canonical_uuid(org);
  if (!uuid) return Errc::bad_role_name;
  if (*uuid != kNilId) role.org = std::move(*uuid);
  return role;
}

std::string to_string(const RoleName& role) {
  return role.org.empty() ? role.name : role.name + ":" + role.org;
}

std::span<const NamedRole> named_roles() {
  return kNamedRoles;
}

bool is_reserved_role_name(std::string_view name) noexcept {
  const auto& rules = detail::kAssignableRoles;
  return find_table(name) != nullptr || std::any_of(std::begin(rules), std::end(rules), [&](const auto& rule) {
           return rule.actor == name ||
                  std::find(rule.may_assign.begin(), rule.may_assign.end(), name) != rule.may_assign.end();
         });
}

Result<Role> find_built_in_role(const RoleName& role, const RoleOptions& options) {
  const detail::RoleTable* table = find_table(role.name);
  if (!table || table->role.kind == RoleKind::org_system) return Errc::unknown_role;
  return expand_role(role, options);
}

Result<Role> expand_role(const RoleName& role, const RoleOptions& options) {
  const detail::RoleTable* table = find_table(role.name);
  const bool has_org = !role.org.empty() && role.org != kNilId;
  if (!table || has_org != (table->role.kind != RoleKind::site)) return Errc::unknown_role;
  return make_role(*table, role, options);
}

Result<Role> expand_role(std::string_view role, const RoleOptions& options) {
  const Result<RoleName> name = parse_role_name(role);
  if (!name) return name.error();
  return expand_role(*name, options);
}

}  // namespace tally::authz
