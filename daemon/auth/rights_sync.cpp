#include "daemon/auth/rights_sync.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "daemon/log.hpp"

namespace tally::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto kReachWithin = 2s;
constexpr auto kUseInterval = 60s;
// A database that is away is not asked with every round.
constexpr auto kNoteAgain = 5s;
// One heartbeat may have been under way while this replica learnt of a change of its own.
constexpr int kRestoredAfter = 2;

}  // namespace

void RightsSync::seen(std::int64_t version) {
  lower_ = version < book_.version() ? lower_ + 1 : 0;
  if (version > wanted_) wanted_ = version;
  if (wanted_ > book_.version() || lower_ >= kRestoredAfter) waker_.wake();
}

void RightsSync::stop() {
  stopping_ = true;
  waker_.wake();
  for (asio::steady_timer& each : waiting_) each.cancel();
}

asio::awaitable<bool> RightsSync::reach(std::int64_t version) {
  if (book_.version() >= version) co_return true;
  const bool reached = co_await asio::co_spawn(executor_, wait_for(version), asio::use_awaitable);
  co_return reached;
}

asio::awaitable<bool> RightsSync::wait_for(std::int64_t version) {
  if (version > wanted_) wanted_ = version;
  waker_.wake();
  const auto own = waiting_.emplace(waiting_.end(), executor_, kReachWithin);
  boost::system::error_code cancelled = asio::error::operation_aborted;
  // Cancelled after every look at the database; not cancelled: the time is up.
  while (book_.version() < version && !stopping_ && cancelled)
    co_await own->async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  waiting_.erase(own);
  co_return book_.version() >= version;
}

asio::awaitable<void> RightsSync::catch_up() {
  const bool restored = lower_ >= kRestoredAfter;
  if (!restored && wanted_ <= book_.version()) co_return;
  const std::int64_t since = restored ? 0 : book_.version();
  db::RightsReading reading(since);
  while (!reading.done) {
    auto next = co_await store_.read_on(std::move(reading));
    if (!next) {
      log::warn("changed rights could not be read", {{"error", next.error().message()}});
      co_await take_revocations();
      co_return;
    }
    reading = std::move(*next);
    if (!reading.done) co_await take_revocations();
  }
  const db::RightsChanges* const changes = &reading.changes;
  if (restored) {
    log::warn("the database holds an older version of the rights than this replica knew; all are read anew",
              {{"version", changes->version}, {"known", book_.version()}});
    book_.replace(*changes);
    wanted_ = changes->version;
    revoked_up_to_ = 0;
    lower_ = 0;
  } else if (changes->everything) {
    book_.replace(*changes);
  } else {
    book_.apply(*changes);
  }
  for (asio::steady_timer& each : waiting_) each.cancel();
}

/// Whatever else takes long or fails: a token that is revoked is refused.
asio::awaitable<void> RightsSync::take_revocations() {
  const std::int64_t known = std::max(book_.version(), revoked_up_to_);
  if (wanted_ <= known) co_return;
  const std::int64_t seen = wanted_;
  auto revoked = co_await store_.revoked_since(known);
  if (!revoked) {
    log::warn("revoked tokens could not be read", {{"error", revoked.error().message()}});
    co_return;
  }
  db::RightsChanges changes;
  changes.version = book_.version();
  changes.tokens = std::move(*revoked);
  book_.apply(changes);
  revoked_up_to_ = seen;
}

asio::awaitable<void> RightsSync::note_use() {
  const auto now = clock_.steady();
  if (now >= next_interval_) {
    book_.start_use_interval();
    next_interval_ = now + kUseInterval;
    forget_ended();
  }
  for (std::string& id : book_.take_used()) unnoted_.insert(std::move(id));
  if (unnoted_.empty() || now < note_again_) co_return;
  std::vector<std::string> used(unnoted_.begin(), unnoted_.end());
  const auto noted = co_await store_.touch(std::move(used));
  if (noted) {
    unnoted_.clear();
  } else {
    note_again_ = now + kNoteAgain;
    log::debug("the use of tokens was not noted", {{"error", noted.error().message()}});
  }
}

void RightsSync::forget_ended() {
  if (keep_ended_ == 0ms) return;
  const auto before = clock_.wall().time_since_epoch() - keep_ended_;
  book_.drop_ended(std::chrono::duration_cast<std::chrono::microseconds>(before).count());
}

asio::awaitable<void> RightsSync::run() {
  while (!stopping_) {
    co_await catch_up();
    if (book_.dirty()) {
      const bool saved = co_await disk_.run([this] { return book_.save(); });
      if (!saved)
        log::warn("the known rights could not be saved; they are lost with a restart while the database is away");
    }
    co_await note_use();
    if (!stopping_) co_await waker_.wait(1s);
  }
  // What was learnt in the last second is honoured by the next start too, even if the database is away then.
  if (book_.dirty()) co_await disk_.run([this] { return book_.save(); });
}

}  // namespace tally::daemon
