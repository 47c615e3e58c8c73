#include "daemon/jobs.hpp"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.hpp"

namespace tally::daemon {
namespace {

using namespace std::chrono_literals;

struct JobsTest : testing::Test {
  test::FakeClock clock;
  std::uint64_t flushed = 0;
  std::size_t told = 99;
  Jobs jobs{{{"flush", [this] { return flushed; }, 10s}, {"never started", [] { return 0u; }, 60s}},
            clock,
            [this](std::size_t stalled) { told = stalled; }};
};

TEST_F(JobsTest, OneThatWasNeverStartedIsNamedOnceItsTimeIsOver_UP14) {
  clock.advance(60s);
  ++flushed;
  EXPECT_EQ(jobs.stalled(), "");
  EXPECT_EQ(told, 0u);
  clock.advance(1s);
  EXPECT_EQ(jobs.stalled(), "never started");
  EXPECT_EQ(told, 1u);
}

TEST_F(JobsTest, OneThatStopsIsNamedAndForgottenWhenItGoesOn) {
  ++flushed;
  EXPECT_EQ(jobs.stalled(), "");
  clock.advance(11s);
  EXPECT_EQ(jobs.stalled(), "flush");
  ++flushed;
  EXPECT_EQ(jobs.stalled(), "");
}

}  // namespace
}  // namespace tally::daemon
