#include "daemon/counting/flusher.hpp"

#include <algorithm>

#include "daemon/log.hpp"

namespace tally::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using tracker::StreamFlush;

namespace {

// Segments are looked at this often; a short quota is looked at after every flush.
constexpr auto kTrimEvery = 10s;

/// Wakes whoever announces the stream's registration once the record is durable.
struct RegisteredRecord final : PendingRecord {
  struct Outcome {
    explicit Outcome(asio::any_io_executor executor) : waker(executor) {}
    Waker waker;
    std::optional<boost::system::error_code> error;
  };
  std::shared_ptr<Outcome> outcome;
  asio::any_io_executor counting;
  void settled() override {
    asio::post(counting, [outcome = outcome, error = error] {
      outcome->error = error;
      outcome->waker.wake();
    });
  }
};

}  // namespace

Flusher::Flusher(asio::any_io_executor executor, const CountingParts& parts, Intake& intake, tracker::Journal& journal,
                 std::chrono::milliseconds interval, std::chrono::milliseconds journal_retention)
    : executor_(executor),
      parts_(parts),
      intake_(intake),
      journal_(journal),
      interval_(interval),
      journal_retention_(journal_retention),
      reader_(parts.directory),
      waker_(executor),
      cut_waker_(executor),
      driver_(parts_, reader_, waker_),
      announce_([this](tracker::StreamId stream) { return announce(stream); }) {
  intake_.on_cut([this](const tracker::Cut& cut, std::vector<tracker::Shard::Part> shards,
                        const std::vector<Volume>& volumes) { take_cut(cut, std::move(shards), volumes); },
                 [this] { urge(); });
  driver_.on_applied([this](const tracker::StreamId& stream, const Volume& volume) {
    for (Own& own : own_)
      if (own.flush.stream() == stream) forget_pending(own, volume);
  });
}

asio::awaitable<void> Flusher::run() {
  while (!stopped_) {
    const bool last = stopping_;
    if (!last) co_await waker_.wait(interval_);
    beats_.fetch_add(1, std::memory_order_relaxed);
    const std::uint64_t number = ++started_;
    if (co_await cycle()) last_good_ = number;
    if (last) stopped_ = true;
  }
}

void Flusher::urge() {
  waker_.wake();
}

void Flusher::stop() {
  stopping_ = true;
  waker_.wake();
}

bool Flusher::owns(const tracker::StreamId& stream) const {
  return std::any_of(own_.begin(), own_.end(), [&](const Own& own) { return own.flush.stream() == stream; });
}

StreamFlush::Alarm Flusher::alarm() const {
  return own_.empty() ? StreamFlush::Alarm::none : own_.back().flush.alarm();
}

Volume Flusher::unflushed() const {
  const std::lock_guard lock(pending_mutex_);
  return intake_.untaken() += pending_;
}

void Flusher::forget_pending(Own& own, const Volume& volume) {
  own.unflushed -= volume;
  const std::lock_guard lock(pending_mutex_);
  pending_ -= volume;
}

asio::awaitable<bool> Flusher::cycle() {
  // While a stream is behind, its records wait in the shards and, past their bounds, in the journal alone.
  const bool behind = !own_.empty() && own_.back().flush.applied() < own_.back().cut_at;
  if (!behind) co_await request_cut();
  bool all = !behind;
  for (auto own = own_.begin(); own != own_.end();) {
    // A boot that never counted anything leaves no row behind.
    if (own->flush.applied() < own->cut_at) {
      const bool done = co_await driver_.drive(own->flush, announce_, stopping_);
      all = all && done;
      if (done) {
        forget_pending(*own, Volume(own->unflushed));  // what a drainer brought in
        co_await trim(own->flush);
      }
    }
    report_alarm(*own);
    leave_behind(*own);
    const bool finished =
        own->sealed && (own->flush.applied() >= own->cut_at || own->flush.alarm() != StreamFlush::Alarm::none);
    if (finished) forget_pending(*own, Volume(own->unflushed));  // what is left is the drainer's
    own = finished ? own_.erase(own) : std::next(own);
    if (finished && on_released_) on_released_();
  }
  co_return all;
}

