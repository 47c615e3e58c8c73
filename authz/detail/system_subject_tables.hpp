#pragma once
#include "authz/object.hpp"
#include "authz/permission.hpp"
#include "authz/system_subject.hpp"

/// What the parts of the platform that act for themselves hold, all of it at site level; `sub_agent_api` alone has its
/// permissions as a member of one org. An exclamation mark: an action that the resource does not have, kept because the
/// subject lists it.
namespace tally::authz::detail {

struct SystemSubjectTable {
  SystemSubject subject;
  std::span<const KnownPermission> site;
  std::span<const KnownPermission> member;
};

inline constexpr auto& kProvisionerd = kPermissions<
    "api_key:* file:create,read group:read notification_message:create,read organization:read "
    "provisioner_jobs:read,update,create system:* task:read,update,delete template:read,update "
    "usage_event:create user:read,read_personal,update_personal user_secret:read "
    "workspace:delete,read,update,start,stop,create_agent workspace_agent_devcontainers:create "
    "workspace_agent_resource_monitor:create workspace_dormant:delete,read,update,stop,create_agent">;
inline constexpr auto& kAutostart = kPermissions<
    "file:read notification_message:create,read organization_member:read system:* task:read,update "
    "template:read,update user:read user_secret:read workspace:delete,read,update,start,stop "
    "workspace_dormant:delete,read,update,stop">;
inline constexpr auto& kJobReaper = kPermissions<
    "provisioner_jobs:read,update system:* template:read,update workspace:read,update "
    "workspace_dormant:read,update">;
inline constexpr auto& kCryptoKeyRotator = kPermissions<"crypto_key:*">;
inline constexpr auto& kCryptoKeyReader = kPermissions<"crypto_key:*">;
inline constexpr auto& kConnectionLogger = kPermissions<"connection_log:update,read">;
inline constexpr auto& kNotifier = kPermissions<
    "deployment_config:read,update inbox_notification:create notification_message:create,read,update,delete "
    "webpush_subscription:create,read,update!,delete">;
inline constexpr auto& kResourceMonitor = kPermissions<"workspace_agent_resource_monitor:update">;
inline constexpr auto& kSubAgentApi = kPermissions<"workspace:read,update,create_agent,delete_agent,update_agent">;
inline constexpr auto& kSystemRestricted = kPermissions<
    "*:read api_key:create,read,update,delete assign_org_role:assign,unassign,create,read,update,delete "
    "assign_role:assign,unassign,read crypto_key:create,update,delete "
    "deployment_config:create!,update,delete! file:create,read group:create,update "
    "notification_message:create,read,update,delete notification_preference:create!,update,delete! "
    "notification_template:create!,update,delete! oauth2_app:create,read,update,delete "
    "oauth2_app_secret:create,read,update,delete organization:create,read "
    "organization_member:create,delete,read provisioner_daemon:create,read,update "
    "provisioner_jobs:read,update,create system:* "
    "user:read,create,update,delete,read_personal,update_personal "
    "workspace:update,delete,start,stop,ssh,create_agent,delete_agent,update_agent "
    "workspace_dormant:update,delete,stop workspace_proxy:create,update,delete">;
inline constexpr auto& kSystemOauth2 = kPermissions<
    "api_key:read,delete oauth2_app:create,read,update,delete oauth2_app_code_token:create,read,delete "
    "oauth2_app_secret:create,read,update,delete organization:read user:read">;
inline constexpr auto& kSystemReadProvisionerDaemons = kPermissions<"provisioner_daemon:read">;
inline constexpr auto& kPrebuildsOrchestrator = kPermissions<
    "assign_org_role:assign file:read group:read,create,update group_member:read organization:read "
    "organization_member:read,create prebuilt_workspace:update,delete template:read,update,use,view_insights "
    "user:read workspace:create,delete,read,update,start,stop">;
inline constexpr auto& kFileReader = kPermissions<"file:read">;
inline constexpr auto& kUsagePublisher = kPermissions<"license:read usage_event:read,update">;
inline constexpr auto& kAibridged =
    kPermissions<"aibridge_interception:create,read,update,delete! api_key:read user:read,read_personal">;
inline constexpr auto& kDbpurge =
    kPermissions<"aibridge_interception:delete! api_key:delete notification_message:delete system:delete">;
inline constexpr auto& kBoundaryUsageTracker = kPermissions<"boundary_usage:read,update,delete">;
inline constexpr auto& kWorkspaceBuilder =
    kPermissions<"provisioner_daemon:read provisioner_jobs:update template:update">;
/// This program's own: writes usage events for collectors, and nothing else.
inline constexpr auto& kUsageCollector = kPermissions<"usage_event:create">;

inline constexpr SystemSubjectTable kSystemSubjects[] = {
    {{"provisionerd", kNilId, "provisionerd"}, kProvisionerd, {}},
    {{"autostart", kNilId, "autostart"}, kAutostart, {}},
    {{"job_reaper", kNilId, "jobreaper"}, kJobReaper, {}},
    {{"crypto_key_rotator", kNilId, "keyrotator"}, kCryptoKeyRotator, {}},
    {{"crypto_key_reader", kNilId, "keyrotator"}, kCryptoKeyReader, {}},
    {{"connection_logger", kNilId, "connectionlogger"}, kConnectionLogger, {}},
    {{"notifier", kNilId, "notifier"}, kNotifier, {}},
    {{"resource_monitor", kNilId, "resourcemonitor"}, kResourceMonitor, {}},
    {{"sub_agent_api", "", "subagentapi"}, {}, kSubAgentApi},
    {{"system_restricted", kNilId, "system"}, kSystemRestricted, {}},
    {{"system_oauth2", kNilId, "system-oauth2"}, kSystemOauth2, {}},
    {{"system_read_provisioner_daemons", kNilId, "system-read-provisioner-daemons"}, kSystemReadProvisionerDaemons, {}},
    {{"prebuilds_orchestrator", kPrebuildsUserId, "prebuilds-orchestrator"}, kPrebuildsOrchestrator, {}},
    {{"file_reader", "acbf0be6-6fed-47b6-8c43-962cb5cab994", "file-reader"}, kFileReader, {}},
    {{"usage_publisher", kNilId, "usage-publisher"}, kUsagePublisher, {}},
    {{"aibridged", kNilId, "aibridged"}, kAibridged, {}},
    {{"dbpurge", kNilId, "dbpurge"}, kDbpurge, {}},
    {{"boundary_usage_tracker", kNilId, "boundary-usage-tracker"}, kBoundaryUsageTracker, {}},
    {{"workspace_builder", kNilId, "workspace-builder"}, kWorkspaceBuilder, {}},
    {{"usage_collector", kNilId, "usage-collector"}, kUsageCollector, {}},
};

}  // namespace tally::authz::detail
