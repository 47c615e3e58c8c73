#include <filesystem>
#include <fstream>
#include <iostream>

#include "daemon/cli/command_line.hpp"
#include "daemon/version.hpp"
#include "packaging/manual/manual.hpp"

namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

void fill(std::string& text, const std::string& mark, const std::string& content) {
  const auto at = text.find(mark);
  if (at == text.npos) throw std::runtime_error("the page has no " + mark);
  text.replace(at, mark.size(), content);
}

}  // namespace

/// tally-manual PROSE_DIR OUT_DIR
int main(int argc, char** argv) try {
  if (argc != 3) throw std::runtime_error("usage: tally-manual PROSE_DIR OUT_DIR");
  const std::filesystem::path prose = argv[1], out = argv[2];
  tally::daemon::cli::CommandLine line;
  tally::daemon::cli::add_all_commands(line);

  std::string commands = read(prose / "tallyd.1.in");
  fill(commands, "@VERSION@", std::string(tally::daemon::version()));
  fill(commands, "@COMMANDS@\n", tally::packaging::commands_section(line.app));
  fill(commands, "@SETTINGS@\n", tally::packaging::flags_section());
  write(out / "tallyd.1", commands);

  std::string keys = read(prose / "tallyd.toml.5.in");
  fill(keys, "@VERSION@", std::string(tally::daemon::version()));
  fill(keys, "@KEYS@\n", tally::packaging::keys_section());
  write(out / "tallyd.toml.5", keys);

  write(out / "tallyd.toml", tally::packaging::example_file());
  write(out / "tallyd.bash", tally::packaging::bash_completion(line.app));
  write(out / "_tallyd", tally::packaging::zsh_completion(line.app));
  return 0;
} catch (const std::exception& error) {
  std::cerr << "tally-manual: " << error.what() << '\n';
  return 1;
}
