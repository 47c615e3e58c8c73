#include "daemon/config_sources.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace tally::daemon {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class TempDir {
 public:
  TempDir() {
    std::string name = testing::TempDir() + "tally-config-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::filesystem::path write(const std::string& name, std::string_view text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class Configuration : public testing::Test {
 protected:
  ConfigInputs with_file(std::string_view text) {
    ConfigInputs inputs;
    inputs.file = dir_.write("tallyd.toml", text);
    inputs.file_required = true;
    return inputs;
  }
  /// `file` in a text stands for the path of the file.
  std::vector<std::string> problems_of(const ConfigInputs& inputs) {
    try {
      LiveConfig config(inputs);
    } catch (const ConfigError& error) {
      std::vector<std::string> problems = error.problems();
      for (std::string& problem : problems)
        if (const auto at = problem.find(inputs.file.string()); at != problem.npos)
          problem.replace(at, inputs.file.string().size(), "file");
      return problems;
    }
    return {};
  }
  static SettingValue value(const LiveConfig& config, std::string_view name) {
    for (const SettingValue& value : config.values())
      if (value.name == name) return value;
    return {};
  }
  TempDir dir_;
};

TEST_F(Configuration, TakesFlagOverEnvironmentOverFileOverDefault) {
  auto inputs = with_file("flush-interval = \"2s\"\nperiod = \"2h\"\ndedup-window = '2h'\n");
  inputs.environment = {{"TALLYD_FLUSH_INTERVAL", "3s"}, {"TALLYD_PERIOD", "3h"}};
  inputs.flags = {{"flush-interval", {"4s"}}};
  const LiveConfig config(inputs);
  EXPECT_EQ(config.now().flush_interval, 4s);
  EXPECT_EQ(config.now().period, 3h);
  EXPECT_EQ(config.now().dedup_window, 2h);
  EXPECT_EQ(config.now().shutdown_timeout, 30s);
  EXPECT_EQ(value(config, "flush-interval").where, "--flush-interval");
  EXPECT_EQ(value(config, "period").where, "TALLYD_PERIOD");
  EXPECT_EQ(value(config, "dedup-window").where, inputs.file.string() + ":3");
  EXPECT_EQ(value(config, "shutdown-timeout").origin, Origin::by_default);
}

TEST_F(Configuration, TakesNumbersTruthsAndArraysFromTheFile) {
  const LiveConfig config(
      with_file("period = 0\nthreads = 3\ninsecure-http = true\nlisten = [\"0.0.0.0:1\", \"unix:/x\"]\n"));
  EXPECT_EQ(config.now().period, 0ms);
  EXPECT_EQ(config.now().threads, 3u);
  EXPECT_EQ(config.now().listen.size(), 2u);
  EXPECT_FALSE(config.now().listen_is_default);
}

TEST_F(Configuration, TakesSeveralListenersFromTheEnvironment) {
  ConfigInputs inputs;
  inputs.file = "/nonexistent/tallyd.toml";
  inputs.environment = {{"TALLYD_LISTEN", "127.0.0.1:1,[::1]:2"}};
  EXPECT_EQ(LiveConfig(inputs).now().listen.size(), 2u);
}

TEST_F(Configuration, DoesWithoutTheDefaultFileButNotWithoutANamedOne) {
  ConfigInputs inputs;
  inputs.file = dir_.path() / "missing.toml";
  EXPECT_THAT(problems_of(inputs), IsEmpty());
  inputs.file_required = true;
  EXPECT_THAT(problems_of(inputs), ElementsAre("file: cannot be read: No such file or directory"));
}

struct BadFile {
  std::string_view name;
  std::string_view text;
  std::string_view problem;
};
class BadConfiguration : public Configuration, public testing::WithParamInterface<BadFile> {};

