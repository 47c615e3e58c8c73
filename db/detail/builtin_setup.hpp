#pragma once
#include <string>

#include "db/detail/builtin_process.hpp"

namespace tally::db::detail {

/// The role and the database, made if they are not there. `conninfo` is the superuser's.
/// Throws `BuiltinProblem`; also when the sleeper gives up.
void make_role_and_database(const std::string& conninfo, const Sleeper& sleeper);

/// Whether a server lets us in.
bool accepts_connections(const std::string& conninfo, const Sleeper& sleeper);

}  // namespace tally::db::detail
