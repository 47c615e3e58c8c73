#include <boost/json.hpp>
#include <iostream>
#include <map>

#include "daemon/api/render.hpp"
#include "daemon/cli/arguments.hpp"
#include "daemon/cli/database.hpp"
#include "daemon/counting/drainer.hpp"
#include "metrics/registry.hpp"

namespace tally::daemon::cli {
namespace {

using namespace std::chrono_literals;

std::string_view word(tracker::StreamState state) {
  switch (state) {
    case tracker::StreamState::open:
      return "open";
    case tracker::StreamState::drained:
      return "drained";
    case tracker::StreamState::removed:
      return "removed";
    case tracker::StreamState::given_up:
      return "given up";
  }
  return "";
}

struct ListOptions : DatabaseOptions {
  explicit ListOptions(CLI::App& command) : DatabaseOptions(command) {
    command.add_flag("--all", all, "Drained, removed and given-up ones too");
  }
  bool all = false;
};

int list(const ListOptions& options) {
  Database database(options.flags.load().now(), Database::Need::schema);
  auto streams = database.wait("list the streams", database.store().streams());
  if (!options.all)
    std::erase_if(streams, [](const auto& info) { return info.row.state != tracker::StreamState::open; });
  std::map<std::string, db::ReplicaInfo> replicas;
  for (auto& replica : database.wait("list the replicas", database.store().replicas())) replicas[replica.id] = replica;
  if (options.json()) {
    boost::json::array all;
    for (const db::StreamInfo& info : streams)
      all.push_back(boost::json::object{{"id", info.stream.uuid.to_string()},
                                        {"replica_id", info.replica_id},
                                        {"host", replicas[info.replica_id].host},
                                        {"state", word(info.row.state)},
                                        {"applied_lsn", info.row.applied_lsn},
                                        {"created_at", api::rfc3339(info.created_at_us)},
                                        {"updated_at", api::rfc3339(info.updated_at_us)},
                                        {"heartbeat_at", api::rfc3339(replicas[info.replica_id].heartbeat_at_us)}});
    std::cout << boost::json::object{{"streams", std::move(all)}} << '\n';
    return 0;
  }
  Table table{"STREAM", "REPLICA", "HOST", "STATE", ">APPLIED", "LAST FLUSH", "REPLICA HEARD OF"};
  for (const db::StreamInfo& info : streams) {
    const db::ReplicaInfo& replica = replicas[info.replica_id];
    table.add({info.stream.uuid.to_string(), info.replica_id, replica.host, std::string(word(info.row.state)),
               std::to_string(info.row.applied_lsn), time_text(info.updated_at_us),
               time_text(replica.heartbeat_at_us)});
  }
  table.print(std::cout);
  return 0;
}

struct DrainOptions : DatabaseOptions {
  explicit DrainOptions(CLI::App& command) : DatabaseOptions(command) {
    command.add_option("DIR", directory, "State directory of a replica that is gone for good")
        ->required()
        ->type_name("");
  }
  std::string directory;
};

/// Damage is reported by the drainer as a trouble of its stream.
struct QuietJournal final : journal::Observer {};

/// What `drain` builds around a foreign directory; only files that are there are read, none is made but the lock.
class DrainRun {
 public:
  DrainRun(Database& database, const std::string& path)
      : database_(database),
        directory_(disk_, {.path = path, .max_bytes = UINT64_MAX}, observer_),
        metrics_(registry_),
        ingest_metrics_(registry_, 0),
        ledger_metrics_(registry_),
        witness_(disk_thread_, path + "/period"),
        parts_{database.store(), directory_,      disk_thread_, database.clock(), metrics_,
               ingest_metrics_,  ledger_metrics_, traffic_,     witness_,         directory_.replica_id().to_string()},
        // The files stay: a person decides when they may go.
        drainer_(database.executor(), parts_, std::chrono::hours(24 * 36500),
                 [](const tracker::StreamId&) { return false; }) {}

  /// Answers what could not be drained.
  std::vector<Drainer::Trouble> run() {
    database_.wait("drain the streams", until_settled());
    disk_thread_.stop();
    if (const std::string doubt = witness_.problem(); !doubt.empty())
      throw CommandError(doubt, "rebase, then drain again");
    return drainer_.troubles();
  }
  std::size_t streams() {
    const auto all = directory_.streams();
    return all ? all->size() : 0;
  }

