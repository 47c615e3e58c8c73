#include "systemd/watchdog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tally::systemd {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(Watchdog, NamesThePartThatStandsStill) {  // SD-3
  std::uint64_t loop = 0, flush = 0;
  const std::chrono::steady_clock::time_point start{};
  Watchdog watchdog({{"http 0", [&] { return loop; }, 10s}, {"flush", [&] { return flush; }, 20s}}, start);
  EXPECT_THAT(watchdog.stuck(start + 10s), IsEmpty());
  ++flush;
  EXPECT_THAT(watchdog.stuck(start + 11s), ElementsAre("http 0"));
  EXPECT_THAT(watchdog.stuck(start + 32s), ElementsAre("http 0", "flush"));
  ++loop;
  EXPECT_THAT(watchdog.stuck(start + 33s), ElementsAre("flush"));
  ++flush;
  EXPECT_THAT(watchdog.stuck(start + 34s), IsEmpty());
  EXPECT_THAT(watchdog.stuck(start + 44s), ElementsAre("http 0"));
}

}  // namespace
}  // namespace tally::systemd
