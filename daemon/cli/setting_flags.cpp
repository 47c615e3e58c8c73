#include "daemon/cli/setting_flags.hpp"

#include "daemon/settings.hpp"

namespace tally::daemon::cli {
namespace {

bool reaches_database(std::string_view name) {
  return name == "database-url" || name == "database-url-file" || name == "state-dir";
}

std::string description(const Setting& setting) {
  std::string text(setting.meaning);
  if (setting.repeatable) text += "; may be repeated";
  if (!setting.default_text.empty() && !setting.placeholder.empty())
    text.append(" (default ").append(setting.default_text).append(")");
  return text;
}

}  // namespace

SettingFlags::SettingFlags(CLI::App& command, Which which) {
  const auto given = given_;
  const auto add = [&](const std::string& name, const std::string& placeholder, const std::string& text,
                       bool repeatable) {
    auto* option = command.add_option_function<std::vector<std::string>>(
        "--" + name, [given, name](const std::vector<std::string>& values) { (*given)[name] = values; }, text);
    option->type_name(placeholder)->expected(1)->group("Settings");
    option->multi_option_policy(repeatable ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::TakeLast);
  };
  add("config", "FILE", "File to read settings from (default /etc/tallyd/tallyd.toml, if it is there)", false);
  for (const Setting& setting : settings()) {
    if (which == Which::database && !reaches_database(setting.name)) continue;
    const std::string name(setting.name);
    if (!setting.placeholder.empty()) {
      add(name, std::string(setting.placeholder), description(setting), setting.repeatable);
      continue;
    }
    command
        .add_flag_function(
            "--" + name + "{true}",
            [given, name](std::int64_t count) { (*given)[name] = {count > 0 ? "true" : "false"}; },
            description(setting))
        ->group("Settings");
  }
}

LiveConfig SettingFlags::load() const {
  return LiveConfig(config_inputs(*given_));
}

}  // namespace tally::daemon::cli
