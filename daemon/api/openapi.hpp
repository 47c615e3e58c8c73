#pragma once
#include <string_view>

namespace tally::daemon::api {

/// docs/openapi.yaml as JSON, embedded at build time.
extern const std::string_view kOpenApi;

}  // namespace tally::daemon::api
