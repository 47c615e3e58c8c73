#pragma once
#include "daemon/config_sources.hpp"

namespace tally::daemon {

/// `tallyd serve`: builds every part in dependency order, serves until SIGTERM or SIGINT, and takes everything down in
/// reverse. Answers the exit code. Throws `std::runtime_error` with a text for the operator when it cannot start.
int serve(LiveConfig& config);

}  // namespace tally::daemon
