#pragma once
#include <functional>
#include <random>

#include "daemon/counting/disk_thread.hpp"
#include "daemon/counting/waker.hpp"
#include "journal/directory.hpp"
#include "metrics/flush_metrics.hpp"
#include "tracker/ports.hpp"
#include "tracker/stream_flush.hpp"

namespace tally::daemon {

/// What bringing a stream into the store takes. All outlive the drivers.
struct CountingParts {
  tracker::Store& store;
  journal::Directory& directory;
  DiskThread& disk;
  const tracker::Clock& clock;
  metrics::FlushMetrics& metrics;
  std::string replica_id;
};

/// Does what a `StreamFlush` decides, until it is up to date, stopped for good, or told to stop. One coroutine at a
/// time.
class StreamDriver {
 public:
  /// For the own stream: makes a `registered` record durable.
  using Announce = std::function<boost::asio::awaitable<tracker::Result<void>>(tracker::StreamId)>;

  /// `waker` cuts the waits between attempts short; `reader` is this driver's own.
  StreamDriver(const CountingParts& parts, tracker::JournalReader& reader, Waker& waker);

  /// `stopping` is looked at between steps. True: it is up to date.
  boost::asio::awaitable<bool> drive(tracker::StreamFlush& flush, const Announce& announce, const bool& stopping);

 private:
  using Action = tracker::StreamFlush::Action;
  boost::asio::awaitable<tracker::Errc> step(tracker::StreamFlush& flush, const Announce& announce, Action action);
  boost::asio::awaitable<tracker::Errc> send(tracker::StreamFlush& flush);
  boost::asio::awaitable<tracker::Errc> set_aside(tracker::StreamFlush& flush, Action action);
  boost::asio::awaitable<tracker::Errc> register_stream(tracker::StreamFlush& flush, const Announce& announce);
  boost::asio::awaitable<void> read_journal(tracker::StreamFlush& flush, Action action);
  boost::asio::awaitable<void> find_registration(tracker::StreamFlush& flush);

  CountingParts parts_;
  tracker::JournalReader& reader_;
  Waker& waker_;
  std::mt19937_64 random_;
};

/// What may be concluded from a store's error; an unknown one is taken as "rolled back".
tracker::Errc store_errc(const boost::system::error_code& error);

}  // namespace tally::daemon
