#include "daemon/counting/stream_driver.hpp"

#include <cstring>

#include "daemon/log.hpp"

namespace tally::daemon {

namespace asio = boost::asio;
using tracker::Errc;
using tracker::Lsn;
using tracker::StreamFlush;

namespace {

// No error: the step was done.
constexpr Errc kDone = static_cast<Errc>(0);

}  // namespace

Errc store_errc(const boost::system::error_code& error) {
  if (error.category() == tracker::tracker_category()) return static_cast<Errc>(error.value());
  return Errc::store_refuses;
}

StreamDriver::StreamDriver(const CountingParts& parts, tracker::JournalReader& reader, Waker& waker)
    : parts_(parts), reader_(reader), waker_(waker), random_(tracker::Uuid::random().low()) {}

asio::awaitable<bool> StreamDriver::drive(StreamFlush& flush, const Announce& announce, const bool& stopping) {
  if (!parts_.witness.agrees()) co_return false;
  const Traffic::Guard moving(parts_.traffic);
  while (true) {
    const Action action = flush.next();
    if (action.what == StreamFlush::Do::nothing) co_return true;
    if (action.what == StreamFlush::Do::halt || !parts_.witness.agrees()) co_return false;
    const Errc failure = co_await step(flush, announce, action);
    if (stopping && failure != kDone) co_return false;
    // A batch that is refused is split, and not sent again as it was; any other statement would be.
    if (failure == kDone || (failure == Errc::data_refused && action.what == StreamFlush::Do::send)) continue;
    log::warn("flush failed", {{"stream", flush.stream().uuid.to_string()},
                               {"error", make_error_code(failure).message()},
                               {"retry_within_ms", flush.backoff_ceiling()}});
    // Full jitter, so that replicas that lost the same database do not come back together.
    const auto ceiling = flush.backoff_ceiling().count();
    co_await waker_.wait(std::chrono::milliseconds(
        std::uniform_int_distribution<std::int64_t>(0, std::max<std::int64_t>(ceiling, 1))(random_)));
  }
}

asio::awaitable<Errc> StreamDriver::step(StreamFlush& flush, const Announce& announce, Action action) {
  using Do = StreamFlush::Do;
  switch (action.what) {
    case Do::nothing:
    case Do::halt:
      break;
    case Do::read_row: {
      const auto row = co_await parts_.store.read_stream(flush.stream());
      if (!row) {
        flush.failed(store_errc(row.error()));
        co_return store_errc(row.error());
      }
      take_row(flush, *row);
      break;
    }
    case Do::find_registration:
      co_await find_registration(flush);
      break;
    case Do::register_stream:
      co_return co_await register_stream(flush, announce);
    case Do::check_chain: {
      auto chain = co_await parts_.disk.run(
          [this, stream = flush.stream(), at = action.upto] { return reader_.chain_at(stream, at); });
      flush.chain(chain);
      break;
    }
    case Do::read_journal:
      co_await read_journal(flush, action);
      break;
    case Do::send:
      co_return co_await send(flush);
    case Do::set_aside:
      co_return co_await set_aside(flush, action);
  }
  co_return kDone;
}

asio::awaitable<Errc> StreamDriver::send(StreamFlush& flush) {
  const auto started = parts_.clock.steady();
  const auto answer = co_await parts_.store.flush(flush.batch());
  const auto took = parts_.clock.steady() - started;
  if (!answer) {
    const Errc why = store_errc(answer.error());
    parts_.metrics.flushed(why == Errc::outcome_unknown ? metrics::FlushResult::unknown : metrics::FlushResult::failed,
                           took);
    flush.failed(why);
    co_return why;
  }
  parts_.metrics.flushed(answer->applied ? metrics::FlushResult::applied : metrics::FlushResult::refused, took);
  if (answer->applied) {
    parts_.metrics.set_last_success(parts_.clock.wall());
    count_refused(flush.batch(), *answer);
    if (on_applied_) on_applied_(flush.stream(), volume_of(flush.batch()));
  }
  flush.answer(*answer);
  co_return kDone;
}

void StreamDriver::take_row(StreamFlush& flush, const std::optional<tracker::StreamRow>& row) {
  const auto lost_before = flush.counts().lost_commits;
  const Lsn confirmed = flush.applied();
  flush.row(row);
  if (flush.counts().lost_commits == lost_before) return;
  parts_.ledger_metrics.lost_commits();
  log::error("the database lost commits that it had confirmed; what is missing is counted again from the journal",
             {{"stream", flush.stream().uuid.to_string()}, {"confirmed", confirmed}, {"found", row->applied_lsn}});
}

/// Repeats of keys that this batch merged, or that the database held already.
void StreamDriver::count_refused(const tracker::FlushBatch& batch, const tracker::FlushAnswer& answer) {
  std::uint64_t repeats = batch.repeat_increments;
  std::uint64_t connections = 0;
  for (const auto& effect : batch.effects) {
    repeats += effect.increments;
    connections += effect.connections.size();
  }
  for (const auto number : answer.accepted) {
    repeats -= batch.effects[number].increments;
    connections -= batch.effects[number].connections.size();
  }
  metrics::IngestMetrics& ingest = parts_.ingest_metrics;
  ingest.duplicates(ingest.counting_thread(), metrics::EventKind::usage,
                    batch.usage_events - answer.fresh_usage_events);
  ingest.duplicates(ingest.counting_thread(), metrics::EventKind::boundary, repeats);
  ingest.duplicates(ingest.counting_thread(), metrics::EventKind::connection, connections);
  ingest.key_conflicts(ingest.counting_thread(), answer.conflicts);
}

asio::awaitable<void> StreamDriver::read_journal(StreamFlush& flush, Action action) {
  auto batch = co_await parts_.disk.run([this, stream = flush.stream(), chain = flush.applied_chain(), action] {
    return tracker::rebuild_batch(reader_, stream, action.from, chain, action.upto, action.records);
  });
  if (batch) {
    parts_.metrics.reread(batch->to - batch->from);
    flush.rebuilt(std::move(*batch));
  } else {
    flush.unreadable(store_errc(batch.error()));
  }
}

asio::awaitable<void> StreamDriver::find_registration(StreamFlush& flush) {
  // A stream announces its registration in its first records, before it flushed anything. If they are gone it was
  // registered.
  const auto found = co_await parts_.disk.run([this, stream = flush.stream()]() -> bool {
    bool registered = false;
    Lsn after = 0;
    while (!registered) {
      const auto end = reader_.read(stream, after, UINT64_MAX, 1 << 20, [&](const tracker::RecordView& record) {
        // It names its stream: one that was meant for the stream before, which ended under it, says nothing about this
        // one.
        registered = record.type == tracker::RecordType::registered &&
                     record.payload.size() == stream.uuid.bytes.size() &&
                     std::memcmp(record.payload.data(), stream.uuid.bytes.data(), record.payload.size()) == 0;
        return !registered;
      });
      if (!end) return after == 0 && end.error() == Errc::not_found;
      if (!end->more || end->last == after) break;
      after = end->last;
    }
    return registered;
  });
  flush.registration(found);
}

asio::awaitable<Errc> StreamDriver::register_stream(StreamFlush& flush, const Announce& announce) {
  const auto done = co_await parts_.store.register_stream(flush.stream(), parts_.replica_id);
  if (!done) {
    flush.failed(store_errc(done.error()));
    co_return store_errc(done.error());
  }
  if (announce) {
    const auto durable = co_await announce(flush.stream());
    if (!durable) {
      flush.failed(Errc::store_unavailable);  // nothing was flushed; the row stays and is found again
      co_return store_errc(durable.error());
    }
  }
  flush.registered();
  co_return kDone;
}

asio::awaitable<Errc> StreamDriver::set_aside(StreamFlush& flush, Action action) {
  struct Found {
    std::string payload;
    tracker::Result<tracker::FlushBatch> batch;
  };
  auto found =
      co_await parts_.disk.run([this, stream = flush.stream(), chain = flush.applied_chain(), action]() -> Found {
        Found one{{}, tracker::rebuild_batch(reader_, stream, action.from, chain, action.upto, 1)};
        (void)reader_.read(stream, action.from, action.upto, 1, [&](const tracker::RecordView& record) {
          one.payload.assign(reinterpret_cast<const char*>(record.payload.data()), record.payload.size());
          return true;
        });
        return one;
      });
  if (!found.batch) {
    flush.unreadable(store_errc(found.batch.error()));
    co_return kDone;
  }
  const std::string reason = "the database refused the data";
  const auto moved = co_await parts_.store.set_aside(*found.batch, found.payload, reason);
  if (!moved) {
    flush.failed(store_errc(moved.error()));
    co_return store_errc(moved.error());
  }
  log::error("a record was set aside: the database refuses it",
             {{"stream", flush.stream().uuid.to_string()}, {"lsn", action.upto}});
  if (*moved && on_applied_) on_applied_(flush.stream(), volume_of(*found.batch));
  flush.set_aside_done(*moved);
  co_return kDone;
}

}  // namespace tally::daemon
