#pragma once
#include "tests/db/batches.hpp"
#include "tests/support/connections.hpp"
#include "tracker/accumulator.hpp"

namespace tally::db {

/// A batch as a shard makes it of these events.
inline tracker::FlushBatch connections(tracker::StreamId stream, tracker::Lsn from, tracker::Lsn to,
                                       const std::vector<std::string>& payloads) {
  tracker::Accumulator accumulator;
  for (const std::string& payload : payloads)
    EXPECT_EQ(accumulator.add(tracker::RecordType::connection, std::as_bytes(std::span(payload)), {}),
              tracker::Accumulator::Added::yes);
  tracker::FlushBatch made = accumulator.take();
  made.stream = stream;
  made.from = from;
  made.to = to;
  made.chain_from = chain(from);
  made.chain_to = chain(to);
  return made;
}

inline tracker::FlushBatch connections(tracker::StreamId stream, tracker::Lsn from, tracker::Lsn to,
                                       const std::vector<tracker::ConnectionEvent>& events) {
  return connections(stream, from, to, std::vector{test::connection_payload(events)});
}

inline tracker::ConnectionEvent disconnected(std::uint64_t session, std::int64_t second,
                                             std::optional<std::int64_t> code = {},
                                             std::optional<std::string> reason = {}) {
  auto event = test::connection_event(session, tracker::ConnectionStatus::disconnected, second);
  event.code = code;
  event.reason = std::move(reason);
  event.hash = test::content_hash(event);
  return event;
}

}  // namespace tally::db
