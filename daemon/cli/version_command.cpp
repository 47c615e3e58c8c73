#include <boost/json.hpp>
#include <iostream>
#include <memory>

#include "daemon/cli/command_line.hpp"
#include "daemon/version.hpp"

namespace tally::daemon::cli {

void add_version_command(CommandLine& line) {
  CLI::App& command =
      add_command(line.app, "version", "Print the version of this program", {"version", "version --output json"});
  const auto form = std::make_shared<OutputForm>();
  add_output_option(command, *form);
  command.callback([&line, form] {
    line.chosen = [form] {
      if (*form == OutputForm::json)
        std::cout << boost::json::value{{"version", version()}, {"revision", revision()}, {"compiler", compiler()}}
                  << '\n';
      else
        std::cout << "tallyd " << version() << " (" << revision() << ", " << compiler() << ")\n";
      return 0;
    };
  });
}

}  // namespace tally::daemon::cli
