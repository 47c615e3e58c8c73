#pragma once
#include <vector>

#include "daemon/config.hpp"
#include "daemon/counting/upkeep.hpp"
#include "daemon/http/server.hpp"
#include "daemon/publish/publisher.hpp"
#include "daemon/publish/reporter.hpp"
#include "journal/writer_thread.hpp"
#include "metrics/http_metrics.hpp"

/// What the parts of a replica are given of its configuration, each in its own words.
namespace tally::daemon::detail {

std::string host_name();
journal::ThreadOptions journal_options(const Config& config);
Upkeep::Retention retention(const Config& config);
http::ServerOptions server_options(const Config& config);
http::Endpoint to_http(const Endpoint& endpoint);
/// Throws `ConfigError` for a URL that cannot be posted to.
Publisher::Options publisher_options(const Config& config, const std::string& replica_id);
/// The same; only where there is a `report_url`.
Reporter::Options reporter_options(const Config& config, const std::string& replica_id);
/// Every route of the API, as the metrics tell them apart.
std::vector<metrics::HttpRow> metric_rows();

}  // namespace tally::daemon::detail
