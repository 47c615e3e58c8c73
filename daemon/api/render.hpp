#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/counting/volume.hpp"
#include "daemon/http/response.hpp"
#include "db/pg_store.hpp"
#include "db/usage_events.hpp"
#include "tracker/batch.hpp"

namespace tally::daemon::api {

/// RFC 3339 in UTC with microseconds.
std::string rfc3339(std::int64_t microseconds_since_epoch);

std::string to_json(const tracker::Report& report);
std::string to_json(const db::Summary& summary);
std::string to_json(const db::UsageEventRow& event);

/// The replica that answers, and what it knows better than its last heartbeat did.
struct OwnReplica {
  std::string_view id;
  OwnShare share;
};
/// As of GET /ledger; without a replica that answers, from the heartbeats alone.
std::string to_json(const db::Ledger& ledger, const std::optional<OwnReplica>& own);

/// 503 with `Retry-After`: the database is away, or cannot say what became of the statement.
http::Response store_failure(const boost::system::error_code& error);

}  // namespace tally::daemon::api
