#include "daemon/units.hpp"

#include <gtest/gtest.h>

namespace tally::daemon {
namespace {

using namespace std::chrono_literals;

TEST(Duration, TakesEachUnitAndAPlainZero) {
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("1s"), 1s);
  EXPECT_EQ(parse_duration("30m"), 30min);
  EXPECT_EQ(parse_duration("24h"), 24h);
  EXPECT_EQ(parse_duration("35d"), 35 * 24h);
  EXPECT_EQ(parse_duration("0"), 0ms);
}

TEST(Duration, RefusesEverythingElse) {
  for (const char* text : {"", "1", "s", "-1s", "+1s", " 1s", "1s ", "1 s", "1S", "1w", "1us", "1.5s", "1h30m", "0x1s",
                           "99999999999999999999s", "36526d", "18446744073709551615d"})
    EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Duration, IsShownInTheLargestUnitThatDividesIt) {
  EXPECT_EQ(duration_text(0ms), "0");
  EXPECT_EQ(duration_text(1500ms), "1500ms");
  EXPECT_EQ(duration_text(90s), "90s");
  EXPECT_EQ(duration_text(17min), "17m");
  EXPECT_EQ(duration_text(24h), "24h");
  EXPECT_EQ(duration_text(48h), "2d");
}

TEST(Size, TakesEachUnitAndPlainBytes) {
  EXPECT_EQ(parse_size("4KiB"), 4096u);
  EXPECT_EQ(parse_size("16MiB"), 16u << 20);
  EXPECT_EQ(parse_size("1GiB"), 1u << 30);
  EXPECT_EQ(parse_size("123"), 123u);
}

TEST(Size, RefusesEverythingElse) {
  for (const char* text :
       {"", "GiB", "1GB", "1gib", "1 GiB", "-1MiB", "1.5GiB", "8589934592GiB", "18446744073709551616"})
    EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Size, IsShownInTheLargestUnitThatDividesIt) {
  EXPECT_EQ(size_text(1ULL << 30), "1GiB");
  EXPECT_EQ(size_text(1536ULL << 20), "1536MiB");
  EXPECT_EQ(size_text(1000), "1000");
}

}  // namespace
}  // namespace tally::daemon
