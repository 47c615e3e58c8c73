#include "daemon/app.hpp"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <filesystem>
#include <future>
#include <thread>

#include "daemon/api/context.hpp"
#include "daemon/auth/rights_sync.hpp"
#include "daemon/counting/connection_upkeep.hpp"
#include "daemon/counting/schema_keeper.hpp"
#include "daemon/detail/metric_set.hpp"
#include "daemon/log.hpp"
#include "daemon/readiness.hpp"
#include "daemon/supervisor.hpp"
#include "daemon/version.hpp"
#include "db/builtin_server.hpp"
#include "systemd/service_environment.hpp"

namespace tally::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// Flush, drain and heartbeat at the same time, and room for what people ask.
constexpr std::size_t kDatabaseConnections = 6;
// About 64 bytes each. More repeats than this only cost a record that the flush refuses.
constexpr std::size_t kRememberedKeys = 200'000;
// About 64 bytes each. Of a session that was forgotten, the next gap is not seen.
constexpr std::size_t kRememberedSessions = 50'000;

/// All parts of a replica, in the order in which they depend on each other.
class App {
 public:
  explicit App(const Config& config)
      : config_(config),
        metrics_(config.threads),
        journal_observer_(metrics_.journal, clock_),
        directory_(disk_, {.path = config.state_dir, .max_bytes = config.journal_max_bytes}, journal_observer_),
        db_observer_(metrics_.db, clock_),
        builtin_(make_builtin()),
        pool_(counting_.get_executor(),
              {.conninfo = builtin_ ? builtin_->conninfo() : config.database_url, .limit = kDatabaseConnections},
              clock_, db_observer_),
        store_(pool_),
        report_delivery_(pool_),
        usage_events_(pool_),
        history_(pool_),
        connections_(pool_),
        tokens_(pool_),
        directory_of_users_(pool_),
        book_((config.state_dir / "rights.json").string(), clock_),
        server_(detail::server_options(config), clock_, metrics_.http),
        intake_(shard_executors(), counting_.get_executor(), {.ids = 4'000'000 / config.threads}),
        journal_(directory_, clock_, intake_, detail::journal_options(config)),
        witness_(disk_thread_, (config.state_dir / "period").string()),
        parts_{store_,          directory_,      disk_thread_, clock_,   metrics_.flush,
               metrics_.ingest, metrics_.ledger, traffic_,     witness_, directory_.replica_id().to_string()},
        flusher_(counting_.get_executor(), parts_, intake_, journal_, config.flush_interval, config.journal_retention),
        drainer_(counting_.get_executor(), parts_, config.journal_retention,
                 [this](const tracker::StreamId& stream) { return is_own(stream); }),
        heart_(counting_.get_executor(),
               {.replica_id = parts_.replica_id,
                .host = detail::host_name(),
                .version = std::string(version()),
                .period = config.period,
                .registered_mark = (config.state_dir / "registered").string()},
               store_, flusher_, drainer_, witness_, disk_thread_, metrics_.reports),
        rights_(counting_.get_executor(), tokens_, book_, disk_thread_, clock_, config.retention_tokens),
        schema_(counting_.get_executor(), pool_),
        upkeep_(counting_.get_executor(), store_, tokens_, history_, detail::retention(config)),
        watch_(counting_.get_executor(), store_, flusher_, drainer_, metrics_.ledger, metrics_.ingest),
        reporter_(make_reporter()),
        publisher_(counting_.get_executor(), detail::publisher_options(config, parts_.replica_id), store_,
                   usage_events_, client::proxy_settings_from_environment(), disk_thread_, clock_, metrics_.reports),
        connection_upkeep_(counting_.get_executor(), connections_, clock_, metrics_.connections,
                           {.timeout = config.connection_timeout, .retention = config.retention_connection_log}),
        jobs_(background_jobs(), clock_, [this](std::size_t stalled) { metrics_.ledger.set_stalled_jobs(stalled); }),
        readiness_{journal_, journal_observer_, heart_, schema_, witness_, watch_, jobs_, reporter_.get(), publisher_},
        keys_(config.dedup_window, kRememberedKeys),
        sequences_(kRememberedSessions),
        connection_sinks_(make_connection_sinks(config.connection_log_sink)),
        gate_(book_, rights_, tokens_, directory_of_users_, clock_, metrics_.authz, disk_thread_,
              config.rate_limit_per_second),
        context_{intake_,
                 heart_,
                 keys_,
                 sequences_,
                 store_,
                 tokens_,
                 directory_of_users_,
                 book_,
                 rights_,
                 connections_,
                 usage_events_,
                 history_,
                 history_taken_,
                 clock_,
                 metrics_.registry,
                 metrics_.ingest,
                 metrics_.reports,
                 metrics_.authz,
                 connection_sinks_,
                 [this] { return readiness_.checks(); },
                 [this] { return own_share(); },
                 traffic_,
                 parts_.replica_id},
        all_(api::routes(), context_, gate_),
        api_(api::routes_of(api::Surface::api), context_, gate_),
        operations_(api::routes_of(api::Surface::operations), context_, gate_) {
    intake_.attach(journal_);
    intake_.on_sealed([this] { keys_.forget_all(); });
    flusher_.on_released([this] { drainer_.urge(); });
    schema_.on_ready([this] {
      heart_.urge();
      drainer_.urge();
    });
    watch_.on_turn([this] {
      jobs_.stalled();
      tell_of_dropped_lines();
    });
    heart_.on_rights([this](std::int64_t version) { rights_.seen(version); });
  }

