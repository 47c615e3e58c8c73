#pragma once
#include "daemon/ingest/request.hpp"

namespace tally::ingest {

/// POST /connection-log/events: one event, array, NDJSON, or CloudEvents 1.0, as `read_boundary_events`. Nothing
/// returned: `out` holds a `connection` record, which `tracker::for_each_connection` walks.
///
/// An `ip` that is no address is null, whatever it is; null stands for an optional member that is not there. A user
/// agent or a reason beyond 1 KiB is cut; a name beyond 256 bytes is refused, since names tell entries apart.
std::optional<Refusal> read_connection_events(const Request& request, Accepted& out);

}  // namespace tally::ingest
