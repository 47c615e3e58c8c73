#include "daemon/app.hpp"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <filesystem>
#include <future>
#include <thread>

#include "daemon/api/context.hpp"
#include "daemon/auth/rights_sync.hpp"
#include "daemon/counting/schema_keeper.hpp"
#include "daemon/http/server.hpp"
#include "daemon/log.hpp"
#include "daemon/observers.hpp"
#include "daemon/version.hpp"
#include "db/builtin_server.hpp"
#include "journal/writer_thread.hpp"
#include "metrics/http_metrics.hpp"
#include "metrics/process_metrics.hpp"

namespace tally::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// Flush, drain and heartbeat at the same time, and room for what people ask.
constexpr std::size_t kDatabaseConnections = 6;

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

journal::ThreadOptions journal_options(const Config& config) {
  journal::ThreadOptions options;
  switch (config.journal_sync.mode) {
    case JournalSync::Mode::always: options.writer.sync = journal::SyncMode::always; break;
    case JournalSync::Mode::interval: options.writer.sync = journal::SyncMode::interval; break;
    case JournalSync::Mode::never: options.writer.sync = journal::SyncMode::never; break;
  }
  options.writer.sync_interval = config.journal_sync.interval;
  return options;
}

http::ServerOptions server_options(const Config& config) {
  http::ServerOptions options;
  options.threads = config.threads;
  options.limits.connections = config.max_connections;
  options.limits.connections_per_peer = config.max_connections_per_peer;
  options.insecure_http = config.insecure_http;
  return options;
}

http::Endpoint to_http(const Endpoint& endpoint) { return {endpoint.host, endpoint.port, endpoint.path}; }

std::vector<metrics::HttpRow> metric_rows() {
  std::vector<metrics::HttpRow> rows;
  for (const api::Route& route : api::routes()) {
    metrics::HttpMethod method = metrics::HttpMethod::other;
    switch (route.method) {
      case http::Verb::get: method = metrics::HttpMethod::get; break;
      case http::Verb::post: method = metrics::HttpMethod::post; break;
      case http::Verb::put: method = metrics::HttpMethod::put; break;
      case http::Verb::delete_: method = metrics::HttpMethod::delete_; break;
      default: break;
    }
    rows.push_back({method, route.pattern});
  }
  return rows;
}

/// The metrics, registered before anything can raise them.
struct Metrics {
  explicit Metrics(std::uint32_t threads)
      : process(registry, version(), revision()), http(registry, metric_rows(), threads), ingest(registry, threads),
        journal(registry), flush(registry), db(registry), authz(registry, threads), reports(registry) {}
  metrics::Registry registry;
  metrics::ProcessMetrics process;
  metrics::HttpMetrics http;
  metrics::IngestMetrics ingest;
  metrics::JournalMetrics journal;
  metrics::FlushMetrics flush;
  metrics::DbMetrics db;
  metrics::AuthzMetrics authz;
  metrics::ReportMetrics reports;
};

/// All parts of a replica, in the order in which they depend on each other.
class App {
 public:
  explicit App(const Config& config)
      : config_(config), metrics_(config.threads), journal_observer_(metrics_.journal, clock_),
        directory_(disk_, {.path = config.state_dir, .max_bytes = config.journal_max_bytes}, journal_observer_),
        db_observer_(metrics_.db, clock_), builtin_(make_builtin()),
        pool_(counting_.get_executor(),
              {.conninfo = builtin_ ? builtin_->conninfo() : config.database_url, .limit = kDatabaseConnections}, clock_,
              db_observer_),
        store_(pool_), tokens_(pool_), book_((config.state_dir / "rights.json").string(), clock_),
        server_(server_options(config), clock_, metrics_.http),
        intake_(shard_executors(), counting_.get_executor(), {.ids = 4'000'000 / config.threads}),
        journal_(directory_, clock_, intake_, journal_options(config)),
        parts_{store_, directory_, disk_thread_, clock_, metrics_.flush, directory_.replica_id().to_string()},
        flusher_(counting_.get_executor(), parts_, intake_, journal_, config.flush_interval, config.journal_retention),
        drainer_(counting_.get_executor(), parts_, config.journal_retention,
                 [this](const tracker::StreamId& stream) { return is_own(stream); }),
        heart_(counting_.get_executor(),
               {.replica_id = parts_.replica_id, .host = host_name(), .version = std::string(version()),
                .period = config.period, .registered_mark = (config.state_dir / "registered").string()},
               store_, flusher_, drainer_, disk_thread_, metrics_.reports),
        rights_(counting_.get_executor(), tokens_, book_, disk_thread_),
        schema_(counting_.get_executor(), pool_),
        gate_(book_, tokens_, clock_, metrics_.authz, config.rate_limit_per_second),
        context_{intake_, heart_, store_, clock_, metrics_.registry, metrics_.ingest, metrics_.reports,
                 [this] { return checks(); }, [this] { return flusher_.unflushed(); }, parts_.replica_id},
        routes_(api::routes(), context_, gate_) {
    intake_.attach(journal_);
    flusher_.on_released([this] { drainer_.urge(); });
    heart_.on_rights([this](std::int64_t version) { rights_.seen(version); });
  }

