#include "daemon/ingest/usage.hpp"

#include "daemon/ingest/detail/envelope.hpp"
#include "daemon/ingest/detail/usage_event.hpp"

namespace tally::ingest {

std::optional<Refusal> read_usage_events(const Request& request, Accepted& out) {
  auto refusal = detail::Envelope<detail::UsageSchema>(request).read(out);
  if (out.events == 0) out.payload.clear();
  return refusal;
}

}  // namespace tally::ingest
