#include "daemon/cli/run.hpp"

#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <iostream>

#include "daemon/cli/command_line.hpp"
#include "daemon/config_sources.hpp"
#include "daemon/settings.hpp"

namespace tally::daemon::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kBadUsage = 2;

/// No core file and no debugger of the same user sees what this process knows.
void keep_memory_private() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  ::prctl(PR_SET_DUMPABLE, 0);  // the leak checker traces its own process
#endif
}

/// Others can read the arguments of a process as long as it runs.
void blot_out_passwords(int argc, char** argv) {
  constexpr std::string_view kFlag = "--database-url";
  for (int i = 1; i < argc; ++i) {
    char* value = nullptr;
    if (argv[i] == kFlag && i + 1 < argc)
      value = argv[i + 1];
    else if (std::string_view(argv[i]).starts_with(std::string(kFlag) + "="))
      value = argv[i] + kFlag.size() + 1;
    if (value != nullptr && mask_database_url(value) != value) ::memset(value, '*', ::strlen(value));
  }
}

void complain(std::string_view what, std::string_view next = {}) {
  std::cerr << "tallyd: " << printable(what) << '\n';
  if (!next.empty()) std::cerr << "        " << printable(next) << '\n';
}

const CLI::App& deepest_command(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : deepest_command(*chosen.front());
}

int answer_parse_error(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error, std::cout, std::cerr);
  std::string what = error.what();
  const CLI::App& reached = deepest_command(app);
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && reached.get_require_subcommand_min() > 0) {
    const auto unknown = reached.remaining();
    what = unknown.empty() ? "a command is missing" : "unknown command: " + unknown.front();
  }
  std::string command;
  for (const CLI::App* at = &reached; at->get_parent() != nullptr; at = at->get_parent())
    command = " " + at->get_name() + command;
  std::string next = "see `tallyd" + command + " --help`";
  if (const auto dashes = what.find("--");
      dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr && dashes != what.npos) {
    const auto name = what.substr(dashes + 2, what.find_first_of(" =", dashes + 2) - dashes - 2);
    if (const auto nearest = nearest_setting(name)) next = "did you mean --" + std::string(*nearest) + "? " + next;
  }
  complain(what, next);
  return kBadUsage;
}

int run_chosen(const CommandLine& line) {
  try {
    return line.chosen();
  } catch (const ConfigError& error) {
    for (const std::string& problem : error.problems()) complain(problem);
    return kBadUsage;
  } catch (const UsageError& error) {
    complain(error.what(), error.next());
    return kBadUsage;
  } catch (const CommandError& error) {
    complain(error.what(), error.next());
    return kFailed;
  } catch (const std::exception& error) {
    complain(error.what());
    return kFailed;
  }
}

}  // namespace

CLI::App& add_command(CLI::App& parent, const std::string& name, const std::string& purpose,
                      std::initializer_list<std::string_view> examples) {
  CLI::App* command = parent.add_subcommand(name, purpose);
  std::string text = examples.size() == 0 ? "" : "Examples:";
  for (const std::string_view example : examples) text.append("\n  tallyd ").append(example);
  command->footer(text);
  return *command;
}

CLI::App& add_group(CLI::App& parent, const std::string& name, const std::string& purpose) {
  CLI::App& group = add_command(parent, name, purpose, {});
  group.require_subcommand(1);
  return group;
}

void add_output_option(CLI::App& command, OutputForm& form) {
  command
      .add_option_function<std::string>(
          "--output",
          [&form](const std::string& text) { form = text == "json" ? OutputForm::json : OutputForm::table; },
          "How to print the answer (default table)")
      ->type_name("json|table")
      ->check([](const std::string& text) {
        return text == "json" || text == "table" ? std::string() : "write json or table";
      });
}

void add_all_commands(CommandLine& line) {
  line.app.name("tallyd");
  line.app.description("Counts usage of developer workspaces exactly once, on every replica, into PostgreSQL.");
  line.app.footer("Each command has --help with examples.");
  line.app.require_subcommand(1);
  line.app.get_formatter()->column_width(44);
  // In the order of the help: what is used most comes first.
  add_serve_command(line);
  add_period_commands(line);
  add_connection_commands(line);
  add_token_commands(line);
  add_user_commands(line);
  add_usage_commands(line);
  add_database_commands(line);
  add_stream_commands(line);
  add_config_commands(line);
  add_authz_commands(line);
  add_version_command(line);
}

int run(int argc, char** argv) {
  keep_memory_private();
  CommandLine line;
  add_all_commands(line);
  try {
    line.app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return answer_parse_error(line.app, error);
  }
  blot_out_passwords(argc, argv);
  const int code = run_chosen(line);
  std::cout.flush();
  if (!std::cout) {
    complain("the answer could not be written to standard output");
    return kFailed;
  }
  return code;
}

}  // namespace tally::daemon::cli
