#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/run_program.hpp"

namespace tally::daemon::cli {
namespace {

using test::Ended;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Ended tallyd(std::vector<std::string> arguments, std::vector<std::string> environment = {}) {
  arguments.insert(arguments.begin(), TALLYD_BINARY);
  return test::run_program(arguments, environment);
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

TEST(Command, PrintsItsVersion) {
  const Ended ended = tallyd({"version"});
  EXPECT_EQ(ended.code, 0);
  EXPECT_THAT(ended.out, testing::StartsWith("tallyd 0."));
  EXPECT_EQ(tallyd({"--version"}).out, ended.out);
  const auto json = boost::json::parse(tallyd({"version", "--output", "json"}).out);
  EXPECT_TRUE(json.at("version").is_string() && json.at("revision").is_string());
}

struct BadUsage {
  std::string name;
  std::string arguments;
  std::string what;
  std::string next;
};
class BadCommand : public testing::TestWithParam<BadUsage> {};

TEST_P(BadCommand, ExitsWith2AndSaysWhatToDo) {
  const Ended ended = tallyd(words(GetParam().arguments));
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.out, IsEmpty());
  EXPECT_THAT(ended.err, AllOf(HasSubstr("tallyd: " + GetParam().what), HasSubstr(GetParam().next)));
}
INSTANTIATE_TEST_SUITE_P(
    Usage, BadCommand,
    testing::Values(BadUsage{"nothing", "", "a command is missing", "see `tallyd --help`"},
                    BadUsage{"unknown", "frob", "unknown command: frob", "see `tallyd --help`"},
                    BadUsage{"group_alone", "config", "a command is missing", "see `tallyd config --help`"},
                    BadUsage{"unknown_in_group", "config frob", "unknown command: frob", "see `tallyd config --help`"},
                    BadUsage{"unknown_flag", "version --frob", "The following argument was not expected: --frob",
                             "see `tallyd version --help`"},
                    BadUsage{"misspelt_setting", "config check --flush-intervall=1s",
                             "The following argument was not expected", "did you mean --flush-interval?"},
                    BadUsage{"missing_value", "config check --flush-interval", "--flush-interval",
                             "see `tallyd config check --help`"},
                    BadUsage{"bad_output", "version --output xml", "--output: write json or table",
                             "see `tallyd version --help`"},
                    BadUsage{"bad_value", "config check --period soon", "--period: \"soon\" is not right",
                             "write a number and ms, s, m, h or d"},
                    BadUsage{"missing_file", "config check --config /nonexistent/x.toml",
                             "/nonexistent/x.toml: cannot be read: No such file", ""}),
    [](const auto& usage) { return usage.param.name; });

TEST(Command, HasHelpWithExamplesEverywhere) {
  for (const char* command :
       {"serve",         "migrate",         "token create", "token list", "token revoke", "user put",
        "user list",     "user delete",     "summary",      "ledger",     "verify",       "streams list",
        "streams drain", "streams give-up", "rebase",       "report",     "authz eval",   "authz filter",
        "authz explain", "config check",    "config show",  "version"}) {
    auto arguments = words(command);
    arguments.emplace_back("--help");
    const Ended ended = tallyd(arguments);
    EXPECT_EQ(ended.code, 0) << command;
    EXPECT_THAT(ended.out, HasSubstr("Examples:\n  tallyd ")) << command;
    EXPECT_THAT(ended.err, IsEmpty()) << command;
  }
}

TEST(ConfigCommand, ShowsEachValueAndWhereItCameFrom) {
  const auto file = std::filesystem::path(testing::TempDir()) / ("tallyd-" + std::to_string(::getpid()) + ".toml");
  std::ofstream(file) << "period = '1h'\n";
  const Ended ended = tallyd({"config", "show", "--config", file.string(), "--threads", "3", "--output", "json"},
                             {"TALLYD_FLUSH_INTERVAL=2s", "TALLYD_DATABASE_URL=postgresql://u:hunter2@h/d"});
  std::filesystem::remove(file);
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, Not(HasSubstr("hunter2")));
  std::map<std::string, std::string> shown;
  const auto json = boost::json::parse(ended.out);
  for (const auto& setting : json.at("settings").as_array())
    shown[setting.at("name").as_string().c_str()] =
        std::string(setting.at("value").as_string()) + " " + std::string(setting.at("where").as_string());
  EXPECT_EQ(shown["period"], "1h " + file.string() + ":1");
  EXPECT_EQ(shown["threads"], "3 --threads");
  EXPECT_EQ(shown["flush-interval"], "2s TALLYD_FLUSH_INTERVAL");
  EXPECT_EQ(shown["database-url"], "postgresql://u:***@h/d TALLYD_DATABASE_URL");
  EXPECT_EQ(shown["shutdown-timeout"], "30s ");
}

TEST(ConfigCommand, TakesRepeatedFlagsAndTheLastOfOthers) {
  const Ended ended =
      tallyd({"config", "show", "--listen", "127.0.0.1:1", "--listen=unix:/x", "--period", "3h", "--period", "2h"});
  EXPECT_THAT(ended.out, AllOf(HasSubstr("127.0.0.1:1,unix:/x"), HasSubstr("2h"), Not(HasSubstr("3h"))));
}

TEST(ConfigCommand, ChecksWithoutStarting) {
  EXPECT_EQ(tallyd({"config", "check"}).code, 0);
  const Ended bad = tallyd({"config", "check", "--listen", "0.0.0.0:1", "--output", "json"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_EQ(boost::json::parse(bad.out).at("ok"), boost::json::value(false));
}

TEST(ConfigCommand, NeverPrintsAPassword) {
  for (const char* command : {"check", "show"})
    for (const char* url :
         {"postgresql://u:hunter2@h/d", "host=h password=hunter2", "postgresql://u:hunter2@h/d?frob", "hunter2"}) {
      const Ended ended = tallyd({"config", command, "--database-url", url});
      EXPECT_THAT(ended.out + ended.err, Not(HasSubstr("hunter2"))) << command << " " << url;
    }
}

TEST(AuthzCommand, AnswersCasesFromAFile) {
  const auto file = std::filesystem::path(testing::TempDir()) / ("cases-" + std::to_string(::getpid()) + ".jsonl");
  std::ofstream(file)
      << R"({"name":"a","subject":{"id":"u","roles":["owner"],"scope":"coder:all"},"action":"read","object":{"type":"template"}})"
      << "\nnot json\n";
  const Ended ended = tallyd({"authz", "eval", file.string()});
  std::filesystem::remove(file);
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.out, HasSubstr(R"({"name":"a","allow":true})"));
  EXPECT_EQ(tallyd({"authz", "eval"}).code, 0) << "nothing on standard input is no case";
  EXPECT_EQ(tallyd({"authz", "eval", "/nonexistent"}).code, 1);
}

TEST(Command, FailsWhenItsAnswerCannotBeWritten) {
  const Ended ended = test::run_program({"/bin/sh", "-c", std::string(TALLYD_BINARY) + " config show >/dev/full"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.err, HasSubstr("could not be written"));
}

}  // namespace
}  // namespace tally::daemon::cli
