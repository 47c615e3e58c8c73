#pragma once
#include <CLI/App.hpp>
#include <string>

namespace tally::packaging {

/// roff for the place of @COMMANDS@ in tallyd.1.in: each command with its options and examples.
std::string commands_section(const CLI::App& app);
/// For @SETTINGS@ in tallyd.1.in: each setting as a flag.
std::string flags_section();
/// For @KEYS@ in tallyd.toml.5.in: each setting as a key.
std::string keys_section();
/// A commented file with every setting at its default.
std::string example_file();

std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);

}  // namespace tally::packaging
