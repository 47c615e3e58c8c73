#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "tests/support/run_program.hpp"

namespace tally::systemd {
namespace {

using testing::HasSubstr;
using testing::Not;

/// The shipped units as they lie when installed, some with drop-ins.
class Units : public testing::Test {
 protected:
  Units() {
    std::string name = testing::TempDir() + "tally-units-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    for (const char* unit : {"tallyd.service", "tallyd.socket"})
      std::filesystem::copy(std::filesystem::path(UNITS_DIRECTORY) / unit, directory_);
  }
  ~Units() override { std::filesystem::remove_all(directory_); }

  void add_drop_in(const char* name) {
    std::filesystem::create_directory(directory_ / "tallyd.service.d");
    std::filesystem::copy(std::filesystem::path(UNITS_DIRECTORY) / name, directory_ / "tallyd.service.d");
  }
  test::Ended analyze(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "/usr/bin/systemd-analyze");
    arguments.push_back(directory_ / "tallyd.service");
    return test::run_program(arguments, {"LC_ALL=C.UTF-8", "SYSTEMD_COLORS=0"});
  }
  double exposure() const {
    const std::string out = analyze({"security", "--offline=true", "--no-pager"}).out;
    std::smatch found;
    EXPECT_TRUE(std::regex_search(out, found, std::regex("Overall exposure level for tallyd.service: ([0-9.]+)")))
        << out;
    return found.empty() ? 10 : std::stod(found[1]);
  }
  std::filesystem::path directory_;
};

TEST_F(Units, AreExposedAtMostAsPromised) {
  EXPECT_LE(exposure(), 1.2);
}

TEST_F(Units, AreExposedLessWhenLocalOnly) {
  add_drop_in("local-only.conf");
  EXPECT_LE(exposure(), 0.9);
}

TEST_F(Units, HoldNothingThatThisSystemdIgnores) {  // SD-1
  const test::Ended ended = analyze({"verify"});
  EXPECT_THAT(ended.err, Not(HasSubstr("ignoring"))) << ended.err;
  EXPECT_THAT(ended.err, Not(HasSubstr("Unknown"))) << ended.err;
  std::ifstream file(directory_ / "tallyd.service");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  EXPECT_THAT(text, HasSubstr("Type=notify\n"));
  EXPECT_THAT(text, HasSubstr("WatchdogSec="));
}

}  // namespace
}  // namespace tally::systemd
