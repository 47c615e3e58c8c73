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

// The API: method, path, who may, what answers, which bodies.
constexpr Route kRoutes[] = {
    {Verb::post, "/api/v1/boundary-usage/events", kIngestUsage, &post_boundary_events, kEventTypes},
    {Verb::post, "/api/v1/boundary-usage/logs", kIngestUsage, &post_boundary_logs, kJsonType},
    {Verb::get, "/api/v1/boundary-usage/summary", kReadUsage, &get_summary},
    {Verb::post, "/api/v1/boundary-usage/reports", kCloseUsage, &post_report, kJsonType},
    {Verb::get, "/api/v1/boundary-usage/reports", kReadUsage, &get_reports},
    {Verb::get, "/api/v1/boundary-usage/reports/{period}", kReadUsage, &get_report},
    {Verb::delete_, "/api/v1/boundary-usage", kDeleteUsage, &delete_usage},
    {Verb::delete_, "/api/v1/boundary-usage/replicas/{replica_id}", kDeleteUsage, &delete_replica},
    {Verb::get, "/api/v1/ledger", kReadUsage, &get_ledger},
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
