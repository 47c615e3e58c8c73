#include "daemon/publish/reporter.hpp"

#include "daemon/api/render.hpp"
#include "daemon/client/retry_after.hpp"
#include "daemon/publish/retry_wait.hpp"
#include "daemon/version.hpp"
#include "tracker/rules.hpp"

namespace tally::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr std::chrono::milliseconds kLease = 15s;
// Less than the lease, so that nobody else sends while this one still does.
constexpr std::chrono::milliseconds kExchange = 10s;
constexpr std::chrono::milliseconds kExchangeEnds = 14s;  // after the lease was taken
constexpr std::chrono::milliseconds kPoll = 1s;
constexpr std::chrono::milliseconds kPollFailing = 200ms;
constexpr std::chrono::milliseconds kLookEvery = 5s;
// A collector that fails for everything is not asked for the next report at once.
constexpr std::chrono::milliseconds kLongestPause = 5s;
constexpr std::chrono::milliseconds kLongestRetryAfter = 1h;
constexpr int kTriesToNote = 3;

double spread(std::mt19937_64& random) {
  return std::uniform_real_distribution<double>(0.0, 1.0)(random);
}

std::string what_failed(const client::Exchange& exchange) {
  if (exchange.status == 0) return exchange.problem;
  std::string text = "answered " + std::to_string(exchange.status);
  if (!exchange.body.empty()) text += ": " + excerpt(exchange.body);
  return text;
}

}  // namespace

Reporter::Reporter(asio::any_io_executor executor, Options options, db::PgStore& store, db::ReportDelivery& delivery,
                   client::ProxySettings proxies, DiskThread& disk, const tracker::Clock& clock,
                   metrics::ReportMetrics& metrics)
    : options_(std::move(options)),
      store_(store),
      delivery_(delivery),
      disk_(disk),
      clock_(clock),
      metrics_(metrics),
      client_(executor, clock, std::move(proxies), "tallyd/" + std::string(version())),
      waker_(std::move(executor)),
      random_(std::random_device{}()) {}

asio::awaitable<void> Reporter::run() {
  while (!stopping_) {
    const bool sent = co_await round();
    if (stopping_) break;
    const bool failing = !problem().empty() || failures_in_a_row_ > 0;
    if (clock_.steady() - looked_at_ >= (failing ? kPoll : kLookEvery)) co_await look();
    std::chrono::milliseconds pause = sent ? 0ms : failing ? kPollFailing : kPoll;
    if (failures_in_a_row_ > 0) pause = std::min(retry_wait(failures_in_a_row_, spread(random_)), kLongestPause);
    if (pause > 0ms && !stopping_) co_await waker_.wait(pause);
  }
}

void Reporter::stop() {
  stopping_ = true;
  client_.cancel();
  waker_.wake();
}

std::string Reporter::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

asio::awaitable<bool> Reporter::round() {
  // Whoever closed a period may have died before it was summed.
  const auto summed = co_await store_.sum_closed();
  if (!summed || stopping_) co_return false;
  const auto deadline = clock_.steady() + kExchangeEnds;
  const auto leased = co_await delivery_.lease(options_.replica_id, kLease);
  if (!leased || !*leased) {
    if (leased) failures_in_a_row_ = 0;
    co_return false;
  }
  co_await deliver(**leased, deadline);
  co_return true;
}

asio::awaitable<void> Reporter::deliver(db::LeasedReport leased, tracker::SteadyTime deadline) {
  auto report = co_await store_.report(leased.period);
  const bool give_back = stopping_ || !report;
  if (give_back) {
    co_await delivery_.give_back(leased, options_.replica_id);
    if (!report) ++failures_in_a_row_;
    co_return;
  }
  co_await post(leased, std::move(*report), deadline);
}

