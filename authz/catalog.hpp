#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

/// What there is to permit: resource types, and the actions each of them has. The only place that lists them.
namespace tally::authz {

/// `any` is `*` in a permission: every type. Asked about, it is an ordinary word that only `*` permissions match.
enum class Type : std::uint8_t {
  any,
  user,
  workspace,
  task,
  workspace_dormant,
  prebuilt_workspace,
  workspace_proxy,
  license,
  audit_log,
  connection_log,
  deployment_config,
  deployment_stats,
  replicas,
  template_,
  group,
  group_member,
  file,
  provisioner_daemon,
  provisioner_jobs,
  organization,
  organization_member,
  debug_info,
  system,
  api_key,
  tailnet_coordinator,
  assign_role,
  assign_org_role,
  oauth2_app,
  oauth2_app_secret,
  oauth2_app_code_token,
  notification_message,
  notification_template,
  notification_preference,
  webpush_subscription,
  inbox_notification,
  crypto_key,
  idpsync_settings,
  workspace_agent_resource_monitor,
  workspace_agent_devcontainers,
  user_secret,
  usage_event,
  aibridge_interception,
  boundary_usage,
};

/// `any` is `*` in a permission: every action, also ones that the catalog does not know.
enum class Action : std::uint8_t {
  any,
  create,
  read,
  update,
  delete_,
  read_personal,
  update_personal,
  start,
  stop,
  ssh,
  application_connect,
  create_agent,
  delete_agent,
  update_agent,
  share,
  use,
  view_insights,
  assign,
  unassign,
};

inline constexpr std::size_t kTypeCount = 43;    // with `any`
inline constexpr std::size_t kActionCount = 19;  // with `any`

struct ActionInfo {
  Action action;
  std::string_view summary;
};

struct ResourceInfo {
  Type type;
  std::string_view name;
  std::string_view note;
  std::span<const ActionInfo> actions;
};

inline constexpr std::array<std::string_view, kActionCount> kActionNames = {
    "*",
    "create",
    "read",
    "update",
    "delete",
    "read_personal",
    "update_personal",
    "start",
    "stop",
    "ssh",
    "application_connect",
    "create_agent",
    "delete_agent",
    "update_agent",
    "share",
    "use",
    "view_insights",
    "assign",
    "unassign",
};

namespace detail {
/// The actions of each type, by type.

inline constexpr ActionInfo k_user[] = {
    {Action::read, "see a user"},
    {Action::create, "add a user"},
    {Action::update, "change a user"},
    {Action::delete_, "remove a user"},
    {Action::read_personal, "see private settings and linked logins"},
    {Action::update_personal, "change private settings and linked logins"},
};
inline constexpr ActionInfo k_workspace[] = {
    {Action::create, "make a workspace"},
    {Action::read, "see a workspace and its details"},
    {Action::update, "change workspace settings (schedule, parameters, sharing metadata)"},
    {Action::delete_, "remove a workspace"},
    {Action::start, "run a start build"},
    {Action::stop, "run a stop build"},
    {Action::ssh, "open a shell or tunnel into it"},
    {Action::application_connect, "open one of its web apps or ports"},
    {Action::create_agent, "add a (sub)agent"},
    {Action::delete_agent, "drop a (sub)agent"},
    {Action::update_agent, "change a (sub)agent"},
    {Action::share, "edit who it is shared with"},
};
inline constexpr ActionInfo k_task[] = {
    {Action::create, "make a task"},
    {Action::read, "see a task"},
    {Action::update, "change a task"},
    {Action::delete_, "remove a task"},
};
inline constexpr ActionInfo k_workspace_dormant[] = {
    {Action::create, "make a workspace"},
    {Action::read, "see a workspace and its details"},
    {Action::update, "change workspace settings (schedule, parameters, sharing metadata)"},
    {Action::delete_, "remove a workspace"},
    {Action::start, "run a start build"},
    {Action::stop, "run a stop build"},
    {Action::ssh, "open a shell or tunnel into it"},
    {Action::application_connect, "open one of its web apps or ports"},
    {Action::create_agent, "add a (sub)agent"},
    {Action::delete_agent, "drop a (sub)agent"},
    {Action::update_agent, "change a (sub)agent"},
    {Action::share, "edit who it is shared with"},
};
inline constexpr ActionInfo k_prebuilt_workspace[] = {
    {Action::update, "update a not-yet-claimed prebuilt workspace"},
    {Action::delete_, "remove a not-yet-claimed prebuilt workspace"},
};
inline constexpr ActionInfo k_workspace_proxy[] = {
    {Action::create, "make a workspace proxy"},
    {Action::read, "see a workspace proxy"},
    {Action::update, "change a workspace proxy"},
    {Action::delete_, "remove a workspace proxy"},
};
inline constexpr ActionInfo k_license[] = {
    {Action::create, "add a license"},
    {Action::read, "see licenses"},
    {Action::delete_, "remove a license"},
};
inline constexpr ActionInfo k_audit_log[] = {
    {Action::read, "see audit entries"},
    {Action::create, "write audit entries"},
};
inline constexpr ActionInfo k_connection_log[] = {
    {Action::read, "see connection entries"},
    {Action::update, "write connection entries (upsert)"},
};
inline constexpr ActionInfo k_deployment_config[] = {
    {Action::read, "see deployment settings"},
    {Action::update, "change stored deployment settings"},
};
inline constexpr ActionInfo k_deployment_stats[] = {
    {Action::read, "see deployment statistics"},
};
inline constexpr ActionInfo k_replicas[] = {
    {Action::read, "see replicas"},
};
inline constexpr ActionInfo k_template[] = {
    {Action::create, "make a template"},    {Action::use, "start a new workspace from it"},
    {Action::read, "see a template"},       {Action::update, "change a template"},
    {Action::delete_, "remove a template"}, {Action::view_insights, "see its usage insights"},
};
inline constexpr ActionInfo k_group[] = {
    {Action::create, "make a group"},
    {Action::read, "see a group"},
    {Action::update, "change a group"},
    {Action::delete_, "remove a group"},
};
inline constexpr ActionInfo k_group_member[] = {
    {Action::read, "see a group membership"},
};
inline constexpr ActionInfo k_file[] = {
    {Action::create, "upload a file"},
    {Action::read, "see a file"},
};
inline constexpr ActionInfo k_provisioner_daemon[] = {
    {Action::create, "register a daemon or key"},
    {Action::read, "see daemons"},
    {Action::update, "change a daemon"},
    {Action::delete_, "remove a daemon or key"},
};
inline constexpr ActionInfo k_provisioner_jobs[] = {
    {Action::read, "see jobs"},
    {Action::update, "change jobs"},
    {Action::create, "queue jobs"},
};
inline constexpr ActionInfo k_organization[] = {
    {Action::create, "make an organization"},
    {Action::read, "see an organization"},
    {Action::update, "change an organization"},
    {Action::delete_, "remove an organization"},
};
inline constexpr ActionInfo k_organization_member[] = {
    {Action::create, "make an org membership"},
    {Action::read, "see an org membership"},
    {Action::update, "change an org membership"},
    {Action::delete_, "remove an org membership"},
};
inline constexpr ActionInfo k_debug_info[] = {
    {Action::read, "reach debug endpoints"},
};
inline constexpr ActionInfo k_system[] = {
    {Action::create, "make internal system state"},
    {Action::read, "see internal system state"},
    {Action::update, "change internal system state"},
    {Action::delete_, "remove internal system state"},
};
inline constexpr ActionInfo k_api_key[] = {
    {Action::create, "make an API key"},
    {Action::read, "see an API key"},
    {Action::update, "change an API key"},
    {Action::delete_, "remove an API key"},
};
inline constexpr ActionInfo k_tailnet_coordinator[] = {
    {Action::create, "make tailnet coordinator state"},
    {Action::read, "see tailnet coordinator state"},
    {Action::update, "change tailnet coordinator state"},
    {Action::delete_, "remove tailnet coordinator state"},
};
inline constexpr ActionInfo k_assign_role[] = {
    {Action::assign, "give a site role"},
    {Action::unassign, "take a site role away"},
    {Action::read, "list assignable site roles"},
};
inline constexpr ActionInfo k_assign_org_role[] = {
    {Action::assign, "give an org role"},         {Action::unassign, "take an org role away"},
    {Action::create, "make a custom org role"},   {Action::read, "list assignable org roles"},
    {Action::update, "change a custom org role"}, {Action::delete_, "remove a custom org role"},
};
inline constexpr ActionInfo k_oauth2_app[] = {
    {Action::create, "make an OAuth2 app"},
    {Action::read, "see an OAuth2 app"},
    {Action::update, "change an OAuth2 app"},
    {Action::delete_, "remove an OAuth2 app"},
};
inline constexpr ActionInfo k_oauth2_app_secret[] = {
    {Action::create, "make an OAuth2 app secret"},
    {Action::read, "see an OAuth2 app secret"},
    {Action::update, "change an OAuth2 app secret"},
    {Action::delete_, "remove an OAuth2 app secret"},
};
inline constexpr ActionInfo k_oauth2_app_code_token[] = {
    {Action::create, "issue a code or token"},
    {Action::read, "see a code or token"},
    {Action::delete_, "revoke a code or token"},
};
inline constexpr ActionInfo k_notification_message[] = {
    {Action::create, "make a notification message"},
    {Action::read, "see a notification message"},
    {Action::update, "change a notification message"},
    {Action::delete_, "remove a notification message"},
};
inline constexpr ActionInfo k_notification_template[] = {
    {Action::read, "see notification templates"},
    {Action::update, "change notification templates"},
};
inline constexpr ActionInfo k_notification_preference[] = {
    {Action::read, "see notification preferences"},
    {Action::update, "change notification preferences"},
};
inline constexpr ActionInfo k_webpush_subscription[] = {
    {Action::create, "subscribe to web push"},
    {Action::read, "see subscriptions"},
    {Action::delete_, "unsubscribe"},
};
inline constexpr ActionInfo k_inbox_notification[] = {
    {Action::create, "add an inbox item"},
    {Action::read, "see inbox items"},
    {Action::update, "mark inbox items"},
};
inline constexpr ActionInfo k_crypto_key[] = {
    {Action::create, "make a crypto key"},
    {Action::read, "see a crypto key"},
    {Action::update, "change a crypto key"},
    {Action::delete_, "remove a crypto key"},
};
inline constexpr ActionInfo k_idpsync_settings[] = {
    {Action::read, "see IdP sync settings"},
    {Action::update, "change IdP sync settings"},
};
inline constexpr ActionInfo k_workspace_agent_resource_monitor[] = {
    {Action::read, "see a resource monitor"},
    {Action::create, "add a resource monitor"},
    {Action::update, "change a resource monitor"},
};
inline constexpr ActionInfo k_workspace_agent_devcontainers[] = {
    {Action::create, "record devcontainers"},
};
inline constexpr ActionInfo k_user_secret[] = {
    {Action::create, "make a user secret (metadata and value)"},
    {Action::read, "see a user secret (metadata and value)"},
    {Action::update, "change a user secret (metadata and value)"},
    {Action::delete_, "remove a user secret (metadata and value)"},
};
inline constexpr ActionInfo k_usage_event[] = {
    {Action::create, "record a billable usage event"},
    {Action::read, "see usage events"},
    {Action::update, "mark usage events"},
};
inline constexpr ActionInfo k_aibridge_interception[] = {
    {Action::read, "see AI bridge records"},
    {Action::update, "change AI bridge records"},
    {Action::create, "write AI bridge records"},
};
inline constexpr ActionInfo k_boundary_usage[] = {
    {Action::read, "see boundary usage counters"},
    {Action::update, "upsert boundary usage counters"},
    {Action::delete_, "reset or drop boundary usage counters"},
};
}  // namespace detail

inline constexpr std::array<ResourceInfo, kTypeCount> kCatalog = {{
    {Type::any, "*", "stands for every type in permissions and allow lists; has no actions of its own", {}},
    {Type::user, "user", "never in an org; owned by itself", detail::k_user},
    {Type::workspace, "workspace", "owned by an org and a user", detail::k_workspace},
    {Type::task, "task", "owned by an org and a user", detail::k_task},
    {Type::workspace_dormant, "workspace_dormant",
     "type a workspace takes while it is dormant; roles give it fewer actions", detail::k_workspace_dormant},
    {Type::prebuilt_workspace, "prebuilt_workspace",
     "used only as a second chance for update/delete of workspaces owned by the prebuilds user",
     detail::k_prebuilt_workspace},
    {Type::workspace_proxy, "workspace_proxy", "site", detail::k_workspace_proxy},
    {Type::license, "license", "site; immutable, so no update", detail::k_license},
    {Type::audit_log, "audit_log", "may carry an org", detail::k_audit_log},
    {Type::connection_log, "connection_log", "may carry an org; no create, no delete", detail::k_connection_log},
    {Type::deployment_config, "deployment_config", "site", detail::k_deployment_config},
    {Type::deployment_stats, "deployment_stats", "site", detail::k_deployment_stats},
    {Type::replicas, "replicas", "site", detail::k_replicas},
    {Type::template_, "template", "owned by an org, has user and group ACL", detail::k_template},
    {Type::group, "group", "owned by an org; its own id is in its group ACL with read", detail::k_group},
    {Type::group_member, "group_member", "owned by an org and the member", detail::k_group_member},
    {Type::file, "file", "owned by a user, no org", detail::k_file},
    {Type::provisioner_daemon, "provisioner_daemon", "org; owner when user-scoped", detail::k_provisioner_daemon},
    {Type::provisioner_jobs, "provisioner_jobs", "org", detail::k_provisioner_jobs},
    {Type::organization, "organization", "the org is its own org owner, except on create", detail::k_organization},
    {Type::organization_member, "organization_member", "org and the member as owner", detail::k_organization_member},
    {Type::debug_info, "debug_info", "site", detail::k_debug_info},
    {Type::system, "system", "site; catch-all kept for old uses", detail::k_system},
    {Type::api_key, "api_key", "owned by a user", detail::k_api_key},
    {Type::tailnet_coordinator, "tailnet_coordinator", "site", detail::k_tailnet_coordinator},
    {Type::assign_role, "assign_role", "site", detail::k_assign_role},
    {Type::assign_org_role, "assign_org_role", "org", detail::k_assign_org_role},
    {Type::oauth2_app, "oauth2_app", "site", detail::k_oauth2_app},
    {Type::oauth2_app_secret, "oauth2_app_secret", "site", detail::k_oauth2_app_secret},
    {Type::oauth2_app_code_token, "oauth2_app_code_token", "user", detail::k_oauth2_app_code_token},
    {Type::notification_message, "notification_message", "site/user", detail::k_notification_message},
    {Type::notification_template, "notification_template", "site", detail::k_notification_template},
    {Type::notification_preference, "notification_preference", "user", detail::k_notification_preference},
    {Type::webpush_subscription, "webpush_subscription", "user", detail::k_webpush_subscription},
    {Type::inbox_notification, "inbox_notification", "user (org in some checks)", detail::k_inbox_notification},
    {Type::crypto_key, "crypto_key", "site", detail::k_crypto_key},
    {Type::idpsync_settings, "idpsync_settings", "org; bare for site-wide settings", detail::k_idpsync_settings},
    {Type::workspace_agent_resource_monitor, "workspace_agent_resource_monitor", "site",
     detail::k_workspace_agent_resource_monitor},
    {Type::workspace_agent_devcontainers, "workspace_agent_devcontainers", "site",
     detail::k_workspace_agent_devcontainers},
    {Type::user_secret, "user_secret", "owned by a user; not even the site owner reads others'", detail::k_user_secret},
    {Type::usage_event, "usage_event", "system subjects only", detail::k_usage_event},
    {Type::aibridge_interception, "aibridge_interception", "owned by the initiating user, no org",
     detail::k_aibridge_interception},
    {Type::boundary_usage, "boundary_usage", "system subject only; no create, upsert is update",
     detail::k_boundary_usage},
}};

constexpr std::string_view name(Type type) {
  return kCatalog[static_cast<std::size_t>(type)].name;
}
constexpr std::string_view name(Action action) {
  return kActionNames[static_cast<std::size_t>(action)];
}

/// Whether the type has the action itself: false for `any` on either side.
constexpr bool has_action(Type type, Action action) {
  for (const ActionInfo& each : kCatalog[static_cast<std::size_t>(type)].actions) {
    if (each.action == action) return true;
  }
  return false;
}

/// By exact word, `*` included; nothing for a word that the catalog does not know.
std::optional<Type> find_type(std::string_view word) noexcept;
std::optional<Action> find_action(std::string_view word) noexcept;

/// A type as asked: one of the catalog, or any other word, which then only `*` permissions and permissions with the
/// very same word match. The text must outlive it.
struct TypeWord {
  Type known = Type::any;
  std::string_view text;

  constexpr TypeWord() = default;
  constexpr TypeWord(Type type)
      : known(type), text(name(type)) {}  // NOLINT(google-explicit-constructor): a type is a word
  explicit TypeWord(std::string_view word) noexcept : known(find_type(word).value_or(Type::any)), text(word) {}
};

/// An action as asked; likewise.
struct ActionWord {
  Action known = Action::any;
  std::string_view text;

  constexpr ActionWord() = default;
  constexpr ActionWord(Action action) : known(action), text(name(action)) {}  // NOLINT(google-explicit-constructor)
  explicit ActionWord(std::string_view word) noexcept : known(find_action(word).value_or(Action::any)), text(word) {}
};

namespace detail {
consteval bool catalog_is_in_order() {
  for (std::size_t i = 0; i < kTypeCount; ++i) {
    if (static_cast<std::size_t>(kCatalog[i].type) != i || kCatalog[i].name.empty()) return false;
  }
  return kActionNames.back() == "unassign";
}
static_assert(catalog_is_in_order(), "kCatalog and kActionNames follow the order of their enums");
}  // namespace detail

}  // namespace tally::authz