TEST_P(BadConfiguration, IsAnsweredWithPlaceAndRemedy) {
  EXPECT_THAT(problems_of(with_file(GetParam().text)), ElementsAre(HasSubstr(GetParam().problem)));
}
INSTANTIATE_TEST_SUITE_P(
    Files, BadConfiguration,
    testing::Values(
        BadFile{"unknown_key", "\nflush-intervall = '1s'",
                "file:2: flush-intervall: unknown key: did you mean flush-interval?"},
        BadFile{"far_key", "colour = 'red'", "file:1: colour: unknown key; `tallyd config show` lists the known ones"},
        BadFile{"no_unit", "# x\nflush-interval = 30",
                "file:2: flush-interval: \"30\" is not right: write a number and ms, s, m, h or d"},
        BadFile{"table", "[http]\nlisten = '127.0.0.1:1'", "file:1: http: unknown key"},
        BadFile{"table_of_a_known_name", "[listen]\na = 1", "file:1: listen: keys stand alone, there are no tables"},
        BadFile{"array_for_one", "period = ['1h']", "file:1: period: takes one value: write it without brackets"},
        BadFile{"empty_array", "listen = []", "file:1: listen: the array is empty"},
        BadFile{"date", "period = 2024-01-01", "file:1: period: write the value in quotes"},
        BadFile{"twice", "period = '1h'\nperiod = '2h'", "file:2: not TOML:"},
        BadFile{"not_toml", "period\n", "file:1: not TOML:"},
        BadFile{"not_utf8", "period = '\xff'", "file:1: not TOML:"},
        BadFile{"control_bytes", "period = \"\\u001b[2J\"", "file:1: period: \"?[2J\" is not right"},
        BadFile{"open_to_the_world", "listen = '0.0.0.0:80'",
                "0.0.0.0:80: plain HTTP is served on loopback and Unix sockets only"},
        BadFile{"metrics_open", "metrics-listen = '[::]:80'", "[::]:80: plain HTTP is served"},
        BadFile{"half_tls", "tls-cert = '/x'", "--tls-cert and --tls-key belong together"},
        BadFile{"two_urls", "database-url = 'host=x'\ndatabase-url-file = '/x'", "both given: leave one out"},
        BadFile{"bad_url", "database-url = 'postgresql://u:hunter2@h/d?frob=1'",
                "libpq cannot read the database URL postgresql://u:***@h/d?frob=1"}),
    [](const auto& bad) { return std::string(bad.param.name); });

TEST_F(Configuration, NamesEveryProblemAtOnce) {
  auto inputs = with_file("perio = '1h'\nthreads = 'many'");
  inputs.environment = {{"TALLYD_FLUSH_INTERVAL", "soon"}};
  inputs.flags = {{"journal-sync", {"sometimes"}}};
  EXPECT_THAT(problems_of(inputs),
              testing::UnorderedElementsAre(HasSubstr("file:1: perio"), HasSubstr("file:2: threads"),
                                            HasSubstr("TALLYD_FLUSH_INTERVAL: \"soon\""),
                                            HasSubstr("--journal-sync: \"sometimes\"")));
}

TEST_F(Configuration, NeverQuotesTheDatabasePassword) {
  for (const char* url :
       {"postgresql://u:hunter2@h/d?frob", "password=hunter2 hots=h", "host=h password='hunter2", "hunter2"}) {
    ConfigInputs inputs = with_file("");
    inputs.flags = {{"database-url", {url}}};
    const auto problems = problems_of(inputs);
    ASSERT_EQ(problems.size(), 1u) << url;
    EXPECT_THAT(problems[0], Not(HasSubstr("hunter2")));
  }
}

TEST_F(Configuration, ReadsTheDatabaseUrlFromItsFile) {
  auto inputs = with_file("");
  inputs.flags = {{"database-url-file", {dir_.write("url", "postgresql://u:hunter2@h/d\n").string()}}};
  const LiveConfig config(inputs);
  EXPECT_EQ(config.now().database_url, "postgresql://u:hunter2@h/d");
  EXPECT_EQ(value(config, "database-url").text, "postgresql://u:***@h/d");
  EXPECT_EQ(value(config, "database-url").where, "--database-url-file");
}

TEST_F(Configuration, PrefersTheDatabaseFormFromTheStrongerSource) {
  auto inputs = with_file("database-url-file = '/nonexistent'");
  inputs.environment = {{"TALLYD_DATABASE_URL", "host=x"}};
  EXPECT_EQ(LiveConfig(inputs).now().database_url, "host=x");

  inputs = with_file("database-url = 'host=x'");
  inputs.environment = {{"TALLYD_DATABASE_URL_FILE", dir_.write("url", "host=y").string()}};
  EXPECT_EQ(LiveConfig(inputs).now().database_url, "host=y");
}

TEST_F(Configuration, TakesCredentialsOfTheServiceWhereNothingElseIsSaid) {
  dir_.write("database-url", "host=from-credential");
  auto inputs = with_file("");
  inputs.credentials = dir_.path();
  EXPECT_EQ(LiveConfig(inputs).now().database_url, "host=from-credential");
  inputs.flags = {{"database-url", {"host=from-flag"}}};
  EXPECT_EQ(LiveConfig(inputs).now().database_url, "host=from-flag");
}