asio::awaitable<void> Reporter::post(db::LeasedReport leased, tracker::Report report, tracker::SteadyTime deadline) {
  // Here, where the disk's thread does not read it.
  if (replaced_) options_.credentials = std::move(*replaced_);
  replaced_.reset();
  const bool ready = co_await disk_.run([this] { return read_credentials(); });
  client::Exchange exchange;
  if (ready) {
    client::Request request = request_for(report);
    exchange = co_await client_.post(std::move(request), std::min(deadline, clock_.steady() + kExchange));
  } else {
    exchange.problem = credentials_.problem;
  }
  // Its head alone says that it was taken; a body that breaks off changes nothing.
  if (exchange.status / 100 == 2 || !tracker::holds("M8")) {
    failures_in_a_row_ = 0;
    co_await note_delivered(leased);
    co_return;
  }
  if (stopping_) {
    co_await delivery_.failed(leased, options_.replica_id, 0ms, "its replica stopped");
    co_return;
  }
  ++failures_in_a_row_;
  metrics_.report(metrics::ReportResult::failed);
  const std::string why = what_failed(exchange);
  const auto asked = client::retry_after(exchange.retry_after, exchange.date, clock_.wall(), kLongestRetryAfter);
  const auto wait = retry_wait(leased.attempt, spread(random_), asked);
  if (const auto held = throttle_.admit(clock_.steady()))
    log::warn("a report was not accepted; it will be sent again", {{"period", leased.period},
                                                                   {"attempt", leased.attempt},
                                                                   {"error", why},
                                                                   {"again_in_ms", wait},
                                                                   {"held_back", *held}});
  co_await delivery_.failed(leased, options_.replica_id, wait, why);
}

/// Without the note it is sent again under the same key, which the other side knows.
asio::awaitable<void> Reporter::note_delivered(db::LeasedReport leased) {
  for (int attempt = 0; attempt < kTriesToNote; ++attempt) {
    const auto noted = co_await delivery_.delivered(leased.period);
    if (!noted) continue;
    if (*noted) {
      metrics_.report(metrics::ReportResult::delivered);
      log::info("report delivered", {{"period", leased.period}, {"attempt", leased.attempt}});
    }
    co_return;
  }
}

asio::awaitable<void> Reporter::look() {
  const auto undelivered = co_await delivery_.undelivered();
  if (!undelivered) co_return;
  looked_at_ = clock_.steady();
  metrics_.set_undelivered(undelivered->count, undelivered->oldest_age_seconds);
  std::string problem;
  if (undelivered->failing_since_us)
    problem = "failing since " + api::rfc3339(*undelivered->failing_since_us) + ", " +
              std::to_string(undelivered->count) + " not delivered: " + in_short(undelivered->last_error);
  const std::lock_guard lock(mutex_);
  problem_ = std::move(problem);
}

client::Request Reporter::request_for(const tracker::Report& report) const {
  client::Request request;
  request.url = options_.url;
  request.body = api::to_json(report);
  request.headers.emplace_back("Idempotency-Key", report.cluster_id + "/" + std::to_string(report.period));
  if (!credentials_.token.empty()) request.headers.emplace_back("Authorization", "Bearer " + credentials_.token.text());
  if (!credentials_.hmac_key.empty())
    request.headers.emplace_back("X-Tallyd-Signature",
                                 "sha256=" + client::hmac_sha256(credentials_.hmac_key, request.body));
  return request;
}

/// At each request, so that a credential that was replaced is used at once. On the disk's thread, while nobody else
/// looks.
bool Reporter::read_credentials() {
  credentials_ = {};
  const auto read = [&](const std::filesystem::path& file, client::Secret& into) {
    if (file.empty()) return true;
    auto secret = client::read_secret(file, credentials_.problem);
    if (secret) into = std::move(*secret);
    return secret.has_value();
  };
  if (!read(options_.credentials.token, credentials_.token)) return false;
  if (!read(options_.credentials.hmac_key, credentials_.hmac_key)) return false;
  if (credentials_.token.empty() || client::is_bearer_token(credentials_.token)) return true;
  credentials_.problem = "'" + options_.credentials.token.string() + "' does not hold one line of visible ASCII";
  return false;
}

}  // namespace tally::daemon
