#pragma once
#include <span>

#include "db/migrations.hpp"

namespace tally::db::detail {

/// Generated from db/migrations/*.sql at build time.
std::span<const Migration> embedded_migrations();

}  // namespace tally::db::detail
