#pragma once
#include <functional>
#include <random>

#include "daemon/counting/disk_thread.hpp"
#include "daemon/counting/period_witness.hpp"
#include "daemon/counting/volume.hpp"
#include "daemon/counting/waker.hpp"
#include "journal/directory.hpp"
#include "metrics/flush_metrics.hpp"
#include "metrics/ingest_metrics.hpp"
#include "metrics/ledger_metrics.hpp"
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
  metrics::IngestMetrics& ingest_metrics;
  metrics::LedgerMetrics& ledger_metrics;
  Traffic& traffic;
  PeriodWitness& witness;
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

  /// Called for each batch that the store applied, while `drive` runs.
  using OnApplied = std::function<void(const tracker::StreamId&, const Volume&)>;
  void on_applied(OnApplied handler) { on_applied_ = std::move(handler); }

  /// `stopping` is looked at between steps. True: it is up to date. Does nothing while the periods are in doubt.
  boost::asio::awaitable<bool> drive(tracker::StreamFlush& flush, const Announce& announce, const bool& stopping);

 private:
  using Action = tracker::StreamFlush::Action;
  boost::asio::awaitable<tracker::Errc> step(tracker::StreamFlush& flush, const Announce& announce, Action action);
  boost::asio::awaitable<tracker::Errc> send(tracker::StreamFlush& flush);
  void take_row(tracker::StreamFlush& flush, const std::optional<tracker::StreamRow>& row);
  void count_refused(const tracker::FlushBatch& batch, const tracker::FlushAnswer& answer);
  boost::asio::awaitable<tracker::Errc> set_aside(tracker::StreamFlush& flush, Action action);
  boost::asio::awaitable<tracker::Errc> register_stream(tracker::StreamFlush& flush, const Announce& announce);
  boost::asio::awaitable<void> read_journal(tracker::StreamFlush& flush, Action action);
  boost::asio::awaitable<void> find_registration(tracker::StreamFlush& flush);

  CountingParts parts_;
  tracker::JournalReader& reader_;
  Waker& waker_;
  std::mt19937_64 random_;
  OnApplied on_applied_;
};

/// What may be concluded from a store's error; an unknown one is taken as "rolled back".
tracker::Errc store_errc(const boost::system::error_code& error);

}  // namespace tally::daemon
