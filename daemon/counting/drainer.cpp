#include "daemon/counting/drainer.hpp"

#include <algorithm>

#include "daemon/log.hpp"
#include "tracker/rules.hpp"

namespace tally::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using tracker::StreamFlush;

namespace {

// How often the directory is looked at for streams that somebody left behind.
constexpr auto kEvery = 5s;

}  // namespace

Drainer::Drainer(asio::any_io_executor executor, const CountingParts& parts,
                 std::chrono::milliseconds journal_retention, std::function<bool(const tracker::StreamId&)> is_own)
    : parts_(parts),
      journal_retention_(journal_retention),
      is_own_(std::move(is_own)),
      reader_(parts.directory),
      waker_(executor),
      driver_(parts_, reader_, waker_) {
  driver_.on_applied([this](const tracker::StreamId& stream, const Volume& volume) {
    const auto found = foreign_.find(stream);
    if (found != foreign_.end()) take_unflushed(*found->second, volume);
  });
}

asio::awaitable<void> Drainer::run() {
  while (!stopping_) {
    co_await round();
    ++rounds_;
    if (!stopping_) co_await waker_.wait(kEvery);
  }
}

void Drainer::stop() {
  stopping_ = true;
  waker_.wake();
}

asio::awaitable<void> Drainer::round() {
  urged_ = false;
  const auto streams = co_await parts_.disk.run([this] { return parts_.directory.streams(); });
  if (!streams) {
    log::error("the journal's directory cannot be read", {{"error", streams.error().message()}});
    settled_ = false;
    co_return;
  }
  troubles_.clear();
  // First what there is, so that the ledger knows of all of it while the first of it is brought in.
  bool measured = true;
  for (const journal::StreamInfo& info : *streams) {
    if (is_own_(info.id)) continue;
    auto& foreign = foreign_[info.id];
    if (!foreign) foreign = std::make_unique<Foreign>(info.id);
    if (foreign->drained || foreign->scan || info.live) continue;
    foreign->seen_applied.reset();
    const bool known = co_await measure(*foreign);
    measured = measured && known;
    if (stopping_) co_return;
  }
  if (measured) {
    const std::lock_guard lock(unflushed_mutex_);
    measured_ = true;
  }
  bool settled = true;
  for (const journal::StreamInfo& info : *streams) {
    if (is_own_(info.id) || !foreign_.contains(info.id)) continue;
    auto& foreign = foreign_[info.id];
    if (info.live && !foreign->lock) {
      settled = false;
      co_await help(*foreign);
      if (stopping_) co_return;
      continue;
    }
    if (!foreign->drained && !foreign->given_up) co_await drain(*foreign);
    if (foreign->drained || !tracker::holds("M13.age")) co_await finish(*foreign);
    settled =
        settled && (foreign->drained || foreign->given_up || foreign->flush.alarm() == StreamFlush::Alarm::closed);
    if (stopping_) co_return;
  }
  std::erase_if(foreign_, [&](const auto& entry) {
    return std::none_of(streams->begin(), streams->end(), [&](const auto& info) { return info.id == entry.first; });
  });
  settled_ = settled && !urged_;
}

asio::awaitable<void> Drainer::drain(Foreign& foreign) {
  if (foreign.flush.alarm() != StreamFlush::Alarm::none) {
    co_await stuck(foreign, to_string(foreign.flush.alarm()));
    co_return;
  }
  if (!foreign.lock) {
    const bool claimed = co_await claim(foreign);
    if (!claimed) co_return;
  }
  const bool up_to_date = co_await driver_.drive(foreign.flush, no_announcement_, stopping_);
  if (!up_to_date) {
    if (foreign.flush.alarm() != StreamFlush::Alarm::none) trouble(foreign, to_string(foreign.flush.alarm()));
    // Given up by an operator: what it holds will not be counted, on record.
    if (foreign.flush.alarm() == StreamFlush::Alarm::closed) take_unflushed(foreign, Volume(foreign.unflushed));
    co_return;
  }
  const auto end = foreign.scan->end;
  if (end != journal::StreamEnd::clean && end != journal::StreamEnd::torn) {
    co_await stuck(foreign, "damaged");
    co_return;
  }
  const auto marked = co_await parts_.store.mark_drained(foreign.flush.stream(), foreign.flush.applied());
  if (!marked) {
    log::warn("a drained stream could not be marked",
              {{"stream", foreign.flush.stream().uuid.to_string()}, {"error", marked.error().message()}});
    co_return;
  }
  foreign.drained = true;
  foreign.lock.reset();
  take_unflushed(foreign, Volume(foreign.unflushed));  // somebody else brought it in
  const auto& counts = foreign.flush.counts();
  log::info("drained a stream of an earlier process", {{"stream", foreign.flush.stream().uuid.to_string()},
                                                       {"lsn", foreign.flush.applied()},
                                                       {"batches", counts.confirmed}});
}

/// Reads what the stream of a dead process holds beyond the database. False: the database is away, try again later.
asio::awaitable<bool> Drainer::measure(Foreign& foreign) {
  const auto row = co_await parts_.store.read_stream(foreign.flush.stream());
  if (!row) co_return false;
  if (*row && (*row)->state == tracker::StreamState::drained) {
    foreign.drained = true;  // by an earlier boot; only its retention is left
    co_return true;
  }
  co_await scan(foreign, *row ? (*row)->applied_lsn : 0);
  co_return true;
}

