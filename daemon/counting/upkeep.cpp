#include "daemon/counting/upkeep.hpp"

#include <algorithm>

#include "daemon/log.hpp"

namespace tally::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// Every replica does this; who comes second finds little to do.
constexpr std::chrono::milliseconds kLongestPause = 60s;
constexpr std::chrono::milliseconds kShortestPause = 1s;
// A round ends here even if more is left, so that one replica does not keep the database busy.
constexpr int kChunksARound = 200;
// Whoever changes a right waits for one chunk at most.
constexpr std::int64_t kTokensAChunk = 500;
constexpr std::int64_t kPeriodsARound = 50;

std::chrono::seconds whole(std::chrono::milliseconds time) {
  return std::chrono::ceil<std::chrono::seconds>(time);
}

}  // namespace

Upkeep::Upkeep(asio::any_io_executor executor, db::PgStore& store, db::TokenStore& tokens, db::UsageHistory& history,
               const Retention& retention)
    : store_(store),
      tokens_(tokens),
      history_(history),
      retention_(retention),
      every_(std::clamp(std::min(retention.keys, retention.ids) / 10, kShortestPause, kLongestPause)),
      waker_(std::move(executor)) {}

asio::awaitable<void> Upkeep::run() {
  while (!stopping_) {
    co_await waker_.wait(every_);
    if (!stopping_) co_await remove_keys();
    if (!stopping_) co_await remove_ids();
    if (!stopping_ && retention_.reports > 0ms) co_await remove_reports();
    if (!stopping_) co_await remove_streams();
    if (!stopping_ && retention_.tokens > 0ms) co_await remove_tokens();
  }
}

void Upkeep::stop() {
  stopping_ = true;
  waker_.wake();
}

asio::awaitable<void> Upkeep::remove_keys() {
  std::int64_t removed = 0;
  for (int chunk = 0; chunk < kChunksARound && !stopping_; ++chunk) {
    const auto gone = co_await store_.expire_keys(whole(retention_.keys));
    if (!gone) co_return;  // the database is away, or says why in its own log line
    removed += *gone;
    if (*gone == 0) break;
  }
  if (removed > 0) log::debug("expired idempotency keys", {{"keys", removed}});
}

asio::awaitable<void> Upkeep::remove_ids() {
  std::int64_t periods = 0;
  for (; periods < kPeriodsARound && !stopping_; ++periods) {
    const auto gone = co_await history_.retire_ids(whole(retention_.ids));
    if (!gone || !*gone) break;
  }
  if (periods > 0) log::info("removed the ids of closed periods past their retention", {{"periods", periods}});
}

asio::awaitable<void> Upkeep::remove_reports() {
  const auto gone = co_await store_.expire_reports(whole(retention_.reports), retention_.delivered_reports_only);
  if (gone && *gone > 0) log::info("removed reports past their retention", {{"reports", *gone}});
}

asio::awaitable<void> Upkeep::remove_streams() {
  const auto gone = co_await store_.expire_streams(whole(retention_.streams));
  if (gone && *gone > 0) log::info("removed the rows of streams that ended long ago", {{"streams", *gone}});
}

asio::awaitable<void> Upkeep::remove_tokens() {
  std::int64_t removed = 0;
  for (int chunk = 0; chunk < kChunksARound && !stopping_; ++chunk) {
    const auto gone = co_await tokens_.expire(whole(retention_.tokens), kTokensAChunk);
    if (!gone) break;
    removed += gone->tokens;
    if (gone->rows < kTokensAChunk) break;
  }
  if (removed > 0) log::info("removed tokens that ended long ago; their audit lines stay", {{"tokens", removed}});
}

}  // namespace tally::daemon
