#include "daemon/detail/part_options.hpp"

#include <unistd.h>

#include <algorithm>

#include "daemon/api/context.hpp"
#include "daemon/client/url.hpp"
#include "daemon/config_sources.hpp"

namespace tally::daemon::detail {

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

journal::ThreadOptions journal_options(const Config& config) {
  journal::ThreadOptions options;
  switch (config.journal_sync.mode) {
    case JournalSync::Mode::always:
      options.writer.sync = journal::SyncMode::always;
      break;
    case JournalSync::Mode::interval:
      options.writer.sync = journal::SyncMode::interval;
      break;
    case JournalSync::Mode::never:
      options.writer.sync = journal::SyncMode::never;
      break;
  }
  options.writer.sync_interval = config.journal_sync.interval;
  return options;
}

Upkeep::Retention retention(const Config& config) {
  // Other replicas may keep journals somewhat longer than this one.
  constexpr std::chrono::milliseconds kMargin = std::chrono::hours(7 * 24);
  return {.keys = config.dedup_window,
          .ids = config.retention_ids,
          .reports = config.retention_reports,
          .delivered_reports_only = !config.report_url.empty(),
          .streams = std::max(config.retention_ids, config.journal_retention) + kMargin,
          .tokens = config.retention_tokens};
}

http::ServerOptions server_options(const Config& config) {
  http::ServerOptions options;
  options.threads = config.threads;
  options.limits.connections = config.max_connections;
  options.limits.connections_per_peer = config.max_connections_per_peer;
  options.insecure_http = config.insecure_http;
  return options;
}

http::Endpoint to_http(const Endpoint& endpoint) {
  return {endpoint.host, endpoint.port, endpoint.path};
}

std::vector<metrics::HttpRow> metric_rows() {
  std::vector<metrics::HttpRow> rows;
  for (const api::Route& route : api::routes()) {
    metrics::HttpMethod method = metrics::HttpMethod::other;
    switch (route.method) {
      case http::Verb::get:
        method = metrics::HttpMethod::get;
        break;
      case http::Verb::post:
        method = metrics::HttpMethod::post;
        break;
      case http::Verb::put:
        method = metrics::HttpMethod::put;
        break;
      case http::Verb::delete_:
        method = metrics::HttpMethod::delete_;
        break;
      default:
        break;
    }
    rows.push_back({method, route.pattern});
  }
  return rows;
}

Publisher::Options publisher_options(const Config& config, const std::string& replica_id) {
  Publisher::Options options{.credentials = {config.publish_token_file, config.publish_license_file},
                             .replica_id = replica_id,
                             .interval = config.publish_interval,
                             .timeout = config.publish_timeout,
                             .collector_dedup_window = config.collector_dedup_window,
                             .retention = config.retention_usage_events};
  if (config.publish_url.empty()) return options;
  options.url = client::parse_url(config.publish_url);
  if (!options.url) throw ConfigError({"publish-url: not a URL that can be posted to"});
  return options;
}

Reporter::Options reporter_options(const Config& config, const std::string& replica_id) {
  const auto url = client::parse_url(config.report_url);
  if (!url) throw ConfigError({"report-url: not a URL that can be posted to"});
  Reporter::Options options{.url = *url,
                            .credentials = {.token = config.report_token_file, .hmac_key = config.report_hmac_key_file},
                            .replica_id = replica_id};
  return options;
}

}  // namespace tally::daemon::detail
