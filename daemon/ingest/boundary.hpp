#pragma once
#include "daemon/ingest/request.hpp"

namespace tally::ingest {

/// POST /boundary-usage/events: one event, array, NDJSON, or CloudEvents 1.0 (structured, batch, binary).
/// Nothing returned: `out` holds the record; `tracker::for_each_increment(out.type, out.payload, ...)` walks its
/// workspaces and owners, `tracker::for_each_effect` its keys. Otherwise the contents of `out` are meaningless.
///
/// A count is written with digits only: `1.0`, `1e2` and `-0` are refused like 1.5 and 2^53 (422).
/// `[]` and an NDJSON body of empty lines are taken and count nothing; a body of no bytes is 400.
/// Deeper than `kDepthLimit` is 400: what lies below is not looked at, so nobody can say that it is JSON.
std::optional<Refusal> read_boundary_events(const Request& request, Accepted& out);

/// What POST /boundary-usage/logs learnt beside the record.
struct LogBatch {
  tracker::Uuid workspace;  ///< whose logs these are, also when none counts: rights are checked against it
  tracker::Uuid owner;
  std::uint32_t skipped = 0;  ///< logs without an `http_request`
  bool numbered = false;      ///< with a session and a number on every log: the batch has a key of its own
  tracker::Uuid session;      ///< hash of subject and session id, to follow one session over several batches
  std::uint64_t first = 0;    ///< least and greatest sequence number
  std::uint64_t last = 0;
  std::uint64_t missing = 0;  ///< numbers between `first` and `last` that no log has
};

/// POST /boundary-usage/logs: raw audit logs of one workspace, `application/json` only. They become one increment, or
/// none if every log was skipped; `out.events` is the number of counted logs. A session's own key goes before
/// `Idempotency-Key`.
std::optional<Refusal> read_boundary_logs(const Request& request, Accepted& out, LogBatch& batch);

}  // namespace tally::ingest
