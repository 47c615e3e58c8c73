#include <fstream>
#include <iostream>

#include "daemon/cli/authz_commands.hpp"
#include "daemon/cli/command_line.hpp"

namespace tally::daemon::cli {
namespace {

struct CaseOptions {
  explicit CaseOptions(CLI::App& command) {
    command.add_option("FILE", file, "Cases as JSON lines; - is standard input (default)")->type_name("");
  }
  std::string file = "-";
};

struct FilterOptions : CaseOptions {
  explicit FilterOptions(CLI::App& command) : CaseOptions(command) {
    command.add_option("--table", table, "Table to filter, instead of the one that each case names")->type_name("NAME");
  }
  std::string table;
};

template <class Work>
int with_input(const std::string& name, Work work) {
  if (name == "-") return work(std::cin);
  std::ifstream file(name, std::ios::binary);
  if (!file) throw CommandError("cannot read " + name, "give a file of JSON lines, or - for standard input");
  return work(file);
}

int eval(const CaseOptions& options) {
  return with_input(options.file, [](std::istream& in) { return authz_eval(in, std::cout); });
}

int filter(const FilterOptions& options) {
  return with_input(options.file, [&](std::istream& in) { return authz_filter(in, std::cout, options.table); });
}

int explain(const CaseOptions& options) {
  return with_input(options.file, [](std::istream& in) { return authz_explain(in, std::cout); });
}

}  // namespace

void add_authz_commands(CommandLine& line) {
  CLI::App& group = add_group(line.app, "authz", "Try authorization cases, without a server or a database");
  add_work(
      line, group, "eval", "Answer each case with one JSON line; exit 1 if one could not be read",
      {"authz eval cases.jsonl",
       "authz eval - <<< '{\"name\":\"a\",\"subject\":{\"id\":\"u\",\"roles\":[\"owner\"],\"scope\":\"coder:all\"},"
       "\"action\":\"read\",\"object\":{\"type\":\"template\"}}'"},
      eval);
  add_work(line, group, "filter", "Print the SQL condition and its parameters for each filter case",
           {"authz filter cases.jsonl", "authz filter --table connection_logs cases.jsonl"}, filter);
  add_work(line, group, "explain", "Say what each level decided and which permission settled it",
           {"authz explain cases.jsonl"}, explain);
}

}  // namespace tally::daemon::cli
