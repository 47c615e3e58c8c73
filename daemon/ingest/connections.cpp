#include "daemon/ingest/connections.hpp"

#include "daemon/ingest/detail/connection_event.hpp"
#include "daemon/ingest/detail/envelope.hpp"

namespace tally::ingest {

std::optional<Refusal> read_connection_events(const Request& request, Accepted& out) {
  return detail::Envelope<detail::ConnectionSchema>(request).read(out);
}

}  // namespace tally::ingest
