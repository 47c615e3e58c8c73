#include <algorithm>

#include "daemon/api/context.hpp"

namespace tally::daemon::api {
namespace {

using authz::Action;
using authz::Type;
using http::Verb;

constexpr std::string_view kEventTypes[] = {"application/json", "application/x-ndjson", "application/cloudevents+json",
                                            "application/cloudevents-batch+json"};
constexpr std::string_view kJsonType[] = {"application/json"};

constexpr Permission kReadUsage = Permission::check(Type::boundary_usage, Action::read);
constexpr Permission kDeleteUsage = Permission::check(Type::boundary_usage, Action::delete_);
constexpr Permission kCloseUsage = Permission::check(Type::boundary_usage, Action::read, Action::delete_);
constexpr Permission kIngestUsage = Permission::ingest(Type::boundary_usage, Action::update);
constexpr Permission kReadConnections = Permission::object(Type::connection_log, Action::read);
constexpr Permission kIngestConnections = Permission::ingest_in_organizations(Type::connection_log, Action::update);

constexpr Permission kIngestEvents = Permission::check(Type::usage_event, Action::create);
constexpr Permission kReadEvents = Permission::check(Type::usage_event, Action::read);

// On which of them is seen in the path, in the body or in the database, so the handlers decide.
constexpr Permission kReadUser = Permission::object(Type::user, Action::read);
constexpr Permission kPutUser = Permission::object(Type::user, Action::create, Action::update);
constexpr Permission kDeleteUser = Permission::object(Type::user, Action::delete_);
constexpr Permission kReadOrganization = Permission::object(Type::organization, Action::read);
constexpr Permission kPutOrganization = Permission::object(Type::organization, Action::create, Action::update);
constexpr Permission kDeleteOrganization = Permission::object(Type::organization, Action::delete_);
constexpr Permission kReadMember = Permission::object(Type::organization_member, Action::read);
constexpr Permission kPutMember = Permission::object(Type::organization_member, Action::create, Action::update);
constexpr Permission kDeleteMember = Permission::object(Type::organization_member, Action::delete_);
constexpr Permission kReadGroup = Permission::object(Type::group, Action::read);
constexpr Permission kPutGroup = Permission::object(Type::group, Action::create, Action::update);
constexpr Permission kDeleteGroup = Permission::object(Type::group, Action::delete_);
constexpr Permission kReadRole = Permission::object(Type::assign_org_role, Action::read);
constexpr Permission kPutRole = Permission::object(Type::assign_org_role, Action::create, Action::update);
constexpr Permission kDeleteRole = Permission::object(Type::assign_org_role, Action::delete_);
constexpr Permission kMakeToken = Permission::object(Type::api_key, Action::create);
constexpr Permission kReadToken = Permission::object(Type::api_key, Action::read);
constexpr Permission kRevokeToken = Permission::object(Type::api_key, Action::delete_);

// The API: method, path, who may, what answers, which bodies.
constexpr Route kRoutes[] = {
    {Verb::post, "/api/v1/boundary-usage/events", kIngestUsage, &post_boundary_events, kEventTypes},
    {Verb::post, "/api/v1/boundary-usage/logs", kIngestUsage, &post_boundary_logs, kJsonType},
    {Verb::get, "/api/v1/boundary-usage/summary", kReadUsage, &get_summary},
    {Verb::post, "/api/v1/boundary-usage/reports", kCloseUsage, &post_report, kJsonType},
    {Verb::get, "/api/v1/boundary-usage/reports", kReadUsage, &get_reports},
    {Verb::get, "/api/v1/boundary-usage/reports/{period}", kReadUsage, &get_report},
    {Verb::get, "/api/v1/boundary-usage/history", kReadUsage, &get_history},
    {Verb::delete_, "/api/v1/boundary-usage", kDeleteUsage, &delete_usage},
    {Verb::delete_, "/api/v1/boundary-usage/replicas/{replica_id}", kDeleteUsage, &delete_replica},
    {Verb::post, "/api/v1/connection-log/events", kIngestConnections, &post_connection_events, kEventTypes},
    {Verb::get, "/api/v1/connection-log", kReadConnections, &get_connections},
    {Verb::post, "/api/v1/usage-events", kIngestEvents, &post_usage_events, kEventTypes},
    {Verb::get, "/api/v1/usage-events", kReadEvents, &get_usage_events},
    {Verb::get, "/api/v1/ledger", kReadUsage, &get_ledger},
    {Verb::get, "/api/v1/users", kReadUser, &get_users},
    {Verb::get, "/api/v1/users/{id}", kReadUser, &get_user},
    {Verb::put, "/api/v1/users/{id}", kPutUser, &put_user, kJsonType},
    {Verb::delete_, "/api/v1/users/{id}", kDeleteUser, &delete_user},
    {Verb::get, "/api/v1/organizations", kReadOrganization, &get_organizations},
    {Verb::get, "/api/v1/organizations/{id}", kReadOrganization, &get_organization},
    {Verb::put, "/api/v1/organizations/{id}", kPutOrganization, &put_organization, kJsonType},
    {Verb::delete_, "/api/v1/organizations/{id}", kDeleteOrganization, &delete_organization},
    {Verb::get, "/api/v1/organizations/{id}/members", kReadMember, &get_members},
    {Verb::get, "/api/v1/organizations/{id}/members/{user_id}", kReadMember, &get_member},
    {Verb::put, "/api/v1/organizations/{id}/members/{user_id}", kPutMember, &put_member, kJsonType},
    {Verb::delete_, "/api/v1/organizations/{id}/members/{user_id}", kDeleteMember, &delete_member},
    {Verb::get, "/api/v1/organizations/{id}/groups", kReadGroup, &get_groups},
    {Verb::get, "/api/v1/organizations/{id}/groups/{group_id}", kReadGroup, &get_group},
    {Verb::put, "/api/v1/organizations/{id}/groups/{group_id}", kPutGroup, &put_group, kJsonType},
    {Verb::delete_, "/api/v1/organizations/{id}/groups/{group_id}", kDeleteGroup, &delete_group},
    {Verb::get, "/api/v1/organizations/{id}/roles", kReadRole, &get_roles},
    {Verb::get, "/api/v1/organizations/{id}/roles/{name}", kReadRole, &get_role},
    {Verb::put, "/api/v1/organizations/{id}/roles/{name}", kPutRole, &put_role, kJsonType},
    {Verb::delete_, "/api/v1/organizations/{id}/roles/{name}", kDeleteRole, &delete_role},
    {Verb::post, "/api/v1/tokens", kMakeToken, &post_token, kJsonType},
    {Verb::get, "/api/v1/tokens", kReadToken, &get_tokens},
    {Verb::get, "/api/v1/tokens/{id}", kReadToken, &get_token},
    {Verb::delete_, "/api/v1/tokens/{id}", kRevokeToken, &delete_token},
    {Verb::post, "/api/v1/authz/check", Permission::signed_in(), &post_authz_check, kJsonType},
    {Verb::get, "/api/v1/authz/whoami", Permission::signed_in(), &get_whoami},
    {Verb::get, "/api/v1/authz/catalog", Permission::signed_in(), &get_catalog},
    {Verb::get, "/api/v1/openapi.json", Permission::open(), &get_openapi},

    // Operations last.
    {Verb::get, "/healthz", Permission::open(), &get_healthz},
    {Verb::get, "/readyz", Permission::open(), &get_readyz},
    {Verb::get, "/metrics", Permission::open(), &get_metrics},
    {Verb::get, "/version", Permission::open(), &get_version},
};

constexpr bool is_api(const Route& route) {
  return route.pattern.starts_with("/api/");
}
constexpr auto kFirstOperation = std::find_if_not(std::begin(kRoutes), std::end(kRoutes), is_api);
static_assert(std::none_of(kFirstOperation, std::end(kRoutes), is_api), "operations stand behind the API");

}  // namespace

std::span<const Route> routes() {
  return kRoutes;
}

std::span<const Route> routes_of(Surface surface) {
  if (surface == Surface::api) return {std::begin(kRoutes), kFirstOperation};
  return {kFirstOperation, std::end(kRoutes)};
}

}  // namespace tally::daemon::api