asio::awaitable<void> Flusher::request_cut() {
  if (!own_.empty() && own_.back().flush.wants_new_epoch()) {
    intake_.want_new_epoch();
    own_.back().flush.new_epoch_asked();
  }
  const std::uint64_t ticket = next_ticket_++;
  cuts_asked_.store(ticket, std::memory_order_relaxed);
  journal_.request_cut(ticket);
  while (last_ticket_ < ticket) {
    co_await cut_waker_.wait(1s);
    beats_.fetch_add(1, std::memory_order_relaxed);  // a journal that owes a cut is its own part of the watchdog
  }
}

void Flusher::take_cut(const tracker::Cut& cut, std::vector<tracker::Shard::Part> shards,
                       const std::vector<Volume>& volumes) {
  if (cut.ticket > 0) {
    last_ticket_ = cut.ticket;
    cuts_answered_.store(cut.ticket, std::memory_order_relaxed);
    cut_waker_.wake();
  }
  if (cut.stream == tracker::StreamId{}) return;  // there was no stream yet
  const auto known =
      std::find_if(own_.begin(), own_.end(), [&](const Own& own) { return own.flush.stream() == cut.stream; });
  if (known != own_.end() && known->sealed) return;  // the end of a sealed stream, told again
  if (known == own_.end()) {
    if (cut.upto == 0 && cut.sealed) return;
    own_.emplace_back(cut.stream);
  }
  Own& own = known == own_.end() ? own_.back() : *known;
  auto gathered = tracker::join(std::move(shards), own.cut_at, cut, 1'000);
  {
    // Under the lock of whoever adds the two up: what was acknowledged is in one of them at every moment.
    const std::lock_guard lock(pending_mutex_);
    const Volume acknowledged = intake_.take(volumes);
    own.unflushed += acknowledged;
    pending_ += acknowledged;
  }
  own.cut_at = cut.upto;
  own.sealed = cut.sealed;
  own.flush.gathered(std::move(gathered));
  if (cut.sealed) waker_.wake();
}

asio::awaitable<tracker::Result<void>> Flusher::announce(tracker::StreamId stream) {
  auto record = std::make_unique<RegisteredRecord>();
  record->type = tracker::RecordType::registered;
  record->payload.assign(reinterpret_cast<const char*>(stream.uuid.bytes.data()), stream.uuid.bytes.size());
  record->counting = executor_;
  record->outcome = std::make_shared<RegisteredRecord::Outcome>(executor_);
  const auto outcome = record->outcome;
  tracker::AppendGroup group;
  group.push_back(std::move(record));
  journal_.submit(std::move(group));
  while (!outcome->error) co_await outcome->waker.wait(1s);
  if (*outcome->error) co_return *outcome->error;
  co_return tracker::Result<void>();
}

asio::awaitable<void> Flusher::trim(const StreamFlush& flush) {
  const auto now = parts_.clock.steady();
  if (now - trimmed_at_ < kTrimEvery && !parts_.directory.quota().is_short()) co_return;
  trimmed_at_ = now;
  const auto freed = co_await parts_.disk.run(
      [this, stream = flush.stream(), applied = flush.applied(), keep = parts_.clock.wall() - journal_retention_] {
        return parts_.directory.trim(stream, applied, keep);
      });
  if (!freed) log::warn("journal segments could not be removed", {{"error", freed.error().message()}});
}

/// A stream that the store takes nothing more from (given up, its row gone, a copy of it flushed elsewhere) or that
/// cannot be read back is left as it is, and what is acknowledged from now on goes to a new one. Not when the clock
/// went back: then the database lost periods, and nothing may be flushed at all before an operator has looked
/// (accounting.md 13).
void Flusher::leave_behind(Own& own) {
  const auto alarm = own.flush.alarm();
  if (alarm == StreamFlush::Alarm::none || alarm == StreamFlush::Alarm::clock_back || own.sealed || own.rolled) return;
  own.rolled = true;
  journal_.roll(own.flush.stream());
}

void Flusher::report_alarm(const Own& own) {
  if (own.flush.alarm() == StreamFlush::Alarm::none) return;
  if (!alarm_throttle_.admit(parts_.clock.steady())) return;
  log::error("this replica's stream is no longer flushed; its journal is kept",
             {{"stream", own.flush.stream().uuid.to_string()}, {"reason", to_string(own.flush.alarm())}});
}

}  // namespace tally::daemon
