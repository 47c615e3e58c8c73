#include <unistd.h>

#include <iostream>

#include "daemon/api/render.hpp"
#include "daemon/cli/arguments.hpp"
#include "daemon/cli/chart.hpp"
#include "daemon/cli/database.hpp"
#include "daemon/counting/stream_driver.hpp"
#include "tracker/period_close.hpp"

namespace tally::daemon::cli {
namespace {

using namespace std::chrono_literals;
using tracker::PeriodClose;

// What a glance takes in, and a terminal of 80 columns.
constexpr int kChartedPeriods = 16;
constexpr int kChartColumns = 40;

struct SummaryOptions : DatabaseOptions {
  explicit SummaryOptions(CLI::App& command) : DatabaseOptions(command) {
    command.add_flag("--chart", chart, "Draw the last closed periods below, as on a terminal");
  }
  bool chart = false;
};

/// Requests of the last closed periods and of the open one, oldest first.
void print_last_periods(const std::vector<tracker::Report>& newest_first, const db::Summary& open) {
  std::vector<Bar> bars;
  for (auto report = newest_first.rbegin(); report != newest_first.rend(); ++report)
    bars.push_back({std::to_string(report->period) + "  " + time_text(report->ended_at_us), report->allowed});
  bars.push_back({std::to_string(open.period) + "  open", open.allowed});
  std::cout << "\nallowed requests by period\n";
  print_chart(std::cout, bars, kChartColumns);
}

int summary(const SummaryOptions& options) {
  Database database(options.flags.load().now(), Database::Need::schema);
  const db::Summary open = database.wait("read the open period", database.store().summary());
  if (options.json()) {
    std::cout << api::to_json(open) << '\n';
    return 0;
  }
  Table table{"PERIOD", "STARTED", "AS OF", ">REPLICAS", ">ALLOWED", ">DENIED", ">WORKSPACES", ">USERS"};
  table.add({std::to_string(open.period), time_text(open.started_at_us), time_text(open.as_of_us),
             std::to_string(open.replicas), open.allowed, open.denied, std::to_string(open.unique_workspaces),
             std::to_string(open.unique_users)});
  table.print(std::cout);
  if (options.chart || ::isatty(STDOUT_FILENO) == 1)
    print_last_periods(database.wait("read the reports", database.store().reports(kChartedPeriods, std::nullopt)),
                       open);
  for (const std::string& replica : open.missing_replicas)
    std::cerr << "not heard of lately, its latest events may be missing: replica " << printable(replica) << '\n';
  return 0;
}

struct ReportOptions : DatabaseOptions {
  explicit ReportOptions(CLI::App& command) : DatabaseOptions(command) {
    command.add_flag("--close", close, "Close the open period and print its report");
    command.add_option("--period", period, "Only this one; with --close: close it only if it is the open one")
        ->type_name("N")
        ->check(CLI::Range(std::int64_t{1}, INT64_MAX, "a period's number"));
    command.add_option("--limit", limit, "How many reports, newest first (default 10)")
        ->type_name("N")
        ->check(CLI::Range(1, 1000, "1 to 1000"));
  }
  bool close = false;
  std::optional<std::int64_t> period;
  int limit = 10;
};

void print(const ReportOptions& options, const std::vector<tracker::Report>& reports) {
  if (options.json()) {
    if (options.close || options.period) {
      std::cout << api::to_json(reports.front()) << '\n';
      return;
    }
    std::cout << "{\"reports\":[";
    for (std::size_t i = 0; i < reports.size(); ++i) std::cout << (i == 0 ? "" : ",") << api::to_json(reports[i]);
    std::cout << "]}\n";
    return;
  }
  Table table{"PERIOD",  "STARTED",     "ENDED",  ">REPLICAS", ">ALLOWED",
              ">DENIED", ">WORKSPACES", ">USERS", ">LATE",     "NOTE"};
  for (const tracker::Report& report : reports)
    table.add({std::to_string(report.period), time_text(report.started_at_us), time_text(report.ended_at_us),
               std::to_string(report.replicas), report.allowed, report.denied, std::to_string(report.unique_workspaces),
               std::to_string(report.unique_users), report.late_increments, report.discarded ? "discarded" : ""});
  table.print(std::cout);
}

/// Follows an unknown outcome up until it is known: one request closes at most one period.
tracker::Report close_period(Database& database, std::optional<std::int64_t> period) {
  using Do = PeriodClose::Do;
  PeriodClose close(period, tracker::Uuid::random());
  for (const auto deadline = database.clock().steady() + 60s;;) {
    boost::system::error_code error;
    switch (close.next()) {
      case Do::read_clock:
        close.clock(database.wait("read the clock", database.store().clock()).period);
        continue;
      case Do::close: {
        const auto moved = database.attempt(database.store().close(close.period(), close.request(), false));
        if (moved)
          close.closed(*moved);
        else
          error = moved.error();
        break;
      }
      case Do::report: {
        auto report = database.attempt(database.store().report(close.period()));
        if (report)
          close.summed(std::move(*report));
        else
          error = report.error();
        break;
      }
      case Do::refused:
        throw CommandError("period " + std::to_string(close.period()) + " is neither the open one nor closed",
                           "see `tallyd summary` for the open one");
      case Do::done:
        if (close.moved())
          database.wait("write the audit line",
                        database.store().audit(database.actor(), "close_period", std::to_string(close.period())));
        return close.report();
    }
    if (!error) continue;
    close.failed(store_errc(error));
    if (close.next() == Do::refused) continue;
    if (database.clock().steady() >= deadline) database.fail("close the period", error);
    database.pause(200ms);
  }
}

int report(const ReportOptions& options) {
  Database database(options.flags.load().now(), Database::Need::schema);
  if (options.close) {
    print(options, {close_period(database, options.period)});
  } else if (options.period) {
    auto one = database.attempt(database.store().report(*options.period));
    if (!one && one.error() == tracker::Errc::not_found)
      throw CommandError("period " + std::to_string(*options.period) + " is not closed", "see `tallyd report`");
    if (!one) database.fail("read the report", one.error());
    print(options, {*one});
  } else {
    print(options, database.wait("read the reports", database.store().reports(options.limit, std::nullopt)));
  }
  return 0;
}

}  // namespace

void add_period_commands(CommandLine& line) {
  add_work(line, line.app, "summary", "Print the figures of the open period, over all replicas",
           {"summary", "summary --chart", "summary --output json"}, summary);
  add_work(line, line.app, "report", "Print the reports of closed periods, or close the open one",
           {"report", "report --close", "report --period 42 --output json"}, report);
}

}  // namespace tally::daemon::cli