  /// Takes over what may change while running. Throws, and changes nothing, if a file of it is of no use. From the
  /// thread that calls `start` and `stop`.
  void apply(const Config& now) {
    if (now.tls_cert.empty() != config_.tls_cert.empty())
      throw ConfigError({"TLS is turned on or off only with a restart"});
    if (!now.tls_cert.empty()) {
      std::string problem;
      const auto context = http::load_tls({now.tls_cert, now.tls_key, now.tls_client_ca}, problem);
      if (!context) throw ConfigError({problem});
      server_.use_tls(*context);
    }
    gate_.limit_rate(now.rate_limit_per_second);
    server_.limit_connections(now.max_connections, now.max_connections_per_peer);
    shutdown_timeout_ = now.shutdown_timeout;
    asio::post(counting_, [this, reports = CredentialFiles{now.report_token_file, now.report_hmac_key_file},
                           publish = Publisher::Credentials{now.publish_token_file, now.publish_license_file}] {
      if (reporter_) reporter_->use(reports);
      publisher_.use(publish);
    });
  }

  void start(std::vector<systemd::ListenSocket> handed_over) {
    apply(config_);
    if (builtin_) builtin_->start();
    // Operations need no token: where they have an address of their own, they are at no other.
    http::Service& main = config_.metrics_listen.empty() ? static_cast<http::Service&>(all_) : api_;
    const bool replace_default = !handed_over.empty() && config_.listen_is_default;
    for (systemd::ListenSocket& socket : handed_over) {
      const auto taken = server_.adopt(socket.release(), main);
      if (!taken)
        throw std::runtime_error("cannot take over the socket " + socket.name() + ": " + taken.error().message());
      log::info("listening", {{"address", taken->to_string()}, {"from", "service manager"}});
    }
    for (const Endpoint& endpoint : config_.listen) {
      if (replace_default) break;
      const auto bound = server_.listen(detail::to_http(endpoint), main);
      if (!bound) throw std::runtime_error("cannot listen on " + to_string(endpoint) + ": " + bound.error().message());
      log::info("listening", {{"address", bound->to_string()}});
    }
    for (const Endpoint& endpoint : config_.metrics_listen) {
      const auto bound = server_.listen(detail::to_http(endpoint), operations_);
      if (!bound) throw std::runtime_error("cannot listen on " + to_string(endpoint) + ": " + bound.error().message());
      log::info("listening", {{"address", bound->to_string()}});
    }
    spawn(schema_.run());
    spawn(flusher_.run());
    spawn(drainer_.run());
    spawn(heart_.run());
    spawn(rights_.run());
    spawn(upkeep_.run());
    spawn(watch_.run());
    if (reporter_) spawn(reporter_->run());
    spawn(publisher_.run());
    spawn(connection_upkeep_.run());
    counting_thread_ = std::thread([this] { counting_.run(); });
    server_.start();
  }

