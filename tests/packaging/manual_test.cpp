#include "packaging/manual/manual.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <sstream>

#include "daemon/cli/command_line.hpp"
#include "daemon/settings.hpp"
#include "tests/support/run_program.hpp"

namespace tally::packaging {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string read(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string without_markup(std::string page) {
  page = std::regex_replace(page, std::regex(R"(\\f[BIR])"), "");
  return std::regex_replace(page, std::regex(R"(\\-)"), "-");
}

void for_each_command(const CLI::App& app, const std::string& path,
                      const std::function<void(const std::string&, const CLI::App&)>& visit) {
  for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; })) {
    visit(path + " " + child->get_name(), *child);
    for_each_command(*child, path + " " + child->get_name(), visit);
  }
}

TEST(Manual, NamesEveryFlagOfEveryCommand) {
  const std::string page = without_markup(read(GENERATED "/tallyd.1"));
  daemon::cli::CommandLine line;
  daemon::cli::add_all_commands(line);
  for_each_command(line.app, "tallyd", [&](const std::string& path, const CLI::App& command) {
    if (!command.get_subcommands([](const CLI::App*) { return true; }).empty()) return;
    EXPECT_THAT(page, HasSubstr(".SS " + path + "\n"));
    for (const CLI::Option* option : command.get_options())
      for (const std::string& name : option->get_lnames()) {
        if (name == "help") continue;
        EXPECT_THAT(page, HasSubstr("\n--" + name)) << path;
      }
  });
}

TEST(Manual, DescribesEverySettingAsFlagAndAsKey) {
  const std::string flags = without_markup(read(GENERATED "/tallyd.1"));
  const std::string keys = without_markup(read(GENERATED "/tallyd.toml.5"));
  for (const daemon::Setting& setting : daemon::settings()) {
    EXPECT_THAT(flags, HasSubstr("\n--" + std::string(setting.name)));
    EXPECT_THAT(keys, HasSubstr("\n" + std::string(setting.name) + " = "));
    EXPECT_THAT(keys, HasSubstr(daemon::environment_name(setting)));
  }
}

TEST(Manual, LeavesNoMarkAndNoLineThatRoffWouldObey) {
  for (const char* name : {"/tallyd.1", "/tallyd.toml.5"}) {
    const std::string page = read(std::string(GENERATED) + name);
    EXPECT_THAT(page, Not(testing::ContainsRegex("@[A-Z]+@")));
    std::istringstream lines(page);
    for (std::string text; std::getline(lines, text);) {
      if (!text.starts_with('.')) continue;
      EXPECT_TRUE(std::regex_match(text, std::regex(R"(\.(TH|SH|SS|TP|PP|B|BR|RB|I|RI|nf|fi)( .*)?)"))) << text;
    }
  }
}

TEST(ExampleFile, IsAcceptedAsItIsAndWithItsDefaultsWrittenOut) {
  const std::string path = std::string(GENERATED) + "/tallyd.toml";
  const test::Ended ended = test::run_program({TALLYD_BINARY, "config", "check", "--config", path});
  EXPECT_EQ(ended.code, 0) << ended.err;

  std::string uncommented;
  for (const daemon::Setting& setting : daemon::settings()) {
    const auto at = read(path).find("\n#" + std::string(setting.name) + " = ");
    ASSERT_NE(at, std::string::npos) << setting.name;
    if (setting.default_text.empty()) continue;
    const std::string rest = read(path).substr(at + 2);
    uncommented += rest.substr(0, rest.find('\n') + 1);
  }
  const std::string copy = testing::TempDir() + "tallyd-example-" + std::to_string(::getpid()) + ".toml";
  std::ofstream(copy) << uncommented;
  const test::Ended again = test::run_program({TALLYD_BINARY, "config", "check", "--config", copy});
  EXPECT_EQ(again.code, 0) << again.err;
  ::unlink(copy.c_str());
}

std::string completed(const std::string& typed) {
  const std::string script = "source " GENERATED "/tallyd.bash; COMP_WORDS=(" + typed +
                             "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _tallyd; echo \"${COMPREPLY[*]}\"";
  const test::Ended ended = test::run_program({"/bin/bash", "-c", script});
  EXPECT_EQ(ended.err, "");
  return ended.out;
}

TEST(BashCompletion, OffersCommandsFlagsAndValues) {
  EXPECT_EQ(completed("tallyd conf"), "config\n");
  EXPECT_EQ(completed("tallyd config ''"), "check show --help\n");
  EXPECT_THAT(completed("tallyd config check --flush"), "--flush-interval\n");
  EXPECT_EQ(completed("tallyd config show --output ''"), "json table\n");
  EXPECT_EQ(completed("tallyd config show --journal-sync ''"), "always never\n");
  EXPECT_EQ(completed("tallyd config show --listen ''"), "\n");
}

TEST(Package, ShipsScriptsThatAShellAccepts) {
  for (const char* script : {"postinst", "prerm", "postrm"})
    EXPECT_EQ(test::run_program({"/bin/sh", "-n", std::string(SOURCES "/packaging/debian/") + script}).code, 0)
        << script;
}

TEST(Package, NeverDeletesState) {
  for (const char* script : {"postinst", "prerm", "postrm"})
    EXPECT_THAT(read(std::string(SOURCES "/packaging/debian/") + script), Not(testing::ContainsRegex("rm +-")));
}

}  // namespace
}  // namespace tally::packaging
