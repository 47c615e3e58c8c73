#pragma once
#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "daemon/auth/gate.hpp"
#include "daemon/config.hpp"
#include "daemon/connection_sinks.hpp"
#include "daemon/counting/heart.hpp"
#include "daemon/counting/intake.hpp"
#include "daemon/http/route_table.hpp"
#include "db/connection_log.hpp"
#include "db/directory.hpp"
#include "db/pg_store.hpp"
#include "db/token_store.hpp"
#include "db/usage_events.hpp"
#include "db/usage_history.hpp"
#include "metrics/authz_metrics.hpp"
#include "metrics/ingest_metrics.hpp"
#include "metrics/registry.hpp"
#include "metrics/report_metrics.hpp"
#include "tracker/key_memory.hpp"
#include "tracker/sequence_watch.hpp"

namespace tally::daemon::api {

struct Check {
  std::string_view name;
  bool ok = true;
  bool needed = true;  ///< without it ingest would not be accepted
  std::string detail;
};

/// What the handlers work with. Everything outlives the server.
struct Context {
  using Permission = daemon::Permission;

  Intake& intake;
  const Heart& heart;
  tracker::KeyMemory& keys;
  tracker::SequenceWatch& sequences;
  db::PgStore& store;
  db::TokenStore& tokens;
  db::Directory& directory;
  TokenBook& book;
  RightsSync& rights;
  db::ConnectionLog& connections;
  db::UsageEvents& usage_events;
  db::UsageHistory& history;
  std::atomic<bool>& history_taken;  ///< somebody's question is being answered
  const tracker::Clock& clock;
  metrics::Registry& registry;
  metrics::IngestMetrics& ingest_metrics;
  metrics::ReportMetrics& report_metrics;
  metrics::AuthzMetrics& authz_metrics;
  const ConnectionSinks& connection_sinks;
  /// For /readyz. Thread-safe.
  std::function<std::vector<Check>()> checks;
  /// Acknowledged here, by this process and by those before it, and not yet known to be in the database. Thread-safe.
  std::function<OwnShare()> own_share;
  const Traffic& traffic;
  std::string replica_id;
};

using Route = http::Route<Context>;
enum class Surface : std::uint8_t {
  api,         ///< below /api/
  operations,  ///< what needs no token: health, metrics, version
};
/// Rows of the one table; they live for ever.
std::span<const Route> routes();
std::span<const Route> routes_of(Surface surface);

// boundary_ingest.cpp
void post_boundary_events(Context&, http::Request&, http::Responder);
void post_boundary_logs(Context&, http::Request&, http::Responder);

// connection_ingest.cpp
void post_connection_events(Context&, http::Request&, http::Responder);

// usage_ingest.cpp
void post_usage_events(Context&, http::Request&, http::Responder);

using Answer = boost::asio::awaitable<http::Response>;
// reports.cpp
Answer get_summary(Context&, http::Request&);
Answer post_report(Context&, http::Request&);
Answer get_reports(Context&, http::Request&);
Answer get_report(Context&, http::Request&);
Answer delete_usage(Context&, http::Request&);
Answer delete_replica(Context&, http::Request&);
Answer get_ledger(Context&, http::Request&);
// users.cpp
Answer get_users(Context&, http::Request&);
Answer get_user(Context&, http::Request&);
Answer put_user(Context&, http::Request&);
Answer delete_user(Context&, http::Request&);
// organizations.cpp
Answer get_organizations(Context&, http::Request&);
Answer get_organization(Context&, http::Request&);
Answer put_organization(Context&, http::Request&);
Answer delete_organization(Context&, http::Request&);
// members.cpp
Answer get_members(Context&, http::Request&);
Answer get_member(Context&, http::Request&);
Answer put_member(Context&, http::Request&);
Answer delete_member(Context&, http::Request&);
// groups.cpp
Answer get_groups(Context&, http::Request&);
Answer get_group(Context&, http::Request&);
Answer put_group(Context&, http::Request&);
Answer delete_group(Context&, http::Request&);
// custom_roles.cpp
Answer get_roles(Context&, http::Request&);
Answer get_role(Context&, http::Request&);
Answer put_role(Context&, http::Request&);
Answer delete_role(Context&, http::Request&);
// tokens.cpp
Answer post_token(Context&, http::Request&);
Answer get_tokens(Context&, http::Request&);
Answer get_token(Context&, http::Request&);
Answer delete_token(Context&, http::Request&);
// authz.cpp
void post_authz_check(Context&, http::Request&, http::Responder);
void get_whoami(Context&, http::Request&, http::Responder);
void get_catalog(Context&, http::Request&, http::Responder);
// connections.cpp
Answer get_connections(Context&, http::Request&);
// history.cpp
Answer get_history(Context&, http::Request&);
// usage_events.cpp
Answer get_usage_events(Context&, http::Request&);
// operations.cpp
void get_healthz(Context&, http::Request&, http::Responder);
Answer get_readyz(Context&, http::Request&);
Answer get_metrics(Context&, http::Request&);
void get_version(Context&, http::Request&, http::Responder);
void get_openapi(Context&, http::Request&, http::Responder);

/// Waits without holding a thread.
boost::asio::awaitable<void> pause(std::chrono::milliseconds time);

}  // namespace tally::daemon::api
