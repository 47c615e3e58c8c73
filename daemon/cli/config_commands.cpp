#include <boost/json.hpp>
#include <iostream>

#include "daemon/cli/command_line.hpp"
#include "daemon/cli/setting_flags.hpp"

namespace tally::daemon::cli {
namespace {

struct Options {
  explicit Options(CLI::App& command) : flags(command, SettingFlags::Which::all) { add_output_option(command, form); }
  OutputForm form = OutputForm::table;
  SettingFlags flags;
};

boost::json::array texts(const std::vector<std::string>& list) {
  return boost::json::array(list.begin(), list.end());
}

int show(const Options& options) {
  const LiveConfig config = options.flags.load();
  if (options.form == OutputForm::json) {
    boost::json::array settings;
    for (const SettingValue& value : config.values())
      settings.push_back(boost::json::value{
          {"name", value.name}, {"value", value.text}, {"origin", to_string(value.origin)}, {"where", value.where}});
    std::cout << boost::json::value{{"file", config.file().string()}, {"settings", std::move(settings)}} << '\n';
  } else {
    Table table{"SETTING", "VALUE", "FROM"};
    for (const SettingValue& value : config.values())
      table.add({value.name, value.text.empty() ? "-" : value.text,
                 value.where.empty() ? std::string(to_string(value.origin)) : value.where});
    table.print(std::cout);
  }
  return 0;
}

int check(const Options& options) {
  try {
    const LiveConfig config = options.flags.load();
    if (options.form == OutputForm::json) {
      std::cout << boost::json::value{{"ok", true},
                                      {"file", config.file().string()},
                                      {"problems", boost::json::array()},
                                      {"warnings", texts(config.warnings())}}
                << '\n';
      return 0;
    }
    for (const std::string& warning : config.warnings()) std::cerr << "warning: " << printable(warning) << '\n';
    std::cout << "ok: " << (config.file().empty() ? "no file, defaults only" : printable(config.file().string()))
              << '\n';
    return 0;
  } catch (const ConfigError& error) {
    if (options.form == OutputForm::json)
      std::cout << boost::json::value{{"ok", false},
                                      {"problems", texts(error.problems())},
                                      {"warnings", boost::json::array()}}
                << '\n';
    throw;
  }
}

}  // namespace

void add_config_commands(CommandLine& line) {
  CLI::App& group = add_group(line.app, "config", "Check the configuration, or show it and where each value came from");
  add_work(line, group, "check", "Say whether `serve` would accept the configuration",
           {"config check", "config check --config ./tallyd.toml", "config check --output json"}, check);
  add_work(line, group, "show", "Print each setting, its value and where it came from; passwords are masked",
           {"config show", "config show --listen unix:/run/tallyd/http.sock", "config show --output json"}, show);
}

}  // namespace tally::daemon::cli
