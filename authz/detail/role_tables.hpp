#pragma once
#include "authz/permission.hpp"
#include "authz/role.hpp"

/// What the named roles hold. Words are checked by the compiler against the catalog (authz/permission.hpp).
namespace tally::authz::detail {

struct RoleTable {
  NamedRole role;
  std::span<const KnownPermission> site;
  std::span<const KnownPermission> user;
  std::span<const KnownPermission> org;
  std::span<const KnownPermission> member;
};

inline constexpr auto& kOwnerSite = kPermissions<
    "aibridge_interception:* api_key:* assign_org_role:* assign_role:* audit_log:* connection_log:* "
    "crypto_key:* debug_info:* deployment_config:* deployment_stats:* file:* group:* group_member:* "
    "idpsync_settings:* inbox_notification:* license:* notification_message:* notification_preference:* "
    "notification_template:* oauth2_app:* oauth2_app_code_token:* oauth2_app_secret:* organization:* "
    "organization_member:* provisioner_daemon:* provisioner_jobs:* replicas:* system:* tailnet_coordinator:* "
    "task:* template:* user:* webpush_subscription:* workspace_agent_devcontainers:* "
    "workspace_agent_resource_monitor:* workspace_proxy:* prebuilt_workspace:update,delete "
    "workspace:create,read,update,delete,start,stop,ssh,application_connect,create_agent,delete_agent,update_agent,"
    "share "
    "workspace_dormant:read,delete,create,update,stop,create_agent,delete_agent,update_agent">;
/// With `no_owner_workspace_exec`.
inline constexpr auto kOwnerSiteWithoutExec = without<kOwnerSite, kPermissions<"workspace:ssh,application_connect">>();

inline constexpr auto& kMemberSite = kPermissions<"assign_role:read oauth2_app:read workspace_proxy:read">;
/// With `no_workspace_sharing`.
inline constexpr auto kMemberSiteWithoutSharing = joined(kMemberSite, kPermissions<"-workspace:share">);
inline constexpr auto& kMemberUser = kPermissions<
    "api_key:* assign_org_role:* assign_role:* audit_log:* connection_log:* crypto_key:* debug_info:* "
    "deployment_config:* deployment_stats:* file:* group:* group_member:* idpsync_settings:* "
    "inbox_notification:* license:* notification_message:* notification_preference:* notification_template:* "
    "oauth2_app:* oauth2_app_code_token:* oauth2_app_secret:* organization:* provisioner_daemon:* "
    "provisioner_jobs:* replicas:* system:* tailnet_coordinator:* task:* template:* usage_event:* "
    "user_secret:* webpush_subscription:* workspace_agent_devcontainers:* workspace_agent_resource_monitor:* "
    "workspace_proxy:* aibridge_interception:create,update provisioner_daemon:read,create,update "
    "user:read,read_personal,update_personal">;

inline constexpr auto& kAuditorSite = kPermissions<
    "aibridge_interception:read assign_org_role:read audit_log:read connection_log:read "
    "deployment_config:read deployment_stats:read group:read group_member:read organization:read "
    "organization_member:read template:read,view_insights user:read">;

inline constexpr auto& kTemplateAdminSite = kPermissions<
    "assign_org_role:read file:create,read group:read group_member:read organization:read "
    "organization_member:read prebuilt_workspace:update,delete provisioner_daemon:create,read,update,delete "
    "template:create,use,read,update,delete,view_insights user:read workspace:read">;

inline constexpr auto& kUserAdminSite = kPermissions<
    "assign_org_role:assign,unassign,read assign_role:assign,unassign,read group:create,read,update,delete "
    "group_member:read idpsync_settings:read,update organization:read "
    "organization_member:create,read,update,delete "
    "user:create,read,update,delete,update_personal,read_personal">;

inline constexpr auto& kOrgAdminSite = kPermissions<"user:read">;
inline constexpr auto& kOrgAdminOrg = kPermissions<
    "aibridge_interception:* api_key:* assign_org_role:* audit_log:* connection_log:* crypto_key:* "
    "debug_info:* deployment_config:* deployment_stats:* file:* group:* group_member:* idpsync_settings:* "
    "inbox_notification:* license:* notification_message:* notification_preference:* notification_template:* "
    "oauth2_app:* oauth2_app_code_token:* oauth2_app_secret:* organization:* organization_member:* "
    "provisioner_daemon:* provisioner_jobs:* replicas:* system:* tailnet_coordinator:* task:* template:* "
    "usage_event:* user:* webpush_subscription:* workspace_agent_devcontainers:* "
    "workspace_agent_resource_monitor:* workspace_proxy:* prebuilt_workspace:update,delete "
    "workspace:create,read,update,delete,start,stop,create_agent,delete_agent,update_agent,share "
    "workspace_dormant:read,delete,create,update,stop,create_agent,delete_agent,update_agent">;

inline constexpr auto& kOrgAuditorOrg = kPermissions<
    "audit_log:read connection_log:read group:read group_member:read organization:read "
    "organization_member:read template:read,view_insights">;

inline constexpr auto& kOrgUserAdminSite = kPermissions<"user:read">;
inline constexpr auto& kOrgUserAdminOrg = kPermissions<
    "assign_org_role:assign,unassign,read group:create,read,update,delete group_member:read "
    "idpsync_settings:read,update organization:read organization_member:create,read,update,delete">;

inline constexpr auto& kOrgTemplateAdminOrg = kPermissions<
    "file:create,read group:read group_member:read organization:read organization_member:read "
    "prebuilt_workspace:update,delete provisioner_daemon:create,read,update,delete "
    "provisioner_jobs:read,update,create template:create,use,read,update,delete,view_insights workspace:read">;

inline constexpr auto& kOrgWorkspaceCreationBanOrg = kPermissions<"-workspace:create,delete,create_agent,delete_agent">;

inline constexpr auto& kOrgMemberOrg =
    kPermissions<"assign_org_role:read group:read organization:read organization_member:read provisioner_daemon:read">;
inline constexpr auto& kOrgMemberMember = kPermissions<
    "api_key:* assign_org_role:* assign_role:* audit_log:* boundary_usage:* connection_log:* crypto_key:* "
    "debug_info:* deployment_config:* deployment_stats:* file:* group:* group_member:* idpsync_settings:* "
    "inbox_notification:* license:* notification_message:* notification_preference:* notification_template:* "
    "oauth2_app:* oauth2_app_code_token:* oauth2_app_secret:* organization:* provisioner_daemon:* "
    "provisioner_jobs:* replicas:* system:* tailnet_coordinator:* task:* template:* usage_event:* "
    "user_secret:* webpush_subscription:* workspace:* workspace_agent_devcontainers:* "
    "workspace_agent_resource_monitor:* workspace_proxy:* aibridge_interception:create,update "
    "organization_member:read "
    "workspace_dormant:read,delete,create,update,stop,create_agent,delete_agent,update_agent">;
/// Where the org has switched sharing off.
inline constexpr auto& kOrgMemberOrgWithoutSharing =
    kPermissions<"assign_org_role:read organization:read provisioner_daemon:read -workspace:share">;
inline constexpr auto kOrgMemberMemberWithoutSharing = joined(kOrgMemberMember, kPermissions<"-workspace:share">);

inline constexpr RoleTable kRoleTables[] = {
    {{"owner", "Owner", RoleKind::site}, kOwnerSite, {}, {}, {}},
    {{"member", "Member", RoleKind::site}, kMemberSite, kMemberUser, {}, {}},
    {{"auditor", "Auditor", RoleKind::site}, kAuditorSite, {}, {}, {}},
    {{"template-admin", "Template Admin", RoleKind::site}, kTemplateAdminSite, {}, {}, {}},
    {{"user-admin", "User Admin", RoleKind::site}, kUserAdminSite, {}, {}, {}},
    {{"organization-admin", "Organization Admin", RoleKind::org}, kOrgAdminSite, {}, kOrgAdminOrg, {}},
    {{"organization-auditor", "Organization Auditor", RoleKind::org}, {}, {}, kOrgAuditorOrg, {}},
    {{"organization-user-admin", "Organization User Admin", RoleKind::org},
     kOrgUserAdminSite,
     {},
     kOrgUserAdminOrg,
     {}},
    {{"organization-template-admin", "Organization Template Admin", RoleKind::org}, {}, {}, kOrgTemplateAdminOrg, {}},
    {{"organization-workspace-creation-ban", "Organization Workspace Creation Ban", RoleKind::org},
     {},
     {},
     kOrgWorkspaceCreationBanOrg,
     {}},
    {{"organization-member", "", RoleKind::org_system}, {}, {}, kOrgMemberOrg, kOrgMemberMember},
};

/// Who may give or take which role: names of the actor's roles -> names of the roles it may give. Roles that the store
/// holds count as `custom-organization-role` or `custom-site-role`.
struct AssignableRoles {
  std::string_view actor;
  std::span<const std::string_view> may_assign;
};

inline constexpr std::string_view kAnyRole[] = {
    "owner",
    "auditor",
    "member",
    "organization-admin",
    "organization-member",
    "organization-auditor",
    "organization-user-admin",
    "organization-template-admin",
    "organization-workspace-creation-ban",
    "template-admin",
    "user-admin",
    "custom-site-role",
    "custom-organization-role",
};
inline constexpr std::string_view kUserAdminAssigns[] = {
    "member",
    "organization-member",
};
inline constexpr std::string_view kOrgAdminAssigns[] = {
    "organization-admin",       "organization-member",         "organization-auditor",
    "organization-user-admin",  "organization-template-admin", "organization-workspace-creation-ban",
    "custom-organization-role",
};
inline constexpr std::string_view kOnlyOrgMember[] = {
    "organization-member",
};
inline constexpr AssignableRoles kAssignableRoles[] = {
    {"owner", kAnyRole},
    {"system", kAnyRole},
    {"user-admin", kUserAdminAssigns},
    {"organization-admin", kOrgAdminAssigns},
    {"organization-user-admin", kOnlyOrgMember},
    {"prebuilds-orchestrator", kOnlyOrgMember},
};

}  // namespace tally::authz::detail
