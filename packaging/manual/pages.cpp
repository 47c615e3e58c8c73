#include <CLI/Option.hpp>
#include <sstream>

#include "daemon/settings.hpp"
#include "packaging/manual/manual.hpp"

namespace tally::packaging {
namespace {

using daemon::Setting;

/// Text that roff shows as it stands.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n'))
      (out += "\\&") += c;
    else
      out += c;
  }
  return out;
}

std::string sentence(std::string_view text) {
  return roff(text) + (text.ends_with('.') ? "\n" : ".\n");
}

std::string option_name(const CLI::Option& option) {
  if (option.get_positional()) return roff(option.get_name());
  std::string text;
  for (const std::string& name : option.get_lnames()) text += "\\fB" + roff("--" + name) + "\\fR";
  const std::string value = option.get_type_name();
  return value.empty() ? text : text + " \\fI" + roff(value) + "\\fR";
}

bool takes_settings(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options())
    if (option->get_group() == "Settings") return true;
  return false;
}

void add_command(std::string& out, const CLI::App& command, const std::string& path) {
  const auto children = command.get_subcommands([](const CLI::App*) { return true; });
  if (children.empty() || command.get_require_subcommand_min() == 0) {
    out += ".SS " + roff(path) + "\n" + sentence(command.get_description());
    for (const CLI::Option* option : command.get_options()) {
      if (option->get_group() == "Settings" || option->check_lname("help")) continue;
      out += ".TP\n" + option_name(*option) + "\n" + sentence(option->get_description());
    }
    if (takes_settings(command)) {
      const bool all = command.get_option_no_throw("--listen") != nullptr;
      out += ".PP\nTakes " + std::string(all ? "every setting" : "the settings that reach the database") +
             ", see SETTINGS.\n";
    }
    if (const std::string examples = command.get_footer(); !examples.empty())
      out += ".PP\n.nf\n" + roff(examples) + "\n.fi\n";
  }
  for (const CLI::App* child : children) add_command(out, *child, path + " " + child->get_name());
}

std::string facts(const Setting& setting) {
  std::string text;
  if (setting.repeatable) text += "May be repeated. ";
  if (!setting.default_text.empty()) text.append("Default: ").append(setting.default_text).append(". ");
  if (setting.reloadable) text += "Taken over on SIGHUP. ";
  if (!setting.credential.empty())
    text.append("If it is not given, the service credential ")
        .append(setting.credential)
        .append(" is used where there is one. ");
  while (text.ends_with(' ')) text.pop_back();
  return text.empty() ? text : roff(text) + "\n";
}

std::string in_toml(const Setting& setting, std::string_view value) {
  const bool bare = setting.placeholder.empty() || value.find_first_not_of("0123456789") == value.npos;
  const std::string text = bare ? std::string(value) : "\"" + std::string(value) + "\"";
  return setting.repeatable ? "[" + text + "]" : text;
}

std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines{""};
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
  }
  return lines;
}

}  // namespace

std::string commands_section(const CLI::App& app) {
  std::string out;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    add_command(out, *command, "tallyd " + command->get_name());
  return out;
}

std::string flags_section() {
  std::string out;
  for (const Setting& setting : daemon::settings()) {
    out += ".TP\n\\fB" + roff("--" + std::string(setting.name)) + "\\fR";
    if (!setting.placeholder.empty()) out += " \\fI" + roff(setting.placeholder) + "\\fR";
    out += "\n" + sentence(setting.meaning) + facts(setting);
  }
  return out;
}

std::string keys_section() {
  std::string out;
  for (const Setting& setting : daemon::settings()) {
    const std::string value =
        setting.default_text.empty() ? std::string(setting.placeholder) : std::string(setting.default_text);
    out += ".TP\n\\fB" + roff(setting.name) + "\\fR = " + roff(in_toml(setting, value)) + "\n" +
           sentence(setting.meaning) + facts(setting) + "Environment: " + roff(daemon::environment_name(setting)) +
           ".\n";
  }
  return out;
}

std::string example_file() {
  std::string out =
      "# Settings of tallyd; see tallyd.toml(5). Flags and TALLYD_ variables take precedence.\n"
      "# `tallyd config check` says whether it is right, `tallyd config show` what holds and why.\n";
  for (const Setting& setting : daemon::settings()) {
    out += "\n";
    for (const std::string& line : wrapped(setting.meaning, 100)) out += "# " + line + "\n";
    const std::string value =
        setting.default_text.empty() ? std::string(setting.placeholder) : std::string(setting.default_text);
    out += "#" + std::string(setting.name) + " = " + in_toml(setting, value) + "\n";
  }
  return out;
}

}  // namespace tally::packaging
