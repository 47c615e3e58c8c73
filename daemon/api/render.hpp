#pragma once
#include <cstdint>
#include <string>

#include "daemon/http/response.hpp"
#include "db/pg_store.hpp"
#include "tracker/batch.hpp"

namespace tally::daemon::api {

/// RFC 3339 in UTC with microseconds.
std::string rfc3339(std::int64_t microseconds_since_epoch);

std::string to_json(const tracker::Report& report);
std::string to_json(const db::Summary& summary);

/// 503 with `Retry-After`: the database is away, or cannot say what became of the statement.
http::Response store_failure(const boost::system::error_code& error);

}  // namespace tally::daemon::api