  /// What must keep moving for the watchdog to be fed. A database that is away holds up none of them for long.
  std::vector<systemd::WatchedPart> watched_parts() {
    std::vector<systemd::WatchedPart> parts;
    for (std::uint32_t i = 0; i < server_.threads(); ++i)
      parts.push_back({"http thread " + std::to_string(i), [this, i] { return server_.ticks(i); }, 10s});
    parts.push_back({"flush", [this] { return flusher_.beats(); }, 120s});
    parts.push_back({"journal",
                     [this, idle = std::uint64_t{0}]() mutable {
                       return flusher_.cut_is_owed() ? flusher_.cuts_answered() : ++idle + (1ULL << 32);
                     },
                     30s});
    return parts;
  }
  const tracker::Clock& clock() const { return clock_; }
  std::chrono::milliseconds shutdown_timeout() const { return shutdown_timeout_; }
  /// A part failed, and the process should be started again.
  bool failed() const { return failed_; }

  /// Finish requests, flush once more, leave the rest to the journal.
  void stop() {
    const auto deadline = clock_.steady() + shutdown_timeout_;
    const auto left = [&] {
      return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock_.steady()), 0ms);
    };
    server_.stop_accepting();
    server_.drain(left() / 2);
    asio::post(counting_, [this] {
      flusher_.stop();
      drainer_.stop();
      heart_.stop();
      rights_.stop();
      schema_.stop();
      upkeep_.stop();
      watch_.stop();
      if (reporter_) reporter_->stop();
      publisher_.stop();
      connection_upkeep_.stop();
    });
    const bool flushed = finished_.get_future().wait_for(left()) == std::future_status::ready;
    const Volume unflushed = flusher_.unflushed();
    if (unflushed.events > 0)
      log::warn("stopping with events that are only in the journal; the next start brings them in",
                {{"events", unflushed.events}, {"in_time", flushed}});
    journal_.stop();
    server_.stop();
    asio::post(counting_, [this] { pool_.close(); });
    counting_.stop();
    counting_thread_.join();
    disk_thread_.stop();
    if (builtin_) builtin_->stop();
  }

 private:
  std::unique_ptr<db::BuiltinServer> make_builtin() {
    if (!config_.database_url.empty()) return nullptr;
    return std::make_unique<db::BuiltinServer>(db::BuiltinServerOptions{.state_dir = config_.state_dir},
                                               [](db::BuiltinServer::State state, const std::string& detail) {
                                                 if (state == db::BuiltinServer::State::failed)
                                                   log::error("the built-in database failed", {{"detail", detail}});
                                                 else
                                                   log::info("built-in database", {{"detail", detail}});
                                               });
  }

  std::unique_ptr<Reporter> make_reporter() {
    if (config_.report_url.empty()) return nullptr;
    return std::make_unique<Reporter>(counting_.get_executor(), detail::reporter_options(config_, parts_.replica_id),
                                      store_, report_delivery_, client::proxy_settings_from_environment(), disk_thread_,
                                      clock_, metrics_.reports);
  }

  std::vector<asio::any_io_executor> shard_executors() {
    std::vector<asio::any_io_executor> executors;
    for (std::uint32_t i = 0; i < server_.threads(); ++i) executors.emplace_back(server_.executor(i));
    return executors;
  }

  void spawn(asio::awaitable<void> work) {
    ++running_;
    asio::co_spawn(counting_, std::move(work), [this](std::exception_ptr failure) {
      if (failure) {
        try {
          std::rethrow_exception(failure);
        } catch (const std::exception& error) {
          log::error("a background task failed; the process ends and the next one recovers", {{"error", error.what()}});
        }
        failed_ = true;
        ::kill(::getpid(), SIGTERM);
      }
      if (--running_ == 0) finished_.set_value();
    });
  }

  void tell_of_dropped_lines() {
    const std::uint64_t lines = log::dropped(), events = log::events_dropped();
    if (lines + events == std::exchange(told_dropped_, lines + events)) return;
    log::warn("log lines gave way: whoever reads them is too slow",
              {{"lines_since_start", lines}, {"connection_log_lines_since_start", events}});
  }

  OwnShare own_share() const {
    OwnShare share{flusher_.unflushed(), true};
    const auto of_the_dead = drainer_.unflushed();
    share.complete = of_the_dead.has_value();
    if (of_the_dead) share.unflushed += *of_the_dead;
    return share;
  }

  bool is_own(const tracker::StreamId& stream) const { return flusher_.owns(stream) || journal_.stream() == stream; }

  /// With the longest that a round of each may take, a slow database included.
  std::vector<systemd::WatchedPart> background_jobs() {
    std::vector<systemd::WatchedPart> jobs = {
        {"heartbeat", [this] { return heart_.rounds(); }, 2min},
        {"rights", [this] { return rights_.rounds(); }, 2min},
        {"watch", [this] { return watch_.rounds(); }, 2min},
        {"flush", [this] { return flusher_.beats(); }, 2min},
        {"drain", [this] { return drainer_.rounds(); }, 30min},
        {"upkeep", [this] { return upkeep_.rounds(); }, 30min},
        {"connection upkeep", [this] { return connection_upkeep_.rounds(); }, 30min}};
    jobs.push_back({"usage events", [this] { return publisher_.rounds(); }, 15min});
    if (reporter_) jobs.push_back({"reports", [this] { return reporter_->rounds(); }, 15min});
    return jobs;
  }

  const Config& config_;
  tracker::SystemClock clock_;
  detail::Metrics metrics_;
  JournalObserver journal_observer_;
  journal::PosixDisk disk_;
  journal::Directory directory_;
  DiskThread disk_thread_;
  DbObserver db_observer_;  // told of until the last coroutine of `counting_` is gone
  asio::io_context counting_{1};
  std::unique_ptr<db::BuiltinServer> builtin_;
  db::Pool pool_;
  db::PgStore store_;
  db::ReportDelivery report_delivery_;
  db::UsageEvents usage_events_;
  db::UsageHistory history_;
  db::ConnectionLog connections_;
  db::TokenStore tokens_;
  db::Directory directory_of_users_;
  TokenBook book_;
  http::Server server_;
  Intake intake_;
  journal::WriterThread journal_;
  Traffic traffic_;
  PeriodWitness witness_;
  std::atomic<bool> history_taken_{false};
  CountingParts parts_;
  Flusher flusher_;
  Drainer drainer_;
  Heart heart_;
  RightsSync rights_;
  SchemaKeeper schema_;
  Upkeep upkeep_;
  Watch watch_;
  std::unique_ptr<Reporter> reporter_;
  Publisher publisher_;
  ConnectionUpkeep connection_upkeep_;
  Jobs jobs_;
  Readiness readiness_;
  tracker::KeyMemory keys_;
  tracker::SequenceWatch sequences_;
  ConnectionSinks connection_sinks_;
  TokenGate gate_;
  api::Context context_;
  http::RouteTable<api::Context> all_;
  http::RouteTable<api::Context> api_;
  http::RouteTable<api::Context> operations_;

  std::chrono::milliseconds shutdown_timeout_{};
  std::atomic<bool> failed_{false};
  std::uint64_t told_dropped_ = 0;  // on the counting thread
  int running_ = 0;                 // tasks on the counting thread
  std::promise<void> finished_;
  std::thread counting_thread_;
};