asio::awaitable<void> Drainer::scan(Foreign& foreign, tracker::Lsn applied) {
  struct Found {
    tracker::Result<journal::StreamScan> scan;
    Volume unflushed;
  };
  const auto found = co_await parts_.disk.run([this, stream = foreign.flush.stream(), applied]() -> Found {
    Volume unflushed;
    auto scan = parts_.directory.scan(stream, applied, [&](const tracker::RecordView& record) {
      (void)tracker::for_each_increment(record.type, record.payload, [&](const tracker::Increment& increment) {
        unflushed += Volume{tracker::Sum{increment.allowed} + increment.denied, 1};
      });
      if (record.type == tracker::RecordType::connection)
        (void)tracker::for_each_connection(
            record.payload,
            [&](const std::optional<tracker::GroupKey>&, std::uint32_t events) {
              unflushed += Volume{0, events, events};
            },
            [](tracker::ConnectionEvent&) {});
      if (record.type == tracker::RecordType::usage)
        (void)tracker::for_each_usage_event(record.payload, [&](tracker::UsageEvent&) {
          unflushed += Volume{0, 1, 0, 1};
        });
    });
    return {std::move(scan), unflushed};
  });
  take_unflushed(foreign, Volume(foreign.unflushed));
  if (!found.scan) co_return trouble(foreign, found.scan.error().message());
  foreign.scan = *found.scan;
  foreign.flush.durable(found.scan->last);
  add_unflushed(foreign, found.unflushed);
}

/// True: the stream is ours to drain, and known to its end.
asio::awaitable<bool> Drainer::claim(Foreign& foreign) {
  if (!foreign.scan) co_return false;
  const auto stream = foreign.flush.stream();
  auto lock = co_await parts_.disk.run([this, stream] { return parts_.directory.claim(stream); });
  if (!lock) {
    // Alive after all: its own process flushes it, and may append to it.
    if (lock.error() != tracker::Errc::conflict) trouble(foreign, lock.error().message());
    foreign.scan.reset();
    take_unflushed(foreign, Volume(foreign.unflushed));
    co_return false;
  }
  foreign.lock = std::move(*lock);
  // One that was empty may have been just opened when it was read: only now it is known to be dead.
  if (foreign.scan->last == 0) co_await scan(foreign, 0);
  co_return foreign.scan.has_value();
}

/// The stream of a process that holds its lock, and so may append to it (accounting.md B3): whoever reads its files may
/// flush it, but not end it. It is left to its owner while that moves it: two that flush the same records make each
/// other read them again.
asio::awaitable<void> Drainer::help(Foreign& foreign) {
  if (foreign.flush.alarm() != StreamFlush::Alarm::none) co_return trouble(foreign, to_string(foreign.flush.alarm()));
  const auto stream = foreign.flush.stream();
  const auto row = co_await parts_.store.read_stream(stream);
  if (!row) co_return;
  const tracker::Lsn applied = *row ? (*row)->applied_lsn : 0;
  if (foreign.seen_applied != applied) {
    foreign.seen_applied = applied;
    co_return;
  }
  const auto scan =
      co_await parts_.disk.run([this, stream, applied] { return parts_.directory.scan(stream, applied); });
  if (!scan || scan->last <= applied) co_return;
  foreign.flush.durable(scan->last);
  const bool done = co_await driver_.drive(foreign.flush, no_announcement_, stopping_);
  foreign.seen_applied = foreign.flush.applied();
  if (done)
    log::warn("brought in records of a process that holds its stream and does not flush it",
              {{"stream", stream.uuid.to_string()}, {"lsn", foreign.flush.applied()}});
}

void Drainer::add_unflushed(Foreign& foreign, const Volume& volume) {
  foreign.unflushed += volume;
  const std::lock_guard lock(unflushed_mutex_);
  unflushed_ += volume;
}

void Drainer::take_unflushed(Foreign& foreign, const Volume& volume) {
  const Volume before = foreign.unflushed;
  foreign.unflushed -= volume;
  const std::lock_guard lock(unflushed_mutex_);
  unflushed_.requests -= before.requests - foreign.unflushed.requests;
  unflushed_.events -= before.events - foreign.unflushed.events;
  unflushed_.connection_events -= before.connection_events - foreign.unflushed.connection_events;
  unflushed_.usage_events -= before.usage_events - foreign.unflushed.usage_events;
}

std::optional<Volume> Drainer::unflushed() const {
  const std::lock_guard lock(unflushed_mutex_);
  if (!measured_) return std::nullopt;
  return unflushed_;
}

asio::awaitable<void> Drainer::finish(Foreign& foreign) {
  const auto gone = co_await parts_.disk.run(
      [this, stream = foreign.flush.stream(), keep = parts_.clock.wall() - journal_retention_] {
        return parts_.directory.remove(stream, keep);
      });
  if (!gone) log::warn("a drained stream could not be removed", {{"error", gone.error().message()}});
}

/// Of a stream that cannot be brought in. Only an operator who gives it up ends that: what it still holds is then not
/// counted, on record, and holds up nothing any more.
asio::awaitable<void> Drainer::stuck(Foreign& foreign, std::string_view reason) {
  const auto row = co_await parts_.store.read_stream(foreign.flush.stream());
  foreign.given_up = row && *row && (*row)->state == tracker::StreamState::given_up;
  if (!foreign.given_up) co_return trouble(foreign, reason);
  foreign.lock.reset();
  take_unflushed(foreign, Volume(foreign.unflushed));
  log::info("a stream that could not be brought in was given up",
            {{"stream", foreign.flush.stream().uuid.to_string()}, {"reason", reason}});
}

void Drainer::trouble(const Foreign& foreign, std::string_view reason) {
  const auto stream = foreign.flush.stream();
  troubles_.push_back({stream.uuid.to_string(), std::string(reason)});
  std::string& told = told_[stream];
  if (told == reason) return;
  told = reason;
  log::error("a stream of an earlier process cannot be drained; its journal is kept",
             {{"stream", stream.uuid.to_string()}, {"reason", reason}, {"applied", foreign.flush.applied()}});
}

}  // namespace tally::daemon
