#include "daemon/counting/drainer.hpp"

#include <algorithm>

#include "daemon/log.hpp"

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
      driver_(parts_, reader_, waker_) {}

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
  bool settled = true;
  for (const journal::StreamInfo& info : *streams) {
    if (is_own_(info.id)) continue;
    auto& foreign = foreign_[info.id];
    if (!foreign) foreign = std::make_unique<Foreign>(info.id);
    if (!foreign->drained) co_await drain(*foreign);
    if (foreign->drained) co_await finish(*foreign);
    settled = settled && (foreign->drained || foreign->flush.alarm() == StreamFlush::Alarm::closed);
    if (stopping_) co_return;
  }
  std::erase_if(foreign_, [&](const auto& entry) {
    return std::none_of(streams->begin(), streams->end(), [&](const auto& info) { return info.id == entry.first; });
  });
  settled_ = settled && !urged_;
}

asio::awaitable<void> Drainer::drain(Foreign& foreign) {
  if (foreign.flush.alarm() != StreamFlush::Alarm::none) co_return trouble(foreign, to_string(foreign.flush.alarm()));
  if (!foreign.scanned) {
    const bool claimed = co_await claim_and_scan(foreign);
    if (!claimed) co_return;
  }
  const bool up_to_date = co_await driver_.drive(foreign.flush, no_announcement_, stopping_);
  if (!up_to_date) {
    if (foreign.flush.alarm() != StreamFlush::Alarm::none) trouble(foreign, to_string(foreign.flush.alarm()));
    co_return;
  }
  if (!foreign.complete) co_return trouble(foreign, "damaged");
  const auto marked = co_await parts_.store.mark_drained(foreign.flush.stream(), foreign.flush.applied());
  if (!marked) {
    log::warn("a drained stream could not be marked",
              {{"stream", foreign.flush.stream().uuid.to_string()}, {"error", marked.error().message()}});
    co_return;
  }
  foreign.drained = true;
  foreign.lock.reset();
  const auto& counts = foreign.flush.counts();
  log::info("drained a stream of an earlier process", {{"stream", foreign.flush.stream().uuid.to_string()},
                                                       {"lsn", foreign.flush.applied()},
                                                       {"batches", counts.confirmed}});
}

asio::awaitable<bool> Drainer::claim_and_scan(Foreign& foreign) {
  const auto stream = foreign.flush.stream();
  const auto row = co_await parts_.store.read_stream(stream);
  if (!row) co_return false;  // the database is away: later
  const tracker::Lsn applied = *row ? (*row)->applied_lsn : 0;
  if (*row && (*row)->state == tracker::StreamState::drained) {
    foreign.drained = true;  // by an earlier boot; only its retention is left
    co_return false;
  }
  auto lock = co_await parts_.disk.run([this, stream] { return parts_.directory.claim(stream); });
  if (!lock) {
    // Alive: its own process flushes it.
    if (lock.error() != tracker::Errc::conflict) trouble(foreign, lock.error().message());
    co_return false;
  }
  foreign.lock = std::move(*lock);
  const auto scan =
      co_await parts_.disk.run([this, stream, applied] { return parts_.directory.scan(stream, applied); });
  if (!scan) {
    foreign.lock.reset();
    trouble(foreign, scan.error().message());
    co_return false;
  }
  foreign.scanned = true;
  foreign.complete = scan->end == journal::StreamEnd::clean || scan->end == journal::StreamEnd::torn;
  foreign.flush.durable(scan->last);
  co_return true;
}

asio::awaitable<void> Drainer::finish(Foreign& foreign) {
  const auto gone = co_await parts_.disk.run(
      [this, stream = foreign.flush.stream(), keep = parts_.clock.wall() - journal_retention_] {
        return parts_.directory.remove(stream, keep);
      });
  if (!gone) log::warn("a drained stream could not be removed", {{"error", gone.error().message()}});
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
