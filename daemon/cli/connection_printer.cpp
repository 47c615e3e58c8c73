#include "daemon/cli/connection_printer.hpp"

#include <fmt/format.h>

#include <iostream>

#include "daemon/api/connection_render.hpp"
#include "daemon/api/render.hpp"
#include "daemon/cli/table.hpp"

namespace tally::daemon::cli {
namespace {

using db::ConnectionShown;

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

void print_table(const std::vector<ConnectionShown>& entries) {
  Table table{"CONNECTED", "ENDED", "TYPE", "ORGANIZATION", "OWNER", "WORKSPACE", "IP", "USER", ">CODE", "REASON"};
  for (const ConnectionShown& entry : entries) table.add(cells(entry));
  table.print(std::cout);
}
std::string line(const ConnectionShown& entry) {
  const api::ConnectionEnding end = api::ending(entry);
  return fmt::format("{:<20}  {:<20}  {:<16}  {:<16}  {:<24}  {:<15}  {}", when(entry.connect_us), ended(entry),
                     printable(entry.type), printable(name_or_id(entry.owner_name, entry.owner)),
                     printable(entry.workspace_name + "." + entry.agent_name), entry.ip.value_or(""),
                     printable(end.reason.value_or("")));
}

}  // namespace

ConnectionPrinter::ConnectionPrinter(ConnectionForm form, bool open_ended) : form_(form), open_ended_(open_ended) {
  if (form_ == ConnectionForm::csv) std::cout << kCsvHead << '\n';
  if (form_ == ConnectionForm::json && !open_ended_) std::cout << "{\"connection_logs\":[";
}

void ConnectionPrinter::page(const std::vector<ConnectionShown>& entries) {
  if (form_ == ConnectionForm::table && !open_ended_) {
    if (!entries.empty() || pages_ == 0) print_table(entries);
  } else {
    for (const ConnectionShown& entry : entries) one(entry);
  }
  ++pages_;
  std::cout.flush();
}

void ConnectionPrinter::one(const ConnectionShown& entry) {
  switch (form_) {
    case ConnectionForm::table:
      std::cout << line(entry) << '\n';
      break;
    case ConnectionForm::csv:
      std::cout << csv_line(entry) << '\n';
      break;
    case ConnectionForm::json: {
      std::string text;
      api::append_json(text, entry);
      std::cout << (open_ended_ || first_ ? "" : ",") << text << (open_ended_ ? "\n" : "");
      break;
    }
  }
  first_ = false;
}

void ConnectionPrinter::end() {
  if (form_ == ConnectionForm::json && !open_ended_) std::cout << "]}\n";
}

}  // namespace tally::daemon::cli
