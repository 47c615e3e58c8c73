#pragma once
#include "tests/support/postgres.hpp"
#include "tracker/batch.hpp"

namespace tally::db {

/// A readable id: the same number is the same id.
inline tracker::Uuid id(std::uint8_t number) {
  tracker::Uuid uuid;
  uuid.bytes[0] = 0xab;
  uuid.bytes[15] = number;
  return uuid;
}

/// The chain of an LSN in these tests.
inline tracker::Chain chain(tracker::Lsn lsn) {
  return lsn * 0x9e3779b97f4a7c15u;
}

/// Requests without keys in (from, to] of a stream.
inline tracker::FlushBatch batch(tracker::StreamId stream, tracker::Lsn from, tracker::Lsn to, tracker::Sum allowed = 1,
                                 tracker::Sum denied = 0) {
  tracker::FlushBatch made;
  made.stream = stream;
  made.from = from;
  made.to = to;
  made.chain_from = chain(from);
  made.chain_to = chain(to);
  made.allowed = allowed;
  made.denied = denied;
  made.increments = to - from;
  return made;
}

inline tracker::KeyedEffect effect(tracker::Uuid key, tracker::Sum allowed, std::vector<tracker::Uuid> workspaces = {},
                                   std::uint64_t body = 1) {
  tracker::KeyedEffect made;
  made.key = key;
  made.body = body;
  made.allowed = allowed;
  made.increments = 1;
  made.workspaces = std::move(workspaces);
  return made;
}

/// A migrated database with one replica and stream 1 registered.
struct Counting {
  explicit Counting(PoolOptions options = {}, StoreTimeouts timeouts = {})
      : store(database.conninfo(), std::move(options), timeouts) {
    register_stream(one, "replica-1");
  }
  void register_stream(tracker::StreamId stream, std::string replica) {
    store.run(store->register_stream(stream, std::move(replica))).value();
  }
  tracker::Result<tracker::FlushAnswer> flush(const tracker::FlushBatch& made) { return store.run(store->flush(made)); }
  /// Closes the open period and answers its report.
  tracker::Report close(bool discard = false) {
    const tracker::PeriodId period = store.run(store->clock()).value().period;
    store.run(store->close(period, tracker::Uuid::random(), discard)).value();
    return store.run(store->report(period)).value();
  }
  tracker::Lsn applied(tracker::StreamId stream) { return store.run(store->read_stream(stream)).value()->applied_lsn; }
  bool balanced() { return store.run(store->ledger()).value().balanced; }

  test::TestDatabase database;
  test::StoreUnderTest store;
  tracker::StreamId one{id(201)};
  tracker::StreamId two{id(202)};
};

}  // namespace tally::db
