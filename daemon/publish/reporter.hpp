#pragma once
#include <filesystem>
#include <mutex>
#include <random>
#include <string>

#include "daemon/client/client.hpp"
#include "daemon/client/secret.hpp"
#include "daemon/counting/disk_thread.hpp"
#include "daemon/counting/waker.hpp"
#include "daemon/log.hpp"
#include "db/report_delivery.hpp"
#include "metrics/report_metrics.hpp"

namespace tally::daemon {

/// Files with what a request carries to be let in; empty paths: nothing.
struct CredentialFiles {
  std::filesystem::path token;
  std::filesystem::path hmac_key;
};

/// Posts each closed period's report to `--report-url` until it is accepted with 2xx. Every replica runs one; the lease
/// in the report's row says whose turn it is. Runs on the counting executor.
class Reporter {
 public:
  struct Options {
    client::Url url;
    CredentialFiles credentials;
    std::string replica_id;
  };
  Reporter(boost::asio::any_io_executor executor, Options options, db::PgStore& store, db::ReportDelivery& delivery,
           client::ProxySettings proxies, DiskThread& disk, const tracker::Clock& clock,
           metrics::ReportMetrics& metrics);

  boost::asio::awaitable<void> run();
  /// Ends the request in progress too; whoever comes next sends it again.
  void stop();
  /// Grows while `run` goes round. Thread-safe.
  std::uint64_t rounds() const { return waker_.waits(); }
  /// From the next request on.
  void use(CredentialFiles files) { replaced_ = std::move(files); }

  /// What fails and since when; empty while nothing does. Thread-safe.
  std::string problem() const;

 private:
  struct Credentials {
    client::Secret token;
    client::Secret hmac_key;
    std::string problem;
  };
  boost::asio::awaitable<bool> round();
  boost::asio::awaitable<void> deliver(db::LeasedReport leased, tracker::SteadyTime deadline);
  boost::asio::awaitable<void> post(db::LeasedReport leased, tracker::Report report, tracker::SteadyTime deadline);
  boost::asio::awaitable<void> note_delivered(db::LeasedReport leased);
  boost::asio::awaitable<void> look();
  client::Request request_for(const tracker::Report& report) const;
  bool read_credentials();

  Options options_;
  db::PgStore& store_;
  db::ReportDelivery& delivery_;
  DiskThread& disk_;
  const tracker::Clock& clock_;
  metrics::ReportMetrics& metrics_;
  client::Client client_;
  Waker waker_;
  std::mt19937_64 random_;
  std::optional<CredentialFiles> replaced_;
  Credentials credentials_;
  std::int64_t failures_in_a_row_ = 0;
  tracker::SteadyTime looked_at_{};
  log::Throttle throttle_{std::chrono::seconds(10)};
  bool stopping_ = false;
  mutable std::mutex mutex_;  ///< guards `problem_`
  std::string problem_;
};

}  // namespace tally::daemon
