#include "daemon/counting/heart.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "daemon/log.hpp"

namespace tally::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// Twice within the 5 s in which a revoked token must be refused everywhere, and `as_of` must pass a 202 within 10 s.
constexpr auto kEvery = 2s;

bool make_mark(const std::string& path) {
  const int file = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0) return false;
  const bool synced = ::fsync(file) == 0;
  ::close(file);
  return synced;
}

}  // namespace

Heart::Heart(asio::any_io_executor executor, Options options, db::PgStore& store, Flusher& flusher, Drainer& drainer,
             PeriodWitness& witness, DiskThread& disk, metrics::ReportMetrics& metrics)
    : options_(std::move(options)),
      store_(store),
      flusher_(flusher),
      drainer_(drainer),
      witness_(witness),
      disk_(disk),
      metrics_(metrics),
      waker_(std::move(executor)),
      registered_(::access(options_.registered_mark.c_str(), F_OK) == 0) {}

asio::awaitable<void> Heart::run() {
  while (!stopping_) {
    co_await beat();
    if (!stopping_) co_await waker_.wait(kEvery);
  }
  // What this replica leaves behind is what the ledger shows of it until it is back.
  while (!flusher_.ended()) co_await waker_.wait(20ms);
  if (connected_) co_await beat();
}

void Heart::stop() {
  stopping_ = true;
  waker_.wake();
}

void Heart::settle_mark() {
  if (!mark_ || flusher_.last_good_cycle() < mark_->cycle || !drainer_.all_settled()) return;
  complete_as_of_us_ = mark_->database_time_us;
  mark_.reset();
}

asio::awaitable<void> Heart::beat() {
  settle_mark();
  Volume unflushed = flusher_.unflushed();
  const auto of_the_dead = drainer_.unflushed();
  if (of_the_dead) unflushed += *of_the_dead;
  db::Heartbeat beat;
  beat.replica_id = options_.replica_id;
  beat.host = options_.host;
  beat.version = options_.version;
  beat.complete_as_of_us = complete_as_of_us_;
  beat.unflushed_known = of_the_dead.has_value();
  beat.unflushed_requests = unflushed.requests;
  beat.unflushed_connection_events = unflushed.connection_events;
  beat.unflushed_usage_events = unflushed.usage_events;
  const auto answer = co_await store_.heartbeat(std::move(beat));
  connected_ = static_cast<bool>(answer);
  if (!answer) co_return;
  if (!answer->known) {
    const bool done = co_await register_replica();
    if (!done) co_return;
  }
  // Its row may have been made with that of its first stream.
  // Captures nothing that needs a destructor: GCC 12 destroys a temporary closure in a co_await twice.
  if (!registered_) registered_ = co_await disk_.run([this] { return make_mark(options_.registered_mark); });
  const bool changed = co_await witness_.hear(answer->clock.cluster_id, answer->clock.period);
  if (changed && witness_.agrees()) {
    flusher_.urge();
    drainer_.urge();
  }
  // Only a cycle that starts from here on has a cut behind everything that was acknowledged before that time.
  if (!mark_) mark_ = Mark{answer->clock.database_time_us, flusher_.cycles_started() + 1};
  metrics_.set_period(answer->clock.period);
  if (on_rights_) on_rights_(answer->clock.rights_version);
  if (stopping_) co_return;
  co_await agree_on_period(answer->clock);
  co_await close_if_due(answer->clock);
}

asio::awaitable<bool> Heart::register_replica() {
  const auto done = co_await store_.register_replica(options_.replica_id, options_.host, options_.version);
  if (!done) {
    log::warn("the replica could not be registered", {{"error", done.error().message()}});
    co_return false;
  }
  co_return true;
}

asio::awaitable<void> Heart::agree_on_period(const db::ClockRow& clock) {
  if (period_agreed_) co_return;
  const std::int64_t mine = std::chrono::duration_cast<std::chrono::seconds>(options_.period).count();
  std::int64_t held = mine;
  if (clock.period_seconds) {
    held = *clock.period_seconds;
  } else {
    const auto adopted = co_await store_.adopt_period_length(mine);
    if (!adopted) co_return;
    held = *adopted;
  }
  period_agreed_ = true;
  if (held != mine)
    log::warn("the database holds another period length; it is the one that counts",
              {{"here_s", mine}, {"database_s", held}});
}

asio::awaitable<void> Heart::close_if_due(const db::ClockRow& clock) {
  const std::int64_t length_us = clock.period_seconds.value_or(0) * 1'000'000;
  if (length_us == 0 || clock.database_time_us < clock.opened_at_us + length_us) co_return;
  // The database lost periods: nothing is closed in it before an operator has looked (accounting.md 13).
  if (!witness_.agrees() || flusher_.alarm() == tracker::StreamFlush::Alarm::clock_back) co_return;
  const auto closed = co_await store_.close_if_due();
  if (!closed) {
    metrics_.report(metrics::ReportResult::failed);
    co_return;
  }
  if (!*closed) co_return;  // another replica was first
  metrics_.report(metrics::ReportResult::closed);
  log::audit("period closed on time", {{"period", **closed}});
  if (const auto report = co_await store_.report(**closed)) metrics_.report(metrics::ReportResult::summed);
}

}  // namespace tally::daemon