/// For its owner only. The built-in database's own user must be able to pass through when that is another one.
void make_state_dir(const Config& config) {
  if (std::filesystem::exists(config.state_dir)) return;
  std::filesystem::create_directories(config.state_dir);
  const bool others_pass = config.database_url.empty() && ::geteuid() == 0;
  std::filesystem::permissions(config.state_dir, std::filesystem::perms(others_pass ? 0711 : 0700));
}

}  // namespace

int serve(LiveConfig& live) {
  ::signal(SIGPIPE, SIG_IGN);
  systemd::ServiceEnvironment environment = systemd::take_service_environment();
  for (const auto& refused : environment.refused)
    log::warn("a handed-over descriptor is of no use", {{"detail", refused}});
  for (const auto& warning : live.warnings()) log::warn("configuration", {{"detail", warning}});
  make_state_dir(live.now());
  // A copy: what cannot change while running keeps its value through a reload.
  const Config config = live.now();
  App app(config);
  Supervisor supervisor(live, {app.watched_parts(), app.clock(), [&app](const Config& now) { app.apply(now); }},
                        environment.notifier, environment.watchdog);
  app.start(std::move(environment.sockets));
  environment.notifier.ready("serving");
  log::info("serving", {{"version", version()}});
  supervisor.run();
  environment.notifier.stopping("finishing requests and flushing");
  environment.notifier.extend_timeout(app.shutdown_timeout() + 10s, "flushing");
  app.stop();
  log::info("stopped");
  return app.failed() ? 1 : 0;
}

}  // namespace tally::daemon
