#pragma once
#include <atomic>
#include <filesystem>
#include <mutex>
#include <optional>
#include <random>
#include <string>

#include "daemon/client/client.hpp"
#include "daemon/client/secret.hpp"
#include "daemon/counting/disk_thread.hpp"
#include "daemon/counting/waker.hpp"
#include "daemon/log.hpp"
#include "daemon/publish/usage_reply.hpp"
#include "db/usage_events.hpp"
#include "metrics/report_metrics.hpp"

namespace tally::daemon {

/// Publishes usage events to `--publish-url`: leased batches, oldest first, until nothing is due, each
/// `--publish-interval`; what failed comes again in between. Every replica runs one. Without a URL it is paused: events
/// wait, and are counted. Runs on the counting executor.
class Publisher {
 public:
  /// Files of one line each; empty paths: not sent.
  struct Credentials {
    std::filesystem::path token;    ///< as `Authorization: Bearer`
    std::filesystem::path license;  ///< as `X-Tallyd-License`
  };
  struct Options {
    std::optional<client::Url> url;
    Credentials credentials;
    std::string replica_id;
    std::chrono::milliseconds interval{};
    std::chrono::milliseconds timeout{};
    std::chrono::milliseconds collector_dedup_window{};
    std::chrono::milliseconds retention{};  ///< of finished events; 0: for ever
  };
  Publisher(boost::asio::any_io_executor executor, Options options, db::PgStore& store, db::UsageEvents& events,
            client::ProxySettings proxies, DiskThread& disk, const tracker::Clock& clock,
            metrics::ReportMetrics& metrics);

  boost::asio::awaitable<void> run();
  /// Ends the request in progress too; its events are leased until somebody sends them again.
  void stop();
  /// Grows while `run` goes round. Thread-safe.
  std::uint64_t rounds() const { return waker_.waits(); }
  /// From the next request on.
  void use(Credentials credentials) { replaced_ = std::move(credentials); }

  struct Health {
    bool ok = true;
    std::string detail;
  };
  /// Thread-safe.
  Health health() const;

 private:
  boost::asio::awaitable<bool> round();
  boost::asio::awaitable<void> publish(std::vector<db::UsageEventRow> batch, tracker::SteadyTime deadline);
  boost::asio::awaitable<client::Exchange> exchange(const std::vector<db::UsageEventRow>& batch,
                                                    tracker::SteadyTime deadline);
  boost::asio::awaitable<void> settle(UsageVerdict verdict);
  boost::asio::awaitable<void> tidy();
  boost::asio::awaitable<void> look();
  bool read_credentials();
  bool read_line(const std::filesystem::path& path, client::Secret& into);
  void hide_credentials(UsageVerdict& verdict) const;
  void note(const UsageVerdict& verdict, std::optional<std::chrono::milliseconds> asked_for);
  std::chrono::milliseconds pause();
  double random();

  Options options_;
  db::PgStore& store_;
  db::UsageEvents& events_;
  DiskThread& disk_;
  const tracker::Clock& clock_;
  metrics::ReportMetrics& metrics_;
  client::Client client_;
  Waker waker_;
  std::mt19937_64 random_;

  std::int64_t most_ = 100;    ///< of the next batch
  bool lease_failed_ = false;  ///< the last one: nobody knows whether anything is due
  std::optional<Credentials> replaced_;
  client::Secret token_;
  client::Secret license_;
  std::string credential_problem_;
  std::string deployment_id_;
  bool draining_ = true;         ///< since the last tick something was due
  bool some_come_again_ = true;  ///< as of the last look
  std::int64_t failures_in_a_row_ = 0;
  tracker::SteadyTime next_tick_{};
  tracker::SteadyTime held_until_{};  ///< the collector asked for a rest
  tracker::SteadyTime looked_at_{};
  tracker::SteadyTime tidied_at_{};
  log::Throttle throttle_{std::chrono::seconds(10)};
  log::Throttle strangers_throttle_{std::chrono::seconds(60)};
  bool stopping_ = false;
  mutable std::mutex mutex_;  ///< guards `health_`
  Health health_;
};

}  // namespace tally::daemon
