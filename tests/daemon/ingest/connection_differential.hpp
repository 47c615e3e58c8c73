#pragma once
#include <string_view>

#include "tests/daemon/ingest/differential.hpp"

namespace tally::ingest {

/// Reads `input` as a request of connection events and throws `std::logic_error` when what came of it does not hold
/// together: a record that is not what its events encode to, an event that the schema forbids, other events the second
/// time, a join that depends on the order. A JSON body is read with Boost.JSON too, and every member compared. The
/// first byte of `input` chooses form and key; the rest is the body.
Outcome check_connection_request(std::string_view input);

/// Walks bytes as if they were the payload of a record: whatever they are, they are refused or are exactly what their
/// events encode to. Answers which.
bool check_connection_payload(std::string_view payload);

}  // namespace tally::ingest
