#include "daemon/log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <thread>

namespace tally::daemon::log {
namespace {

using namespace std::chrono_literals;

const tracker::WallTime kNoon{std::chrono::sys_days{std::chrono::year{2024} / 2 / 29} + 12h + 7ms};

TEST(JsonLine, IsOneObjectWithTimeLevelMessageAndFields) {
  EXPECT_EQ(
      format_json(kNoon, LogLevel::info, "flushed",
                  {{"records", 3u}, {"took_ms", 5ms}, {"stream", "ab"}, {"ok", true}}),
      R"({"ts":"2024-02-29T12:00:00.007Z","level":"info","msg":"flushed","records":3,"took_ms":5,"stream":"ab","ok":true})");
}

TEST(JsonLine, KeepsNumbersWhole) {
  EXPECT_EQ(boost::json::parse(format_json(kNoon, LogLevel::info, "x", {{"n", UINT64_MAX}})).at("n").as_uint64(),
            UINT64_MAX);
  EXPECT_EQ(boost::json::parse(format_json(kNoon, LogLevel::info, "x", {{"n", INT64_MIN}})).at("n").as_int64(),
            INT64_MIN);
  EXPECT_TRUE(boost::json::parse(format_json(kNoon, LogLevel::info, "x", {{"n", NAN}})).at("n").is_null());
}

TEST(JsonLine, HoldsEveryByteSafely) {
  for (int first = 0; first < 256; ++first)
    for (int second = 0; second < 256; ++second) {
      const std::string value{'<', static_cast<char>(first), static_cast<char>(second), '>'};
      const std::string line = format_json(kNoon, LogLevel::warn, "m", {{"v", value}});
      boost::system::error_code error;
      const auto parsed = boost::json::parse(line, error);
      ASSERT_FALSE(error) << line;
      ASSERT_EQ(parsed.as_object().size(), 4u);
      for (const unsigned char c : line) ASSERT_TRUE(c >= 0x20 && c != 0x7f) << first << " " << second;
      if (first >= 0x20 && first < 0x7f && second >= 0x20 && second < 0x7f) {
        ASSERT_EQ(parsed.at("v").as_string(), value);
      }
    }
}

TEST(JsonLine, KeepsGoodUnicodeAndReplacesBad) {
  const auto shown = [](std::string_view value) {
    const auto line = boost::json::parse(format_json(kNoon, LogLevel::info, "m", {{"v", value}}));
    return std::string(line.at("v").as_string());
  };
  EXPECT_EQ(shown("zażółć 🧮"), "zażółć 🧮");
  EXPECT_EQ(shown("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");  // a surrogate
  EXPECT_EQ(shown("\xc0\xaf"), "\ufffd\ufffd");            // overlong
  EXPECT_EQ(shown("a\u2028b\u009b"), "a\ufffdb\ufffd");
}

TEST(JsonLine, CutsWhatIsTooLong) {
  EXPECT_LT(format_json(kNoon, LogLevel::info, "m", {{"v", std::string(1 << 20, 'x')}}).size(), 5000u);
}

TEST(JsonLine, HoldsJsonAsItIsButForWhatIsUnsafe) {
  const auto line = [](std::string_view json) { return format_json(kNoon, LogLevel::info, "m", {{"v", Json{json}}}); };
  EXPECT_TRUE(line(R"({"a": [1, "é"], "b": null})").ends_with(R"("v":{"a": [1, "é"], "b": null}})"));
  EXPECT_TRUE(line("").ends_with(R"("v":null})"));
  const auto hostile = boost::json::parse(line("{\"a\": \"x\u2028y\u009bz\x7f\xff\"}"));
  EXPECT_EQ(hostile.at("v").at("a").as_string(), "x\ufffdy\ufffdz\x7f\ufffd");
  const std::string list = "[\"" + std::string(30 * 1024, 'x') + "\"]";
  EXPECT_TRUE(boost::json::parse(line(list)).at("v").is_array()) << "what an audit line may hold";
  const std::string cut = line("[\"" + std::string(1 << 20, 'x') + "\"]");
  EXPECT_TRUE(boost::json::parse(cut).at("v").is_string());
  EXPECT_LT(cut.size(), 5000u);
  EXPECT_TRUE(format_text(kNoon, LogLevel::info, "m", {{"v", Json{R"({"a": 1})"}}}).ends_with(R"(  v={"a": 1})"));
}

TEST(TextLine, QuotesWhatIsNotPlain) {
  EXPECT_EQ(format_text(kNoon, LogLevel::error, "flush failed", {{"stream", "ab-1"}, {"error", "no \x1b[2J route\n"}}),
            "2024-02-29T12:00:00.007Z error flush failed  stream=ab-1  error=\"no \\u001b[2J route\\n\"");
}

/// Catches what is written to stderr.
class Captured {
 public:
  Captured() : saved_(::dup(STDERR_FILENO)), file_(::tmpfile()) { ::dup2(::fileno(file_), STDERR_FILENO); }
  ~Captured() { give_back(); }
  std::string text() {
    give_back();
    std::string all(static_cast<std::size_t>(::lseek(::fileno(file_), 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(::fileno(file_), all.data(), all.size(), 0), static_cast<ssize_t>(all.size()));
    return all;
  }

 private:
  void give_back() {
    if (saved_ >= 0) ::dup2(saved_, STDERR_FILENO), ::close(std::exchange(saved_, -1));
  }
  int saved_;
  FILE* file_;
};

TEST(Log, WritesWholeLinesFromManyThreadsInOrderOfEach) {
  const tracker::SystemClock clock;
  Captured captured;
  {
    const Scope scope(LogLevel::info, LogFormat::json, clock);
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([t] {
        for (int i = 0; i < 200; ++i) info("counted", {{"thread", t}, {"i", i}});
      });
  }
  std::vector<int> next(4, 0);
  std::istringstream lines(captured.text());
  for (std::string line; std::getline(lines, line);) {
    const auto parsed = boost::json::parse(line);
    EXPECT_EQ(parsed.at("i").as_int64(), next[static_cast<std::size_t>(parsed.at("thread").as_int64())]++);
  }
  EXPECT_EQ(next, (std::vector{200, 200, 200, 200}));
}

TEST(Log, LeavesOutWhatIsBelowItsLevelButNeverAnAuditLine) {
  const tracker::SystemClock clock;
  Captured captured;
  {
    const Scope scope(LogLevel::error, LogFormat::json, clock);
    warn("unseen");
    audit("token created", {{"id", "x"}});
    set_level(LogLevel::debug);
    debug("seen");
  }
  set_level(LogLevel::info);
  const std::string text = captured.text();
  EXPECT_EQ(text.find("unseen"), text.npos);
  EXPECT_NE(text.find(R"("msg":"token created","audit":true,"id":"x")"), text.npos);
  EXPECT_NE(text.find(R"("level":"debug","msg":"seen")"), text.npos);
}

TEST(Log, WritesAnEventWhateverItsLevel) {
  const tracker::SystemClock clock;
  Captured captured;
  {
    const Scope scope(LogLevel::error, LogFormat::json, clock);
    info("unseen");
    event("connection_log", std::vector<Field>{{"code", 0}});
  }
  set_level(LogLevel::info);
  const std::string text = captured.text();
  EXPECT_EQ(text.find("unseen"), text.npos);
  EXPECT_NE(text.find(R"("level":"info","msg":"connection_log","code":0})"), text.npos);
}

/// A running log whose reader does not read until `stop_and_read`.
class StalledLog {
 public:
  StalledLog() {
    EXPECT_EQ(::pipe2(pipe_, O_CLOEXEC), 0);
    saved_ = ::dup(STDERR_FILENO);
    ::dup2(pipe_[1], STDERR_FILENO);
    start(LogLevel::info, LogFormat::json, clock_);
  }
  /// Everything that was written.
  std::string stop_and_read() {
    std::string text;
    std::thread reader([&] {
      char buffer[65536];
      for (ssize_t got = 0; (got = ::read(pipe_[0], buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(got));
    });
    stop();
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
    ::close(pipe_[1]);
    reader.join();
    ::close(pipe_[0]);
    return text;
  }

 private:
  const tracker::SystemClock clock_;
  int pipe_[2] = {};
  int saved_ = -1;
};

TEST(Log, LosesNoOtherLineToAFloodOfEvents) {
  StalledLog stalled;
  const std::vector<Field> fields{{"reason", "a line of an event that fills the pipe and then its queue"}};
  for (int i = 0; i < 40'000; ++i) event("connection_log", fields);
  audit("token revoked", {{"id", "x"}});
  EXPECT_EQ(dropped(), 0u);
  EXPECT_GT(events_dropped(), 0u);
  EXPECT_NE(stalled.stop_and_read().find(R"("msg":"token revoked","audit":true)"), std::string::npos);
}

TEST(Log, NeverWaitsForAReaderThatStopped) {
  StalledLog stalled;
  for (int i = 0; i < 20'000; ++i) info("a line that fills the pipe and then the queue", {{"i", i}});
  const auto lost = dropped();
  stalled.stop_and_read();
  EXPECT_GT(lost, 0u);
}

TEST(Throttle, LetsOneThroughPerIntervalAndCountsTheRest) {
  Throttle throttle(10s);
  const tracker::SteadyTime start{1h};
  EXPECT_EQ(throttle.admit(start), 0u);
  EXPECT_EQ(throttle.admit(start + 1s), std::nullopt);
  EXPECT_EQ(throttle.admit(start + 9s), std::nullopt);
  EXPECT_EQ(throttle.admit(start + 10s), 2u);
  EXPECT_EQ(throttle.admit(start + 11s), std::nullopt);
}

}  // namespace
}  // namespace tally::daemon::log