  void start() {
    if (builtin_) builtin_->start();
    for (const Endpoint& endpoint : config_.listen) {
      const auto bound = server_.listen(to_http(endpoint), routes_);
      if (!bound) throw std::runtime_error("cannot listen on " + to_string(endpoint) + ": " + bound.error().message());
      log::info("listening", {{"address", bound->to_string()}});
    }
    for (const Endpoint& endpoint : config_.metrics_listen) {
      const auto bound = server_.listen(to_http(endpoint), routes_);
      if (!bound) throw std::runtime_error("cannot listen on " + to_string(endpoint) + ": " + bound.error().message());
      log::info("listening", {{"address", bound->to_string()}});
    }
    spawn(schema_.run());
    spawn(flusher_.run());
    spawn(drainer_.run());
    spawn(heart_.run());
    spawn(rights_.run());
    counting_thread_ = std::thread([this] { counting_.run(); });
    server_.start();
  }

  /// Finish requests, flush once more, leave the rest to the journal.
  void stop() {
    const auto deadline = clock_.steady() + config_.shutdown_timeout;
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
    return std::make_unique<db::BuiltinServer>(
        db::BuiltinServerOptions{.state_dir = config_.state_dir}, [](db::BuiltinServer::State state, const std::string& detail) {
          if (state == db::BuiltinServer::State::failed)
            log::error("the built-in database failed", {{"detail", detail}});
          else
            log::info("built-in database", {{"detail", detail}});
        });
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
        ::kill(::getpid(), SIGTERM);
      }
      if (--running_ == 0) finished_.set_value();
    });
  }

  bool is_own(const tracker::StreamId& stream) const { return flusher_.owns(stream) || journal_.stream() == stream; }

  std::vector<api::Check> checks() const {
    std::vector<api::Check> all;
    all.push_back({"journal", journal_.stream().has_value(), true, journal_.stream() ? "" : "no stream can be opened"});
    all.push_back({"journal_size", !journal_observer_.is_full(), true,
                   journal_observer_.is_full() ? "at --journal-max-bytes" : ""});
    all.push_back({"database", heart_.connected(), false, pool_.last_problem()});
    const auto schema = schema_.problem();
    all.push_back({"schema", schema.empty(), false, schema});
    return all;
  }

  const Config& config_;
  tracker::SystemClock clock_;
  Metrics metrics_;
  JournalObserver journal_observer_;
  journal::PosixDisk disk_;
  journal::Directory directory_;
  DiskThread disk_thread_;
  asio::io_context counting_{1};
  DbObserver db_observer_;
  std::unique_ptr<db::BuiltinServer> builtin_;
  db::Pool pool_;
  db::PgStore store_;
  db::TokenStore tokens_;
  TokenBook book_;
  http::Server server_;
  Intake intake_;
  journal::WriterThread journal_;
  CountingParts parts_;
  Flusher flusher_;
  Drainer drainer_;
  Heart heart_;
  RightsSync rights_;
  SchemaKeeper schema_;
  TokenGate gate_;
  api::Context context_;
  http::RouteTable<api::Context> routes_;

  int running_ = 0;  // tasks on the counting thread
  std::promise<void> finished_;
  std::thread counting_thread_;
};

}  // namespace

int serve(LiveConfig& live) {
  const Config& config = live.now();
  ::signal(SIGPIPE, SIG_IGN);
  std::filesystem::create_directories(config.state_dir);
  App app(config);

  asio::io_context signals(1);
  asio::signal_set wanted(signals, SIGTERM, SIGINT, SIGHUP);
  std::function<void(const boost::system::error_code&, int)> on_signal = [&](const auto& error, int number) {
    if (error) return;
    if (number == SIGHUP) {
      try {
        const Reloaded reloaded = live.reload();
        log::set_level(live.now().log_level);
        for (const auto& name : reloaded.changed) log::info("setting changed", {{"setting", name}});
        for (const auto& name : reloaded.needs_restart) log::warn("setting changes only with a restart", {{"setting", name}});
      } catch (const std::exception& problem) {
        log::error("the configuration was not re-read; the old one stays in force", {{"error", problem.what()}});
      }
      wanted.async_wait(on_signal);
      return;
    }
    log::info("stopping", {{"signal", number == SIGTERM ? "SIGTERM" : "SIGINT"}});
  };
  wanted.async_wait(on_signal);
  app.start();
  log::info("serving", {{"version", version()}});
  signals.run();
  app.stop();
  log::info("stopped");
  return 0;
}

}  // namespace tally::daemon