TEST_F(Configuration, WarnsOfAPasswordInTheArguments) {
  auto inputs = with_file("");
  inputs.flags = {{"database-url", {"postgresql://u:hunter2@h/d"}}};
  EXPECT_THAT(LiveConfig(inputs).warnings(), ElementsAre(HasSubstr("use --database-url-file")));
  inputs.flags = {{"database-url", {"postgresql://u@h/d"}}};
  EXPECT_THAT(LiveConfig(inputs).warnings(), IsEmpty());
}

TEST_F(Configuration, WarnsOfAVariableThatLooksLikeASlip) {
  auto inputs = with_file("");
  inputs.environment = {{"TALLYD_FLUSH_INTERVALL", "1s"}, {"TALLYD_SERVICE_HOST", "10.0.0.1"}};
  EXPECT_THAT(LiveConfig(inputs).warnings(),
              ElementsAre("TALLYD_FLUSH_INTERVALL is not a setting: did you mean TALLYD_FLUSH_INTERVAL?"));
}

TEST_F(Configuration, ReloadsWhatCanChangeAndNamesWhatCannot) {
  const auto inputs = with_file("log-level = 'info'\nflush-interval = '1s'\nperiod = '1h'\n");
  LiveConfig config(inputs);
  dir_.write("tallyd.toml", "log-level = 'debug'\nflush-interval = '1000ms'\nperiod = '2h'\n");
  const Reloaded reloaded = config.reload();
  EXPECT_THAT(reloaded.changed, ElementsAre("log-level"));
  EXPECT_THAT(reloaded.needs_restart, ElementsAre("period"));
  EXPECT_EQ(config.now().log_level, LogLevel::debug);
  EXPECT_EQ(config.now().period, 1h);
  EXPECT_EQ(value(config, "period").text, "1h");
  EXPECT_EQ(value(config, "flush-interval").text, "1s");
}

TEST_F(Configuration, KeepsWhatRunsWhenTheReReadFileIsBad) {
  const auto inputs = with_file("log-level = 'info'\n");
  LiveConfig config(inputs);
  dir_.write("tallyd.toml", "log-level = 'debug'\nthreads = 'many'\n");
  EXPECT_THROW(config.reload(), ConfigError);
  EXPECT_EQ(config.now().log_level, LogLevel::info);
}

TEST_F(Configuration, CannotTurnTlsOnOrOffByAReload) {
  LiveConfig config(with_file("tls-cert = '/c'\ntls-key = '/k'\nlisten = '0.0.0.0:1'"));
  dir_.write("tallyd.toml", "listen = '127.0.0.1:1'");
  const Reloaded reloaded = config.reload();
  EXPECT_THAT(reloaded.needs_restart, ElementsAre("listen", "tls-cert", "tls-key"));
  EXPECT_EQ(config.now().tls_cert, "/c");
}

struct Url {
  std::string_view given;
  std::string_view shown;
};
class MaskedUrl : public testing::TestWithParam<Url> {};
TEST_P(MaskedUrl, ShowsNoPassword) {
  EXPECT_EQ(mask_database_url(GetParam().given), GetParam().shown);
}
INSTANTIATE_TEST_SUITE_P(Forms, MaskedUrl,
                         testing::Values(Url{"", ""}, Url{"postgresql://h/d", "postgresql://h/d"},
                                         Url{"postgresql://u@h:5432/d", "postgresql://u@h:5432/d"},
                                         Url{"postgresql://u:pw@h/d", "postgresql://u:***@h/d"},
                                         Url{"postgres://u:p@w/x?y@h/d", "postgres://u:***@h/d"},
                                         Url{"postgresql://h/d?user=u&password=pw&sslmode=require",
                                             "postgresql://h/d?user=u&password=***&sslmode=require"},
                                         Url{"postgresql://h/d?pass%77ord=pw", "postgresql://h/d?pass%77ord=***"},
                                         Url{"postgresql://u:a=b@h/d", "postgresql://u:***@h/d"},
                                         Url{"host=h password=pw dbname=d", "host=h password=*** dbname=d"},
                                         Url{"host=h password = 'p w\\' x' dbname=d", "host=h password=*** dbname=d"},
                                         Url{"host=h password=p\\ w dbname=d", "host=h password=*** dbname=d"},
                                         Url{"password=a://b", "password=***"},
                                         Url{"host=h sslpassword=pw", "host=h sslpassword=***"},
                                         Url{"host=h 'pw", "***"}, Url{"host=h password='pw", "***"},
                                         Url{"pw", "***"}));

}  // namespace
}  // namespace tally::daemon