 private:
  boost::asio::awaitable<tracker::Result<void>> until_settled() {
    const auto clock = co_await database_.store().clock();
    if (!clock) co_return clock.error();
    co_await witness_.hear(clock->cluster_id, clock->period);
    // Not into a database that lost reports this replica knew of.
    if (!witness_.agrees()) co_return boost::system::in_place_value;
    bool ended = false;
    std::exception_ptr failure;
    boost::asio::co_spawn(database_.executor(), drainer_.run(), [&](std::exception_ptr thrown) {
      failure = thrown;
      ended = true;
    });
    boost::asio::steady_timer timer(database_.executor());
    while (!ended) {
      if (drainer_.rounds() > 0) drainer_.stop();
      timer.expires_after(20ms);
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    if (failure) std::rethrow_exception(failure);
    co_return boost::system::in_place_value;
  }

  Database& database_;
  journal::PosixDisk disk_;
  QuietJournal observer_;
  journal::Directory directory_;
  metrics::Registry registry_;
  metrics::FlushMetrics metrics_;
  metrics::IngestMetrics ingest_metrics_;
  metrics::LedgerMetrics ledger_metrics_;
  DiskThread disk_thread_;
  Traffic traffic_;
  PeriodWitness witness_;
  CountingParts parts_;
  Drainer drainer_;
};

int drain(const DrainOptions& options) {
  const std::filesystem::path directory = std::filesystem::absolute(options.directory).lexically_normal();
  if (std::error_code ignored; !std::filesystem::is_directory(directory / "streams", ignored))
    throw UsageError(directory.string() + " is not a state directory: it has no streams/",
                     "give the --state-dir of the dead replica");
  Database database(options.flags.load().now(), Database::Need::schema);
  DrainRun run(database, directory);
  const auto troubles = run.run();
  if (options.json()) {
    boost::json::array list;
    for (const auto& trouble : troubles)
      list.push_back(boost::json::object{{"stream", trouble.stream}, {"reason", trouble.reason}});
    std::cout << boost::json::object{{"streams", run.streams()}, {"not_drained", std::move(list)}} << '\n';
  } else {
    std::cout << run.streams() - troubles.size() << " of " << run.streams() << " streams are drained\n";
  }
  for (const auto& trouble : troubles)
    std::cerr << "not drained: stream " << trouble.stream << ": " << trouble.reason << '\n';
  return troubles.empty() ? 0 : 1;
}

struct GiveUpOptions : DatabaseOptions {
  explicit GiveUpOptions(CLI::App& command) : DatabaseOptions(command) {
    command.add_option("ID", id, "The stream, see `tallyd streams list`")->required()->type_name("");
  }
  std::string id;
};

int give_up(const GiveUpOptions& options) {
  const tracker::Uuid id = real_uuid_argument("ID", options.id);
  Database database(options.flags.load().now(), Database::Need::schema);
  const auto done = database.attempt(database.store().give_up_stream({id}, database.actor()));
  if (!done && done.error() == tracker::Errc::not_found)
    throw CommandError("there is no stream " + id.to_string(), "see `tallyd streams list`");
  if (!done && done.error() == tracker::Errc::conflict)
    throw CommandError("stream " + id.to_string() + " is not open", "see `tallyd streams list --all`");
  if (!done) database.fail("give the stream up", done.error());
  if (options.json())
    std::cout << boost::json::object{{"id", id.to_string()}, {"state", "given up"}} << '\n';
  else
    std::cout << "gave up " << id.to_string() << ": what it had not flushed will not be counted\n";
  return 0;
}

}  // namespace

void add_stream_commands(CommandLine& line) {
  CLI::App& group = add_group(line.app, "streams", "Look after the journals of replicas that are gone");
  add_work(line, group, "list", "List the streams that may still bring events in",
           {"streams list", "streams list --all --output json"}, list);
  add_work(line, group, "drain", "Count what is left in the state directory of a dead replica",
           {"streams drain /mnt/rescued/tallyd"}, drain);
  add_work(line, group, "give-up", "Accept that the rest of a stream is lost, on record", {"streams give-up UUID"},
           give_up);
}

}  // namespace tally::daemon::cli
