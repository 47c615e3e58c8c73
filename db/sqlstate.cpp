#include "db/sqlstate.hpp"

namespace tally::db {

using tracker::Errc;

tracker::Errc classify(std::string_view sqlstate, bool sent) noexcept {
  const Errc connection_failed = sent ? Errc::outcome_unknown : Errc::store_unavailable;
  if (sqlstate.size() != 5) return connection_failed;
  const std::string_view family = sqlstate.substr(0, 2);

  // The connection or the server went away. 40003 and 08007 say themselves that the outcome is unknown.
  if (family == "08" || sqlstate == "40003") return connection_failed;
  if (sqlstate == "57P01" || sqlstate == "57P02" || sqlstate == "57P03" || sqlstate == "57P04" || sqlstate == "57P05") {
    return connection_failed;
  }
  // Rolled back; the same may well succeed. 55P03: lock_timeout; 57014: cancelled or statement_timeout.
  if (family == "40" || sqlstate == "55P03" || sqlstate == "57014") return Errc::serialization;
  // 54: an array or row beyond PostgreSQL's limits is a property of the data.
  if (family == "22" || family == "23" || family == "54") return Errc::data_refused;
  if (sqlstate == "53300" && !sent) return Errc::store_unavailable;
  // 25006 read-only, 28 no login, 3D/3F/42 nothing there or no rights, 53 disk or memory full, 58/XX the server is ill.
  return Errc::store_refuses;
}

bool ends_connection(std::string_view sqlstate) noexcept {
  if (sqlstate.size() != 5) return true;
  const std::string_view family = sqlstate.substr(0, 2);
  // 25: read-only after a failover, or a transaction left open; 53: another server process may do better.
  return family == "08" || family == "25" || family == "53" || family == "58" || family == "XX" ||
         sqlstate.substr(0, 3) == "57P" || sqlstate == "40003";
}

}  // namespace tally::db
