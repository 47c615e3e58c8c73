#include "daemon/counting/watch.hpp"

#include <algorithm>
#include <cstdlib>

#include "daemon/log.hpp"

namespace tally::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto kEvery = 2s;
// In turns of the loop: the database is asked less often than the own parts.
constexpr int kSilenceEvery = 5;
constexpr int kLedgerEvery = 30;
constexpr std::size_t kNamed = 5;  // ids that a sentence may hold

}  // namespace

Watch::Watch(asio::any_io_executor executor, db::PgStore& store, const Flusher& flusher, const Drainer& drainer,
             metrics::LedgerMetrics& metrics, metrics::IngestMetrics& ingest_metrics)
    : store_(store),
      flusher_(flusher),
      drainer_(drainer),
      metrics_(metrics),
      ingest_metrics_(ingest_metrics),
      waker_(std::move(executor)) {}

asio::awaitable<void> Watch::run() {
  for (int turn = 0; !stopping_; ++turn) {
    look_at_own();
    if (on_turn_) on_turn_();
    if (turn % kSilenceEvery == 0) co_await look_for_silence();
    if (!stopping_ && turn % kLedgerEvery == 0) co_await read_ledger();
    if (!stopping_) co_await waker_.wait(kEvery);
  }
}

void Watch::stop() {
  stopping_ = true;
  waker_.wake();
}

void Watch::say(std::string& what, std::string text) {
  const std::lock_guard lock(mutex_);
  what = std::move(text);
}

std::string Watch::silent_replicas() const {
  const std::lock_guard lock(mutex_);
  return silent_text_;
}

std::string Watch::stuck_streams() const {
  const std::lock_guard lock(mutex_);
  return stuck_text_;
}

void Watch::look_at_own() {
  Volume waiting = flusher_.unflushed();
  if (const auto of_the_dead = drainer_.unflushed()) waiting += *of_the_dead;
  ingest_metrics_.set_pending(
      metrics::EventKind::boundary,
      waiting.events - std::min(waiting.events, waiting.connection_events + waiting.usage_events));
  ingest_metrics_.set_pending(metrics::EventKind::connection, waiting.connection_events);
  ingest_metrics_.set_pending(metrics::EventKind::usage, waiting.usage_events);

  std::string text;
  if (flusher_.alarm() != tracker::StreamFlush::Alarm::none)
    text = "this process's own stream is no longer flushed: " + std::string(to_string(flusher_.alarm()));
  std::size_t named = 0;
  for (const Drainer::Trouble& trouble : drainer_.troubles()) {
    if (++named > kNamed) continue;
    text += (text.empty() ? "stream " : "; stream ") + trouble.stream + ": " + trouble.reason;
  }
  if (named > kNamed) text += "; and " + std::to_string(named - kNamed) + " more";
  say(stuck_text_, std::move(text));
}

asio::awaitable<void> Watch::look_for_silence() {
  const auto found = co_await store_.silent_replicas();
  if (!found) co_return;  // the database is away: nothing is known
  for (auto& [id, seen] : silent_) seen = false;
  std::uint64_t streams = 0;
  std::string text;
  for (std::size_t i = 0; i < found->size(); ++i) {
    const db::SilentReplica& replica = (*found)[i];
    streams += static_cast<std::uint64_t>(replica.open_streams);
    if (i < kNamed) text += (i == 0 ? "" : ", ") + replica.id;
    const auto [known, fresh] = silent_.insert_or_assign(replica.id, true);
    if (fresh)
      log::warn(
          "a replica has fallen silent; what it holds is counted when it is back, or drained, or given up",
          {{"replica", replica.id}, {"silent_s", replica.silent_seconds}, {"open_streams", replica.open_streams}});
  }
  for (auto entry = silent_.begin(); entry != silent_.end();) {
    if (!entry->second) log::info("a replica is heard of again, or was given up", {{"replica", entry->first}});
    entry = entry->second ? std::next(entry) : silent_.erase(entry);
  }
  metrics_.set_silent(found->size(), streams);
  if (!found->empty())
    text = std::to_string(found->size()) + " not heard of for 15 s, with " + std::to_string(streams) +
           " open streams: " + text + (found->size() > kNamed ? ", ..." : "");
  say(silent_text_, std::move(text));
}

asio::awaitable<void> Watch::read_ledger() {
  const auto ledger = co_await store_.ledger();
  if (!ledger) co_return;
  using metrics::LedgerPart;
  const std::pair<LedgerPart, const std::string*> parts[] = {{LedgerPart::applied, &ledger->applied},
                                                             {LedgerPart::reported, &ledger->reported},
                                                             {LedgerPart::open, &ledger->open},
                                                             {LedgerPart::discarded, &ledger->discarded},
                                                             {LedgerPart::duplicates, &ledger->duplicates},
                                                             {LedgerPart::set_aside, &ledger->set_aside}};
  for (const auto& [part, requests] : parts) metrics_.set(part, std::strtod(requests->c_str(), nullptr));
  metrics_.set_balanced(ledger->balanced);
  metrics_.set_keys(ledger->keys);
  if (balanced_ && !ledger->balanced)
    log::error("the ledger does not balance: what was applied is not what the periods hold",
               {{"applied", ledger->applied}, {"reported", ledger->reported}, {"open", ledger->open}});
  balanced_ = ledger->balanced;
}

}  // namespace tally::daemon
