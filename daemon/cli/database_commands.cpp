#include <boost/json.hpp>
#include <iostream>

#include "daemon/api/render.hpp"
#include "daemon/cli/database.hpp"

namespace tally::daemon::cli {
namespace {

std::string_view word(db::SchemaState state) {
  switch (state) {
    case db::SchemaState::absent:
      return "absent";
    case db::SchemaState::behind:
      return "behind";
    case db::SchemaState::current:
      return "current";
    case db::SchemaState::newer:
      return "newer";
    case db::SchemaState::altered:
      return "altered";
  }
  return "";
}

struct MigrateOptions : DatabaseOptions {
  explicit MigrateOptions(CLI::App& command) : DatabaseOptions(command) {
    command.add_flag("--check", check, "Change nothing; exit 1 unless the schema is up to date");
  }
  bool check = false;
};

int migrate(const MigrateOptions& options) {
  Database database(options.flags.load().now(), Database::Need::connection);
  std::string why;
  const auto status =
      database.attempt(options.check ? db::inspect_schema(database.pool()) : db::migrate(database.pool(), &why));
  if (!status && status.error() == tracker::Errc::store_refuses)
    throw CommandError("this role may not change the schema: " + why, "use the database's owner, see db/roles.sql");
  if (!status) database.fail(options.check ? "look at the schema" : "bring the schema up to date", status.error());
  const bool current = status->state == db::SchemaState::current;
  if (options.json())
    std::cout << boost::json::object{{"state", word(status->state)},
                                     {"version", status->version},
                                     {"known", status->known},
                                     {"detail", status->detail}}
              << '\n';
  else if (current)
    std::cout << "the schema is up to date: version " << status->version << '\n';
  if (!current && !options.json()) throw CommandError(status->detail);
  return current ? 0 : 1;
}

int ledger(const DatabaseOptions& options) {
  Database database(options.flags.load().now(), Database::Need::schema);
  const db::Ledger ledger = database.wait("read the ledger", database.store().ledger());
  if (options.json()) {
    std::cout << api::to_json(ledger, std::nullopt) << '\n';
    return ledger.balanced ? 0 : 1;
  }
  Table sums{"REQUESTS", ">"};
  sums.add({"applied", ledger.applied});
  sums.add({"= reported", ledger.reported});
  sums.add({"+ open", ledger.open});
  sums.add({"+ discarded", ledger.discarded});
  sums.add({"+ duplicates", ledger.duplicates});
  sums.add({"+ set aside", ledger.set_aside});
  sums.print(std::cout);
  std::cout << (ledger.balanced ? "balanced\n\n" : "NOT BALANCED\n\n");
  Table replicas{"REPLICA", ">UNFLUSHED", ">CONNECTIONS", ">USAGE", ">HEARD OF (s ago)"};
  for (const auto& replica : ledger.replicas)
    replicas.add({replica.id, replica.unflushed, std::to_string(replica.unflushed_connection_events),
                  std::to_string(replica.unflushed_usage_events),
                  std::to_string(static_cast<std::int64_t>(replica.age_seconds))});
  replicas.print(std::cout);
  if (!ledger.balanced)
    throw CommandError("what was applied is not what the periods hold", "run `tallyd verify`, and keep the journals");
  return 0;
}

int verify(const DatabaseOptions& options) {
  Database database(options.flags.load().now(), Database::Need::schema);
  const db::Verification done = database.wait("verify the reports", database.store().verify());
  if (options.json()) {
    std::string text = "{\"checked\":" + std::to_string(done.checked) +
                       ",\"not_covered\":" + std::to_string(done.not_covered) + ",\"mismatches\":[";
    for (std::size_t i = 0; i < done.mismatches.size(); ++i)
      text += std::string(i == 0 ? "" : ",") + "{\"stored\":" + api::to_json(done.mismatches[i].stored) +
              ",\"recomputed\":" + api::to_json(done.mismatches[i].recomputed) + "}";
    std::cout << text << "]}\n";
    return done.mismatches.empty() ? 0 : 1;
  }
  std::cout << done.checked << " reports recomputed, " << done.mismatches.size() << " differ, " << done.not_covered
            << " past the retention of their ids\n";
  if (done.mismatches.empty()) return 0;
  Table table{"PERIOD", "", ">ALLOWED", ">DENIED", ">WORKSPACES", ">USERS"};
  const auto row = [&](const tracker::Report& report, const char* which) {
    table.add({std::to_string(report.period), which, report.allowed, report.denied,
               std::to_string(report.unique_workspaces), std::to_string(report.unique_users)});
  };
  for (const db::Mismatch& mismatch : done.mismatches) {
    row(mismatch.stored, "reported");
    row(mismatch.recomputed, "rows say");
  }
  table.print(std::cout);
  throw CommandError("reports do not equal the rows behind them", "find out who changed tallyd's tables");
}

struct RebaseOptions : DatabaseOptions {
  explicit RebaseOptions(CLI::App& command) : DatabaseOptions(command) {
    command
        .add_option("--next-period", next_period,
                    "The clock moves to this period or later: one that no replica has seen")
        ->type_name("N")
        ->check(CLI::Range(std::int64_t{0}, INT64_MAX - 1, "a period's number"));
  }
  std::int64_t next_period = 0;
};

int rebase(const RebaseOptions& options) {
  Database database(options.flags.load().now(), Database::Need::schema);
  database.wait("rebase", database.store().rebase(options.next_period, database.actor()));
  const db::ClockRow clock = database.wait("read the clock", database.store().clock());
  if (options.json())
    std::cout << boost::json::object{{"cluster_id", clock.cluster_id}, {"period", clock.period}} << '\n';
  else
    std::cout << "cluster " << clock.cluster_id << ", open period " << clock.period
              << "; restart every replica that stopped flushing\n";
  return 0;
}

}  // namespace

void add_database_commands(CommandLine& line) {
  add_work(line, line.app, "migrate", "Make the database's schema, or bring it up to date",
           {"migrate --database-url-file owner-url", "migrate --check"}, migrate);
  add_work(line, line.app, "ledger", "Show that every counted request is somewhere, exactly once; exit 1 if not",
           {"ledger", "ledger --output json"}, ledger);
  add_work(line, line.app, "verify", "Recompute the retained reports from their rows; exit 1 on a difference",
           {"verify", "verify --output json"}, verify);
  add_work(line, line.app, "rebase", "After a restore of the database: take a new cluster id, so that counting goes on",
           {"rebase --next-period 1200"}, rebase);
}

}  // namespace tally::daemon::cli
