#include <boost/json.hpp>
#include <iostream>
#include <set>

#include "daemon/api/render.hpp"
#include "daemon/cli/database.hpp"
#include "db/usage_events.hpp"

namespace tally::daemon::cli {
namespace {

constexpr std::string_view kStatuses = "pending|sending|published|rejected|expired|held";

std::string check_status(const std::string& text) {
  return db::usage_status(text) ? std::string() : "write one of pending, sending, published, rejected, expired, held";
}

struct ListOptions : DatabaseOptions {
  explicit ListOptions(CLI::App& command) : DatabaseOptions(command) {
    command.add_option("--status", status, "Only those")->type_name(std::string(kStatuses))->check(check_status);
    command.add_option("--limit", limit, "How many events, newest first (default 100)")
        ->type_name("N")
        ->check(CLI::Range(1, 100'000, "1 to 100000"));
  }
  std::string status;
  std::int64_t limit = 100;
};

int list(const ListOptions& options) {
  Database database(options.flags.load().now(), Database::Need::schema);
  db::UsageEvents events(database.pool());
  db::UsageFilter filter;
  filter.status = db::usage_status(options.status);
  std::vector<db::UsageEventRow> rows;
  for (bool more = true; more && static_cast<std::int64_t>(rows.size()) < options.limit;) {
    filter.limit = std::min<std::int64_t>(options.limit - static_cast<std::int64_t>(rows.size()), 1'000);
    db::UsagePage page = database.wait("read the usage events", events.list(filter));
    more = page.more;
    if (!page.events.empty()) filter.before = page.events.back().number;
    std::move(page.events.begin(), page.events.end(), std::back_inserter(rows));
  }
  if (options.json()) {
    std::cout << R"({"usage_events":[)";
    for (std::size_t i = 0; i < rows.size(); ++i) std::cout << (i == 0 ? "" : ",") << api::to_json(rows[i]);
    std::cout << "]}\n";
    return 0;
  }
  Table table{"ID", "TYPE", "CREATED", "STATUS", ">ATTEMPTS", "MESSAGE"};
  for (const db::UsageEventRow& event : rows)
    table.add({event.id, event.event_type, time_text(event.created_at_us), std::string(to_string(event.status)),
               std::to_string(event.attempts), event.failure_message.value_or("")});
  table.print(std::cout);
  return 0;
}

struct RequeueOptions : DatabaseOptions {
  explicit RequeueOptions(CLI::App& command) : DatabaseOptions(command) {
    command.add_option("ID", ids, "Events that were rejected, expired or held")->type_name("");
    command.add_option("--status", status, "All that are in this state, or of the given ones those")
        ->type_name("rejected|expired|held")
        ->check([](const std::string& text) {
          return text == "rejected" || text == "expired" || text == "held" ? std::string()
                                                                           : "write rejected, expired or held";
        });
  }
  std::vector<std::string> ids;
  std::string status;
};

int requeue(const RequeueOptions& options) {
  const std::set<std::string> named(options.ids.begin(), options.ids.end());
  if (options.ids.empty() && options.status.empty())
    throw UsageError("nothing is named to be requeued", "name events, or all in a state by --status");
  Database database(options.flags.load().now(), Database::Need::schema);
  db::UsageEvents events(database.pool());
  const auto again = database.wait("requeue usage events",
                                   events.requeue(options.ids, db::usage_status(options.status), database.actor()));
  if (options.json())
    std::cout << boost::json::object{{"requeued", again}} << '\n';
  else
    std::cout << again << (again == 1 ? " event is" : " events are") << " pending again\n";
  if (again == static_cast<std::int64_t>(named.size()) || named.empty()) return 0;
  std::cerr << "the others are not there, or neither rejected, expired nor held; see `tallyd usage-events`\n";
  return 1;
}

}  // namespace

void add_usage_commands(CommandLine& line) {
  CLI::App& listing = add_command(line.app, "usage-events", "List usage events and how far they have come",
                                  {"usage-events", "usage-events --status rejected --output json"});
  const auto options = std::make_shared<ListOptions>(listing);
  listing.require_subcommand(0, 1);
  listing.callback([&line, &listing, options] {
    if (listing.get_subcommands().empty()) line.chosen = [options] { return list(*options); };
  });
  add_work(line, listing, "requeue", "Send events again that were rejected, expired or held",
           {"usage-events requeue evt-1 evt-2", "usage-events requeue --status held"}, requeue);
}

}  // namespace tally::daemon::cli
