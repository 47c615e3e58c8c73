#pragma once
#include "authz/permission.hpp"

/// What the named scopes hold, all of it at site level and for every object.
namespace tally::authz::detail {

struct ScopeTable {
  std::string_view name;
  std::span<const KnownPermission> site;
};

inline constexpr auto& kNoUserData = kPermissions<
    "workspace:* task:* workspace_dormant:* prebuilt_workspace:* workspace_proxy:* license:* audit_log:* "
    "connection_log:* deployment_config:* deployment_stats:* replicas:* template:* group:* group_member:* "
    "file:* provisioner_daemon:* provisioner_jobs:* organization:* organization_member:* debug_info:* "
    "system:* api_key:* tailnet_coordinator:* assign_role:* assign_org_role:* oauth2_app:* "
    "oauth2_app_secret:* oauth2_app_code_token:* notification_message:* notification_template:* "
    "notification_preference:* webpush_subscription:* inbox_notification:* crypto_key:* idpsync_settings:* "
    "workspace_agent_resource_monitor:* workspace_agent_devcontainers:* user_secret:* usage_event:* "
    "aibridge_interception:* boundary_usage:*">;

inline constexpr ScopeTable kBuiltInScopes[] = {
    {"coder:all", kPermissions<"*:*">},
    {"coder:application_connect", kPermissions<"workspace:application_connect">},
    {"no_user_data", kNoUserData},
};

inline constexpr ScopeTable kCompositeScopes[] = {
    {"coder:workspaces.create", kPermissions<"template:read,use workspace:create,update,read">},
    {"coder:workspaces.operate", kPermissions<"workspace:read,update">},
    {"coder:workspaces.delete", kPermissions<"workspace:read,delete">},
    {"coder:workspaces.access", kPermissions<"workspace:read,ssh,application_connect">},
    {"coder:templates.build", kPermissions<"file:create,read provisioner_jobs:read template:read">},
    {"coder:templates.author", kPermissions<"file:create,read template:read,create,update,delete,view_insights">},
    {"coder:apikeys.manage_self", kPermissions<"api_key:read,create,update,delete">},
};

/// The public list.
inline constexpr std::string_view kExternalScopes[] = {
    "coder:all",
    "coder:application_connect",
    "workspace:read",
    "workspace:create",
    "workspace:update",
    "workspace:delete",
    "workspace:ssh",
    "workspace:start",
    "workspace:stop",
    "workspace:application_connect",
    "workspace:*",
    "template:read",
    "template:create",
    "template:update",
    "template:delete",
    "template:use",
    "template:*",
    "api_key:read",
    "api_key:create",
    "api_key:update",
    "api_key:delete",
    "api_key:*",
    "file:read",
    "file:create",
    "file:*",
    "user:read_personal",
    "user:update_personal",
    "user_secret:read",
    "user_secret:create",
    "user_secret:update",
    "user_secret:delete",
    "user_secret:*",
    "task:create",
    "task:read",
    "task:update",
    "task:delete",
    "task:*",
    "organization:read",
    "organization:update",
    "organization:delete",
    "organization:*",
    "coder:apikeys.manage_self",
    "coder:templates.author",
    "coder:templates.build",
    "coder:workspaces.access",
    "coder:workspaces.create",
    "coder:workspaces.delete",
    "coder:workspaces.operate",
};

}  // namespace tally::authz::detail
