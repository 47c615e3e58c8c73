#include "daemon/cli/table.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "daemon/cli/chart.hpp"

namespace tally::daemon::cli {
namespace {

TEST(Table, AlignsItsColumns) {
  Table table{"NAME", ">COUNT", "NOTE"};
  table.add({"a", "5", ""});
  table.add({"żółw", "1234567", "x"});
  std::ostringstream out;
  table.print(out);
  EXPECT_EQ(out.str(), "NAME    COUNT  NOTE\na           5\nżółw  1234567  x\n");
}

TEST(Table, LetsNoStoredTextCommandTheTerminal) {
  EXPECT_EQ(printable("a\x1b[2Jb\n\x7f"), "a\\x1b[2Jb\\x0a\\x7f");
  EXPECT_EQ(printable("\u009b2J"), "\\x9b2J");
  EXPECT_EQ(printable("źdźbło ü"), "źdźbło ü");
}

TEST(Chart, DrawsTheLargestFullAndNothingThatIsSomethingAsNothing) {
  std::ostringstream out;
  print_chart(out, {{"1", "0"}, {"10", "1"}, {"11", "500"}, {"12", "1000"}}, 2);
  EXPECT_EQ(out.str(), "1   0\n10  ▏ 1\n11  █ 500\n12  ██ 1000\n");
}

TEST(Chart, OfNothingIsNothingAndTakesSumsOfAnyLength) {
  std::ostringstream out;
  print_chart(out, {}, 10);
  print_chart(out, {{"a", "0"}}, 10);
  print_chart(out, {{"a", "340282366920938463463374607431768211455"}}, 1);
  EXPECT_EQ(out.str(), "a  0\na  █ 340282366920938463463374607431768211455\n");
}

TEST(Times, AreShownInUtc) {
  EXPECT_EQ(time_text(1'709'208'000'007'000), "2024-02-29 12:00:00Z");
  EXPECT_EQ(rfc3339(1'709'208'000'007'000), "2024-02-29T12:00:00.007Z");
  EXPECT_EQ(rfc3339(-1), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace tally::daemon::cli
