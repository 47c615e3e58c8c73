#include <boost/json.hpp>
#include <iostream>

#include "daemon/cli/command_line.hpp"
#include "daemon/version.hpp"

namespace tally::daemon::cli {
namespace {

struct Options {
  explicit Options(CLI::App& command) { add_output_option(command, form); }
  OutputForm form = OutputForm::table;
};

std::string version_text() {
  return "tallyd " + std::string(version()) + " (" + std::string(revision()) + ", " + std::string(compiler()) + ")";
}

int print_version(const Options& options) {
  if (options.form == OutputForm::json)
    std::cout << boost::json::value{{"version", version()}, {"revision", revision()}, {"compiler", compiler()}} << '\n';
  else
    std::cout << version_text() << '\n';
  return 0;
}

}  // namespace

void add_version_command(CommandLine& line) {
  line.app.set_version_flag("--version", version_text, "The same as the command version");  // which people try first
  add_work(line, line.app, "version", "Print the version of this program", {"version", "version --output json"},
           print_version);
}

}  // namespace tally::daemon::cli
