#include "daemon/ingest/boundary.hpp"

#include "daemon/ingest/detail/boundary_event.hpp"
#include "daemon/ingest/detail/envelope.hpp"

namespace tally::ingest {

std::optional<Refusal> read_boundary_events(const Request& request, Accepted& out) {
  return detail::Envelope<detail::BoundaryEvent>(request).read(out);
}

}  // namespace tally::ingest
