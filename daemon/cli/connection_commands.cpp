#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <tuple>
#include <unordered_map>

#include "daemon/api/connection_query.hpp"
#include "daemon/api/connection_render.hpp"
#include "daemon/api/render.hpp"
#include "daemon/cli/database.hpp"

namespace tally::daemon::cli {
namespace {

using db::ConnectionShown;
using namespace std::chrono_literals;

constexpr std::int64_t kPage = 1000;
constexpr auto kFollowEvery = 1s;

enum class Form { table, json, csv };

struct ConnectionOptions {
  explicit ConnectionOptions(CLI::App& command) : flags(command, SettingFlags::Which::database) {
    command.add_option("FILTER", filter, "key:value terms, as status:ongoing type:ssh 'organization:\"Big Corp\"'")
        ->type_name("");
    command.add_option("--limit", limit, "How many entries, newest first (default 100)")
        ->type_name("N")
        ->check(CLI::Range(std::int64_t{1}, INT64_MAX / 2, "a number from 1"));
    command.add_flag("--all", all, "Every entry that matches");
    command.add_flag("--follow", follow, "Then go on and show what comes in and what becomes of it, until interrupted");
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

std::string when(const std::optional<std::int64_t>& us) {
  return us ? time_text(*us) : "";
}
std::string name_or_id(const std::optional<std::string>& name, const tracker::Uuid& id) {
  return name ? *name : id.to_string();
}

std::string ended(const ConnectionShown& entry) {
  if (entry.state == ConnectionShown::State::ongoing) return "ongoing";
  return when(api::ending(entry).at_us);
}

std::vector<std::string> cells(const ConnectionShown& entry) {
  const api::ConnectionEnding end = api::ending(entry);
  return {when(entry.connect_us),
          ended(entry),
          entry.type,
          name_or_id(entry.organization_name, entry.organization),
          name_or_id(entry.owner_name, entry.owner),
          entry.workspace_name + "." + entry.agent_name,
          entry.ip.value_or(""),
          entry.user ? name_or_id(entry.user_name, *entry.user) : "",
          end.code ? std::to_string(*end.code) : "",
          end.reason.value_or("")};
}

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

constexpr std::string_view kCsvHead =
    "id,connect_time,organization_id,organization_name,workspace_owner_id,workspace_owner_username,workspace_id,"
    "workspace_name,agent_name,ip,type,status,connection_id,disconnect_time,reason,code,user_agent,user_id,username,"
    "slug_or_port";

std::string csv_line(const ConnectionShown& entry) {
  const api::ConnectionEnding end = api::ending(entry);
  const auto time = [](const std::optional<std::int64_t>& us) { return us ? api::rfc3339(*us) : std::string(); };
  const std::string columns[] = {entry.id.to_string(),
                                 time(entry.connect_us),
                                 entry.organization.to_string(),
                                 entry.organization_name.value_or(""),
                                 entry.owner.to_string(),
                                 entry.owner_name.value_or(""),
                                 entry.workspace.to_string(),
                                 entry.workspace_name,
                                 entry.agent_name,
                                 entry.ip.value_or(""),
                                 entry.type,
                                 std::string(api::status_word(entry)),
                                 entry.connection ? entry.connection->to_string() : "",
                                 time(end.at_us),
                                 end.reason.value_or(""),
                                 end.code ? std::to_string(*end.code) : "",
                                 entry.user_agent.value_or(""),
                                 entry.user ? entry.user->to_string() : "",
                                 entry.user_name.value_or(""),
                                 entry.slug_or_port.value_or("")};
  std::string line;
  for (const std::string& column : columns) {
    if (&column != columns) line += ',';
    line += csv_cell(column);
  }
  return line;
}

/// Entries as they come, in the form that was asked for; a page in memory at most.
class Printer {
 public:
  explicit Printer(Form form, bool open_ended) : form_(form), open_ended_(open_ended) {
    if (form_ == Form::csv) std::cout << kCsvHead << '\n';
    if (form_ == Form::json && !open_ended_) std::cout << "{\"connection_logs\":[";
  }
  void page(const std::vector<ConnectionShown>& entries) {
    if (form_ == Form::table && !open_ended_) {
      if (!entries.empty() || pages_ == 0) print_table(entries);
    } else {
      for (const ConnectionShown& entry : entries) one(entry);
    }
    ++pages_;
    std::cout.flush();
  }
  void one(const ConnectionShown& entry) {
    switch (form_) {
      case Form::table:
        std::cout << line(entry) << '\n';
        break;
      case Form::csv:
        std::cout << csv_line(entry) << '\n';
        break;
      case Form::json: {
        std::string text;
        api::append_json(text, entry);
        std::cout << (open_ended_ || first_ ? "" : ",") << text << (open_ended_ ? "\n" : "");
        break;
      }
    }
    first_ = false;
  }
  void end() {
    if (form_ == Form::json && !open_ended_) std::cout << "]}\n";
  }

 private:
  static void print_table(const std::vector<ConnectionShown>& entries) {
    Table table{"CONNECTED", "ENDED", "TYPE", "ORGANIZATION", "OWNER", "WORKSPACE", "IP", "USER", ">CODE", "REASON"};
    for (const ConnectionShown& entry : entries) table.add(cells(entry));
    table.print(std::cout);
  }
  static std::string line(const ConnectionShown& entry) {
    const api::ConnectionEnding end = api::ending(entry);
    return fmt::format("{:<20}  {:<20}  {:<16}  {:<16}  {:<24}  {:<15}  {}", when(entry.connect_us), ended(entry),
                       printable(entry.type), printable(name_or_id(entry.owner_name, entry.owner)),
                       printable(entry.workspace_name + "." + entry.agent_name), entry.ip.value_or(""),
                       printable(end.reason.value_or("")));
  }

  Form form_;
  bool open_ended_;  // lines for ever, so neither columns nor brackets can be closed
  bool first_ = true;
  std::size_t pages_ = 0;
};

/// What of an entry changes while it lives.
std::string sign(const ConnectionShown& entry) {
  return fmt::format("{}/{}/{}/{}", static_cast<int>(entry.state), entry.connect_us.value_or(0),
                     entry.disconnect_us.value_or(0), entry.lost_us.value_or(0));
}

struct EntryHash {
  std::size_t operator()(const tracker::Uuid& id) const { return id.low(); }
};

/// Shows entries as they come in and as they change. Each round reads from the newest back for as long as there was
/// something new, and asks for every ongoing session that it has shown, however old. What comes in late, behind the
/// oldest entry that it knows, goes unseen.
class Follower {
 public:
  Follower(Database& database, db::ConnectionLog& log, db::ConnectionPageRequest newest, Printer& printer)
      : database_(database), log_(log), newest_(std::move(newest)), printer_(printer) {}

  void run() {
    auto page = log_page(newest_);
    if (!page) database_.fail("read the connection log", page.error());
    take(*page);
    if (page->next) oldest_ = page->next->place;
    show_taken();
    while (std::cout.flush()) {  // until nobody reads any more
      database_.pause(kFollowEvery);
      round();
    }
  }

 private:
  struct Known {
    std::string sign;
    db::ConnectionPlace place;
    bool ongoing = false;
  };

  tracker::Result<db::ConnectionPage> log_page(const db::ConnectionPageRequest& request) {
    return database_.attempt(log_.page(request));
  }

  /// A page that cannot be read ends the round: the next one has what came in meanwhile.
  void round() {
    auto ongoing = ongoing_ones();
    db::ConnectionPageRequest request = newest_;
    for (auto page = log_page(request); page && take(*page) && page->next; page = log_page(request))
      request.after = std::move(page->next);
    for (std::size_t i = 0; i < ongoing.size(); i += kPage) {
      db::ConnectionPageRequest again = newest_;
      again.limit = kPage;
      again.entries.assign(ongoing.begin() + static_cast<std::ptrdiff_t>(i),
                           ongoing.begin() + static_cast<std::ptrdiff_t>(std::min(ongoing.size(), i + kPage)));
      if (const auto page = log_page(again)) take(*page);
    }
    show_taken();
    forget_oldest();
  }

  /// Keeps what is new or has changed; answers whether anything was.
  bool take(const db::ConnectionPage& page) {
    const std::size_t before = taken_.size();
    for (const ConnectionShown& entry : page.entries) {
      const auto known = known_.find(entry.place.entry);
      if (known == known_.end() && oldest_ && !is_behind(*oldest_, entry.place)) continue;
      std::string mark = sign(entry);
      if (known != known_.end() && known->second.sign == mark) continue;
      known_[entry.place.entry] = {std::move(mark), entry.place, entry.state == ConnectionShown::State::ongoing};
      taken_.push_back(entry);
    }
    return taken_.size() > before;
  }

  void show_taken() {
    std::sort(taken_.begin(), taken_.end(), [](const auto& a, const auto& b) { return is_behind(a.place, b.place); });
    for (const ConnectionShown& entry : taken_) printer_.one(entry);
    taken_.clear();
  }

  static bool is_behind(const db::ConnectionPlace& a, const db::ConnectionPlace& b) {
    return std::tie(a.at_us, a.entry) < std::tie(b.at_us, b.entry);
  }

  std::vector<tracker::Uuid> ongoing_ones() const {
    std::vector<tracker::Uuid> entries;
    for (const auto& [entry, known] : known_)
      if (known.ongoing) entries.push_back(entry);
    return entries;
  }

  /// Whoever runs this for months must not run out of memory.
  void forget_oldest() {
    if (known_.size() <= kMostKnown) return;
    std::vector<db::ConnectionPlace> over;
    for (const auto& [entry, known] : known_)
      if (!known.ongoing) over.push_back(known.place);
    const std::size_t kept = std::min(over.size(), kMostKnown / 2);
    const auto first_gone = over.begin() + static_cast<std::ptrdiff_t>(kept);
    if (first_gone == over.end()) return;
    std::nth_element(over.begin(), first_gone, over.end(),
                     [](const auto& a, const auto& b) { return is_behind(b, a); });
    oldest_ = *first_gone;
    std::erase_if(known_,
                  [&](const auto& one) { return !one.second.ongoing && !is_behind(*oldest_, one.second.place); });
  }

  static constexpr std::size_t kMostKnown = 100'000;
  Database& database_;
  db::ConnectionLog& log_;
  db::ConnectionPageRequest newest_;
  Printer& printer_;
  std::unordered_map<tracker::Uuid, Known, EntryHash> known_;
  std::vector<ConnectionShown> taken_;         // to be shown, oldest first, at the end of the round
  std::optional<db::ConnectionPlace> oldest_;  // what is new and not in front of this is not shown
};

int connections(const ConnectionOptions& options) {
  db::ConnectionPageRequest wanted;
  wanted.filter = read_filter(options);
  wanted.rights = db::ConnectionRights::everything();
  Database database(options.flags.load().now(), Database::Need::schema);
  db::ConnectionLog log(database.pool());
  Printer printer(options.form, options.follow);
  if (options.follow) {
    wanted.limit = std::min(options.limit, kPage);
    Follower(database, log, std::move(wanted), printer).run();
    return 0;
  }
  for (std::int64_t left = options.all ? INT64_MAX : options.limit; left > 0;) {
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
