#pragma once
#include <string_view>

#include "tracker/errors.hpp"

namespace tally::db {

/// The one place that reads SQLSTATE. `sent`: bytes of a statement had left when it failed, so that a failure of the
/// connection (no SQLSTATE, class 08, 57P0x) leaves the outcome unknown; an answer that says "rolled back" never does.
tracker::Errc classify(std::string_view sqlstate, bool sent) noexcept;

/// After this answer the connection is of no more use (the server went away, or is no longer writable).
bool ends_connection(std::string_view sqlstate) noexcept;

}  // namespace tally::db
