#include <algorithm>
#include <iostream>

#include "daemon/api/connection_query.hpp"
#include "daemon/cli/connection_follower.hpp"
#include "daemon/cli/connection_printer.hpp"
#include "daemon/cli/database.hpp"

namespace tally::daemon::cli {
namespace {

using Form = ConnectionForm;

constexpr std::int64_t kPage = 1000;

struct ConnectionOptions {
  explicit ConnectionOptions(CLI::App& command) : flags(command, SettingFlags::Which::database) {
    command.add_option("FILTER", filter, "key:value terms, as status:ongoing type:ssh 'organization:\"Big Corp\"'")
        ->type_name("");
    command.add_option("--limit", limit, "How many entries, newest first (default 100)")
        ->type_name("N")
        ->check(CLI::Range(std::int64_t{1}, INT64_MAX / 2, "a number from 1"));
    command.add_flag("--all", all, "Every entry that matches");
    command.add_flag("--follow", follow,
                     "Then go on, oldest first, with what comes in and what becomes of it, until interrupted");
    command
        .add_option_function<std::string>(
            "--output",
            [this](const std::string& text) {
              form = text == "json" ? Form::json : text == "csv" ? Form::csv : Form::table;
            },
            "How to print the entries (default table)")
        ->type_name("json|table|csv")
        ->check([](const std::string& text) {
          return text == "json" || text == "table" || text == "csv" ? std::string() : "write json, table or csv";
        });
  }
  SettingFlags flags;
  std::vector<std::string> filter;
  std::int64_t limit = 100;
  bool all = false;
  bool follow = false;
  Form form = Form::table;
};

db::ConnectionFilter read_filter(const ConnectionOptions& options) {
  std::string text;
  for (const std::string& word : options.filter) text += (text.empty() ? "" : " ") + word;
  db::ConnectionFilter filter;
  if (const auto problem = api::read_connection_query(text, filter))
    throw UsageError("FILTER: " + *problem, "quote values with spaces: 'organization:\"Big Corp\"'");
  return filter;
}

int connections(const ConnectionOptions& options) {
  db::ConnectionPageRequest wanted;
  wanted.filter = read_filter(options);
  wanted.rights = db::ConnectionRights::everything();
  Database database(options.flags.load().now(), Database::Need::schema);
  db::ConnectionLog log(database.pool());
  ConnectionPrinter printer(options.form, options.follow);
  const std::int64_t limit = options.all ? INT64_MAX : options.limit;
  if (options.follow) {
    ConnectionFollower(database, log, std::move(wanted.filter), printer).run(limit);
    return 0;
  }
  for (std::int64_t left = limit; left > 0;) {
    wanted.limit = std::min(left, kPage);
    const db::ConnectionPage page = database.wait("read the connection log", log.page(wanted));
    printer.page(page.entries);
    left -= static_cast<std::int64_t>(page.entries.size());
    if (!page.next || !std::cout) break;
    wanted.after = page.next;
  }
  printer.end();
  return 0;
}

}  // namespace

void add_connection_commands(CommandLine& line) {
  add_work(line, line.app, "connections", "Who connected to which workspace, when, how, and how it ended",
           {"connections", "connections status:ongoing type:ssh",
            "connections 'organization:\"Big Corp\"' --output csv --all", "connections --follow workspace_owner:ada"},
           connections);
}

}  // namespace tally::daemon::cli
