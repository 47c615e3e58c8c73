#include "daemon/settings.hpp"

#include <gtest/gtest.h>

#include <set>

#include "daemon/config_sources.hpp"

namespace tally::daemon {
namespace {

TEST(Settings, AreEachDeclaredOnceAndCompletely) {
  std::set<std::string_view> names;
  for (const Setting& setting : settings()) {
    SCOPED_TRACE(setting.name);
    EXPECT_TRUE(names.insert(setting.name).second);
    EXPECT_EQ(setting.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-"), setting.name.npos);
    EXPECT_FALSE(setting.meaning.empty());
    EXPECT_NE(setting.meaning.back(), '.');
    EXPECT_TRUE(setting.parse && setting.show && setting.take);
  }
}

TEST(Settings, HaveTheDefaultsOfTheManual) {
  const Config config = default_config();
  const std::pair<std::string_view, std::string_view> expected[] = {{"database-url", ""},
                                                                    {"state-dir", "/var/lib/tallyd"},
                                                                    {"listen", "127.0.0.1:7290"},
                                                                    {"metrics-listen", ""},
                                                                    {"flush-interval", "1s"},
                                                                    {"period", "30m"},
                                                                    {"report-url", ""},
                                                                    {"publish-url", ""},
                                                                    {"publish-interval", "17m"},
                                                                    {"publish-timeout", "5s"},
                                                                    {"dedup-window", "1h"},
                                                                    {"connection-timeout", "0"},
                                                                    {"connection-log-sink", "postgres"},
                                                                    {"rate-limit", "off"},
                                                                    {"max-connections", "4096"},
                                                                    {"max-connections-per-peer", "1024"},
                                                                    {"insecure-http", "false"},
                                                                    {"journal-sync", "always"},
                                                                    {"journal-max-bytes", "1GiB"},
                                                                    {"journal-retention", "24h"},
                                                                    {"retention-connection-log", "0"},
                                                                    {"retention-reports", "0"},
                                                                    {"retention-usage-events", "0"},
                                                                    {"retention-ids", "35d"},
                                                                    {"retention-tokens", "30d"},
                                                                    {"tls-cert", ""},
                                                                    {"log-level", "info"},
                                                                    {"log-format", "auto"},
                                                                    {"shutdown-timeout", "30s"},
                                                                    {"collector-dedup-window", "30d"}};
  for (const auto& [name, text] : expected) {
    const Setting* setting = find_setting(name);
    ASSERT_NE(setting, nullptr) << name;
    EXPECT_EQ(setting->show(config), text) << name;
  }
}

TEST(Settings, ShowWhatTheyWouldReadAgain) {
  const Config config = default_config();
  for (const Setting& setting : settings()) {
    const std::string shown = setting.show(config);
    if (shown.empty()) continue;
    Config again = config;
    EXPECT_EQ(setting.parse(again, std::span(&shown, 1)), std::nullopt) << setting.name;
    EXPECT_EQ(setting.show(again), shown) << setting.name;
  }
}

TEST(Settings, HaveNamesInTheEnvironment) {
  EXPECT_EQ(environment_name(*find_setting("flush-interval")), "TALLYD_FLUSH_INTERVAL");
}

struct Slip {
  std::string_view written;
  std::optional<std::string_view> meant;
};
class NearestSetting : public testing::TestWithParam<Slip> {};

TEST_P(NearestSetting, IsOfferedOnlyWhenNear) {
  EXPECT_EQ(nearest_setting(GetParam().written), GetParam().meant);
}
INSTANTIATE_TEST_SUITE_P(Slips, NearestSetting,
                         testing::Values(Slip{"flush-intervall", "flush-interval"},
                                         Slip{"flush_interval", "flush-interval"}, Slip{"LISTEN", "listen"},
                                         Slip{"databse-url", "database-url"}, Slip{"frobnicate", std::nullopt},
                                         Slip{"", std::nullopt}));

struct Value {
  std::string_view setting;
  std::string text;
  bool right;
};
class SettingValues : public testing::TestWithParam<Value> {};

TEST_P(SettingValues, AreHeldToTheirBounds) {
  const auto& [name, text, right] = GetParam();
  const Setting& setting = *find_setting(name);
  Config config = default_config();
  const std::string before = setting.show(config);
  EXPECT_EQ(!setting.parse(config, std::span(&text, 1)).has_value(), right);
  if (!right) {
    EXPECT_EQ(setting.show(config), before);
  }
}
INSTANTIATE_TEST_SUITE_P(
    Bounds, SettingValues,
    testing::Values(
        Value{"flush-interval", "50ms", true}, Value{"flush-interval", "0", false},
        Value{"flush-interval", "2h", false}, Value{"period", "0", true}, Value{"period", "1ms", false},
        Value{"publish-timeout", "14s", true}, Value{"publish-timeout", "15s", false}, Value{"threads", "cores", true},
        Value{"threads", "0", false}, Value{"threads", "4", true}, Value{"threads", "4x", false},
        Value{"threads", "-1", false}, Value{"rate-limit", "off", true}, Value{"rate-limit", "100", true},
        Value{"rate-limit", "0", false}, Value{"journal-sync", "10ms", true}, Value{"journal-sync", "0", false},
        Value{"journal-sync", "sometimes", false}, Value{"journal-max-bytes", "1KiB", false},
        Value{"journal-max-bytes", "64MiB", true}, Value{"listen", "127.0.0.1:0", true},
        Value{"listen", "[::1]:7290", true}, Value{"listen", "localhost:80", true},
        Value{"listen", "unix:/run/t.sock", true}, Value{"listen", "unix:t.sock", false},
        Value{"listen", "unix:/" + std::string(120, 'x'), false}, Value{"listen", "7290", false},
        Value{"listen", ":7290", false}, Value{"listen", "::1:7290", false}, Value{"listen", "example.org:80", false},
        Value{"listen", "127.0.0.1:65536", false}, Value{"listen", std::string("127.0.0.1\0:1", 12), false},
        Value{"report-url", "https://c.example/r", true}, Value{"report-url", "https://u:p@c.example/r", false},
        Value{"report-url", "ftp://c.example", false}, Value{"report-url", "https:///r", false},
        Value{"report-url", "https://c.example/\r\nX: y", false}, Value{"log-level", "trace", false},
        Value{"log-level", "debug", true}, Value{"insecure-http", "1", false}, Value{"insecure-http", "true", true},
        Value{"tls-cert", "", false}));

TEST(Endpoints, KnowWhichAreLocal) {
  EXPECT_TRUE(is_local(*parse_endpoint("127.8.9.1:1")));
  EXPECT_TRUE(is_local(*parse_endpoint("[::1]:1")));
  EXPECT_TRUE(is_local(*parse_endpoint("unix:/x")));
  EXPECT_FALSE(is_local(*parse_endpoint("0.0.0.0:1")));
  EXPECT_FALSE(is_local(*parse_endpoint("[::]:1")));
  EXPECT_FALSE(is_local(*parse_endpoint("[::ffff:127.0.0.1]:1")));
  EXPECT_FALSE(is_local(*parse_endpoint("192.0.2.1:1")));
}

}  // namespace
}  // namespace tally::daemon
