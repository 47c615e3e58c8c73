#include "daemon/counting/connection_upkeep.hpp"

#include <algorithm>

#include "daemon/log.hpp"

namespace tally::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kShortestPause = 250ms;
constexpr milliseconds kLongestPause = 60s;
// A chunk takes some tens of milliseconds; flushes have the database to themselves for at least as long again.
constexpr std::int64_t kChunk = 1'000;
constexpr milliseconds kLeastBreath = 20ms;
// How long a cursor knows what moved behind it.
constexpr milliseconds kCursorLife = 1h;

/// How often is often enough for a limit: zero means never.
milliseconds pause_for(milliseconds limit) {
  return limit == 0ms ? kLongestPause : std::clamp(limit / 10, kShortestPause, kLongestPause);
}

}  // namespace

ConnectionUpkeep::ConnectionUpkeep(asio::any_io_executor executor, db::ConnectionLog& log, const tracker::Clock& clock,
                                   metrics::ConnectionMetrics& metrics, Limits limits)
    : log_(log),
      clock_(clock),
      metrics_(metrics),
      limits_(limits),
      every_(std::min(pause_for(limits.timeout), pause_for(limits.retention))),
      waker_(std::move(executor)) {}

asio::awaitable<void> ConnectionUpkeep::run() {
  while (!stopping_) {
    co_await waker_.wait(every_);
    if (!stopping_ && limits_.timeout > 0ms) co_await mark_lost();
    if (!stopping_ && limits_.retention > 0ms) co_await purge();
    if (!stopping_) co_await forget_moves();
  }
}

void ConnectionUpkeep::stop() {
  stopping_ = true;
  waker_.wake();
}

asio::awaitable<void> ConnectionUpkeep::mark_lost() {
  std::int64_t all = 0;
  while (!stopping_) {
    const auto lost = co_await log_.mark_lost(limits_.timeout, kChunk);
    if (!lost) break;  // the database is away, or says why in its own log line
    metrics_.lost(static_cast<std::uint64_t>(*lost));
    all += *lost;
    if (*lost < kChunk) break;
  }
  if (all > 0) log::info("sessions are taken for lost", {{"sessions", all}});
}

asio::awaitable<void> ConnectionUpkeep::forget_moves() {
  const auto now = clock_.steady();
  if (now < forget_next_) co_return;
  forget_next_ = now + kLongestPause;
  constexpr std::int64_t kMoves = 10'000;
  while (!stopping_) {
    const auto gone = co_await log_.forget_moves(kCursorLife, kMoves);
    if (!gone || *gone < kMoves) break;
    co_await waker_.wait(kLeastBreath);
  }
}

asio::awaitable<void> ConnectionUpkeep::purge() {
  std::int64_t all = 0;
  while (!stopping_) {
    const auto began = clock_.steady();
    const auto gone = co_await log_.purge(limits_.retention, kChunk);
    if (!gone) break;
    metrics_.purged(static_cast<std::uint64_t>(*gone));
    all += *gone;
    if (*gone < kChunk) break;
    const auto took = std::chrono::duration_cast<milliseconds>(clock_.steady() - began);
    co_await waker_.wait(std::max(took, kLeastBreath));
  }
  if (all > 0) log::info("removed entries of the connection log past their retention", {{"entries", all}});
}

}  // namespace tally::daemon
