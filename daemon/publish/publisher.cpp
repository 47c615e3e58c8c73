#include "daemon/publish/publisher.hpp"

#include <algorithm>

#include "daemon/api/render.hpp"
#include "daemon/client/retry_after.hpp"
#include "daemon/publish/retry_wait.hpp"
#include "daemon/version.hpp"

namespace tally::daemon {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

namespace {

constexpr milliseconds kLease = 15s;
// The lease must outlast the exchange; --publish-timeout is at most this.
constexpr milliseconds kExchangeEnds = 14s;
constexpr std::int64_t kBatch = 100;
constexpr milliseconds kPoll = 1s;
constexpr milliseconds kPollFailing = 200ms;
constexpr milliseconds kLongestPause = 5s;
// So many refused at once say something about the collector, one says something about itself.
constexpr std::size_t kMany = 10;
constexpr milliseconds kLookEvery = 5s;
constexpr milliseconds kTidyEvery = 10s;
constexpr milliseconds kLongestRetryAfter = 1h;
constexpr int kTriesToSettle = 3;
constexpr int kChunksARound = 50;

tracker::SteadyTime after(tracker::SteadyTime time, milliseconds by) {
  return time + by;
}

}  // namespace

Publisher::Publisher(asio::any_io_executor executor, Options options, db::PgStore& store, db::UsageEvents& events,
                     client::ProxySettings proxies, DiskThread& disk, const tracker::Clock& clock,
                     metrics::ReportMetrics& metrics)
    : options_(std::move(options)),
      store_(store),
      events_(events),
      disk_(disk),
      clock_(clock),
      metrics_(metrics),
      client_(executor, clock, std::move(proxies), "tallyd/" + std::string(version())),
      waker_(std::move(executor)),
      random_(std::random_device{}()) {}

double Publisher::random() {
  return std::uniform_real_distribution<double>(0.0, 1.0)(random_);
}

asio::awaitable<void> Publisher::run() {
  while (!stopping_) {
    bool sent = false;
    // First: what is too old to be sent must not go out with the first batch.
    if (clock_.steady() - tidied_at_ >= kTidyEvery) co_await tidy();
    if (stopping_) break;
    const auto now = clock_.steady();
    if (options_.url && now >= held_until_) {
      if (now >= next_tick_) {
        draining_ = true;
        // Spread, so that replicas that were started together do not stay so.
        next_tick_ = after(
            now, options_.interval * 9 / 10 + milliseconds(static_cast<milliseconds::rep>(
                                                  random() * static_cast<double>(options_.interval.count()) / 5)));
      }
      if (draining_ || some_come_again_) sent = co_await round();
      if (!sent && !lease_failed_) draining_ = false;
    }
    if (stopping_) break;
    if (clock_.steady() - looked_at_ >= (failures_in_a_row_ > 0 ? kPoll : kLookEvery)) co_await look();
    if (stopping_) break;
    const bool more = sent && failures_in_a_row_ == 0;
    co_await waker_.wait(more ? 0ms : pause());
  }
}

void Publisher::stop() {
  stopping_ = true;
  client_.cancel();
  waker_.wake();
}

Publisher::Health Publisher::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

/// While the collector is left alone, what is left of that; else until the next tick, looking in between for what comes
/// again. Never for long, since there are other things to do.
milliseconds Publisher::pause() {
  const auto now = clock_.steady();
  if (!options_.url) return kPoll;
  if (now < held_until_) return std::min(std::chrono::ceil<milliseconds>(held_until_ - now), kLongestPause);
  const auto tick = std::chrono::ceil<milliseconds>(std::max(next_tick_ - now, tracker::SteadyTime::duration(1ms)));
  return std::min(tick, some_come_again_ ? kPollFailing : kPoll);
}

asio::awaitable<bool> Publisher::round() {
  const auto deadline = after(clock_.steady(), kExchangeEnds);
  db::UsageEvents::Lease wish;
  wish.holder = options_.replica_id;
  wish.lasts = kLease;
  wish.most = most_;
  wish.only_again = !draining_;
  wish.window = std::chrono::floor<std::chrono::seconds>(options_.collector_dedup_window);
  auto batch = co_await events_.lease(std::move(wish));
  lease_failed_ = !batch;
  if (!batch || batch->empty()) {
    if (batch) failures_in_a_row_ = 0;
    co_return false;
  }
  co_await publish(std::move(*batch), deadline);
  co_return true;
}

asio::awaitable<void> Publisher::publish(std::vector<db::UsageEventRow> batch, tracker::SteadyTime deadline) {
  const client::Exchange ended = co_await exchange(batch, deadline);
  const auto asked = client::retry_after(ended.retry_after, ended.date, clock_.wall(), kLongestRetryAfter);
  UsageVerdict verdict = judge(batch, ended, random(), asked);
  // One bad event must not take others along for ever: what fails as a whole though it was answered comes in smaller
  // parts, down to one.
  most_ = verdict.problem.empty() ? std::min(kBatch, most_ * 2)
          : ended.status > 0      ? std::max<std::int64_t>(1, most_ / 2)
                                  : most_;
  hide_credentials(verdict);
  if (!stopping_) note(verdict, asked);
  co_await settle(std::move(verdict));
}

asio::awaitable<client::Exchange> Publisher::exchange(const std::vector<db::UsageEventRow>& batch,
                                                      tracker::SteadyTime deadline) {
  client::Exchange ended;
  if (deployment_id_.empty()) {
    const auto clock = co_await store_.clock();
    if (clock) deployment_id_ = clock->cluster_id;
  }
  if (deployment_id_.empty()) {
    ended.problem = "the deployment's id cannot be read from the database";
    co_return ended;
  }
  // Here, where the disk's thread does not read it.
  if (replaced_) options_.credentials = std::move(*replaced_);
  replaced_.reset();
  const bool ready = co_await disk_.run([this] { return read_credentials(); });
  if (!ready) {
    ended.problem = credential_problem_;
    co_return ended;
  }
  client::Request request;
  request.url = *options_.url;
  request.body = usage_batch_json(batch);
  request.headers.emplace_back("X-Tallyd-Deployment-Id", deployment_id_);
  if (!token_.empty()) request.headers.emplace_back("Authorization", "Bearer " + token_.text());
  if (!license_.empty()) request.headers.emplace_back("X-Tallyd-License", license_.text());
  const auto until = std::min(deadline, after(clock_.steady(), options_.timeout));
  ended = co_await client_.post(std::move(request), until);
  co_return ended;
}

void Publisher::note(const UsageVerdict& verdict, std::optional<milliseconds> asked_for) {
  using Kind = db::UsageOutcome::Kind;
  std::uint64_t rejected = 0;
  for (const auto& outcome : verdict.outcomes) rejected += outcome.kind == Kind::rejected ? 1 : 0;
  if (verdict.strangers > 0) {
    metrics_.usage_strangers(verdict.strangers);
    if (const auto held = strangers_throttle_.admit(clock_.steady()))
      log::warn("the collector named usage events that were not sent to it",
                {{"events", verdict.strangers}, {"held_back", *held}});
  }
  if (rejected > 0)
    log::warn("the collector rejected usage events for good; see `tallyd usage-events --status rejected`",
              {{"events", rejected}});
  const bool some_rested = std::any_of(verdict.outcomes.begin(), verdict.outcomes.end(), [](const auto& outcome) {
    return outcome.kind == Kind::published || outcome.kind == Kind::rejected;
  });
  if (verdict.problem.empty() && (some_rested || verdict.outcomes.size() < kMany)) {
    failures_in_a_row_ = 0;
    return;
  }
  ++failures_in_a_row_;
  some_come_again_ = true;
  held_until_ = after(clock_.steady(), std::max(retry_wait(failures_in_a_row_, random()), asked_for.value_or(0ms)));
  if (verdict.problem.empty()) return;
  metrics_.published(metrics::PublishResult::failed);
  if (const auto held = throttle_.admit(clock_.steady()))
    log::warn("usage events could not be published; they will be sent again",
              {{"events", static_cast<std::uint64_t>(verdict.outcomes.size())},
               {"error", verdict.problem},
               {"held_back", *held}});
}

/// What cannot be written down is sent again once its lease has run out; the collector knows it by its id.
asio::awaitable<void> Publisher::settle(UsageVerdict verdict) {
  using Kind = db::UsageOutcome::Kind;
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;
  for (const auto& outcome : verdict.outcomes) {
    accepted += outcome.kind == Kind::published ? 1 : 0;
    rejected += outcome.kind == Kind::rejected ? 1 : 0;
    some_come_again_ = some_come_again_ || outcome.kind == Kind::again || outcome.kind == Kind::unknown;
  }
  for (int attempt = 0; attempt < kTriesToSettle; ++attempt) {
    const auto settled = co_await events_.settle(verdict.outcomes);
    if (!settled) continue;
    metrics_.published(metrics::PublishResult::accepted, accepted);
    metrics_.published(metrics::PublishResult::rejected, rejected);
    co_return;
  }
  some_come_again_ = true;
}

asio::awaitable<void> Publisher::tidy() {
  if (options_.url) {
    const auto window = std::chrono::ceil<std::chrono::seconds>(options_.collector_dedup_window);
    db::UsageSwept all;
    for (std::int64_t last = db::UsageEvents::kSweptAtOnce; last == db::UsageEvents::kSweptAtOnce && !stopping_;) {
      const auto swept = co_await events_.sweep(window);
      if (!swept) co_return;
      last = swept->expired + swept->held;
      all.expired += swept->expired;
      all.held += swept->held;
    }
    deployment_id_.clear();  // another one after a rebase
    metrics_.published(metrics::PublishResult::expired, static_cast<std::uint64_t>(all.expired));
    metrics_.published(metrics::PublishResult::held, static_cast<std::uint64_t>(all.held));
    if (all.expired + all.held > 0)
      log::error("usage events came to rest unpublished; see `tallyd usage-events`",
                 {{"expired", all.expired}, {"held", all.held}});
  }
  tidied_at_ = clock_.steady();
  if (options_.retention == 0ms) co_return;
  // An id that the collector may still get from elsewhere is kept, so that it is not taken as new here.
  const auto kept = std::max(options_.retention, options_.collector_dedup_window);
  for (int chunk = 0; chunk < kChunksARound && !stopping_; ++chunk) {
    const auto gone = co_await events_.expire(std::chrono::ceil<std::chrono::seconds>(kept));
    if (!gone || *gone == 0) co_return;
  }
}

asio::awaitable<void> Publisher::look() {
  const auto counts = co_await events_.counts();
  if (!counts) co_return;
  looked_at_ = clock_.steady();
  some_come_again_ = counts->some_sent_before;
  metrics_.set_usage_waiting(counts->pending, counts->oldest_pending_seconds);
  metrics_.set_usage_resting(counts->rejected, counts->expired, counts->held);
  Health health;
  health.ok = !counts->failing_since_us && counts->rejected_today == 0;
  if (counts->failing_since_us)
    health.detail =
        "failing since " + api::rfc3339(*counts->failing_since_us) + ": " + in_short(counts->last_error) + "; ";
  else if (counts->rejected_today > 0)
    health.detail = std::to_string(counts->rejected_today) + " rejected for good in the last 24 h; ";
  else if (!options_.url && counts->pending > 0)
    health.detail = "paused, there is no --publish-url; ";
  health.detail += std::to_string(counts->pending) + " pending, " + std::to_string(counts->rejected) + " rejected, " +
                   std::to_string(counts->expired) + " expired, " + std::to_string(counts->held) + " held";
  const std::lock_guard lock(mutex_);
  health_ = std::move(health);
}

/// A collector may repeat what it was shown.
void Publisher::hide_credentials(UsageVerdict& verdict) const {
  const auto hide = [](std::string& text, const client::Secret& secret) {
    if (secret.empty()) return;
    for (auto at = text.find(secret.text()); at != std::string::npos; at = text.find(secret.text(), at))
      text.replace(at, secret.text().size(), "***");
  };
  for (const client::Secret* secret : {&token_, &license_}) {
    hide(verdict.problem, *secret);
    for (auto& outcome : verdict.outcomes) hide(outcome.message, *secret);
  }
}

/// At each request, so that a credential that was replaced is used at once. On the disk's thread, while nobody else
/// looks.
bool Publisher::read_credentials() {
  return read_line(options_.credentials.token, token_) && read_line(options_.credentials.license, license_);
}

bool Publisher::read_line(const std::filesystem::path& path, client::Secret& into) {
  into = {};
  if (path.empty()) return true;
  auto read = client::read_secret(path, credential_problem_);
  if (!read) return false;
  into = std::move(*read);
  if (client::is_bearer_token(into)) return true;
  credential_problem_ = "'" + path.string() + "' does not hold one line of visible ASCII";
  return false;
}

}  // namespace tally::daemon
