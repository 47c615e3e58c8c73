#pragma once
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "daemon/cli/table.hpp"

namespace tally::daemon::cli {

/// What went wrong, for the person at the keyboard, and what to do about it.
class CommandError : public std::runtime_error {
 public:
  CommandError(const std::string& what, std::string next = {}) : std::runtime_error(what), next_(std::move(next)) {}
  const std::string& next() const { return next_; }

 private:
  std::string next_;
};

/// The arguments are wrong in a way that only the command itself can see: exit 2.
class UsageError : public CommandError {
 public:
  using CommandError::CommandError;
};

/// The tree of commands. Each adds itself; the one that the arguments name leaves its work in `chosen`.
struct CommandLine {
  CLI::App app;
  std::function<int()> chosen;
};

/// A command with its one-line purpose and its examples (a line each, without the `tallyd`).
CLI::App& add_command(CLI::App& parent, const std::string& name, const std::string& purpose,
                      std::initializer_list<std::string_view> examples);
/// `--output json|table`.
void add_output_option(CLI::App& command, OutputForm& form);

/// A command whose options are one value, declared on the command by its constructor, and whose work is one function.
template <class Options>
void add_work(CommandLine& line, CLI::App& parent, const std::string& name, const std::string& purpose,
              std::initializer_list<std::string_view> examples, int (*work)(const Options&)) {
  CLI::App& command = add_command(parent, name, purpose, examples);
  const auto options = std::make_shared<Options>(command);
  command.callback([&line, options, work] { line.chosen = [options, work] { return work(*options); }; });
}
/// A word that only holds other commands.
CLI::App& add_group(CLI::App& parent, const std::string& name, const std::string& purpose);

/// The whole tree; also what the manual and the completions are made from.
void add_all_commands(CommandLine& line);
void add_authz_commands(CommandLine& line);
void add_config_commands(CommandLine& line);
void add_connection_commands(CommandLine& line);
void add_database_commands(CommandLine& line);
void add_period_commands(CommandLine& line);
void add_serve_command(CommandLine& line);
void add_stream_commands(CommandLine& line);
void add_token_commands(CommandLine& line);
void add_usage_commands(CommandLine& line);
void add_user_commands(CommandLine& line);
void add_version_command(CommandLine& line);

}  // namespace tally::daemon::cli
