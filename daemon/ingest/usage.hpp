#pragma once
#include "daemon/ingest/request.hpp"

namespace tally::ingest {

/// POST /usage-events: one event, array, NDJSON, or CloudEvents 1.0, as `read_boundary_events`. Nothing returned: `out`
/// holds a `usage` record, which `tracker::for_each_usage_event` walks. An event's own id makes it idempotent; an
/// `Idempotency-Key` and the id of a CloudEvent are checked and add nothing.
///
/// `event_data` is checked where the type is known; of an unknown one it must be an object.
std::optional<Refusal> read_usage_events(const Request& request, Accepted& out);

}  // namespace tally::ingest
