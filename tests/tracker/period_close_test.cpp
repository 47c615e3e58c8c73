#include "tracker/period_close.hpp"

#include <gtest/gtest.h>

#include "tests/support/payloads.hpp"

namespace tally::tracker {
namespace {

using Do = PeriodClose::Do;

TEST(PeriodClose, WithoutANameClosesTheOpenPeriodAndSumsItAfterwards) {
  PeriodClose close(std::nullopt, test::id(1));
  ASSERT_EQ(close.next(), Do::read_clock);
  close.clock(7);
  ASSERT_EQ(close.next(), Do::close);
  EXPECT_EQ(close.period(), 7);
  close.closed(true);
  ASSERT_EQ(close.next(), Do::report);
  close.summed(Report{.period = 7});
  EXPECT_EQ(close.next(), Do::done);
  EXPECT_TRUE(close.moved());
}

TEST(PeriodClose, AfterALostAnswerRepeatsTheSamePeriodAndRequest) {  // M7
  PeriodClose close(std::nullopt, test::id(1));
  close.clock(7);
  close.failed(Errc::outcome_unknown);
  ASSERT_EQ(close.next(), Do::close);
  EXPECT_EQ(close.period(), 7) << "never the period that is open by now";
  EXPECT_EQ(close.request(), test::id(1));
}

TEST(PeriodClose, ALostSumIsSummedAgain) {
  PeriodClose close(7, test::id(1));
  close.closed(false);
  close.failed(Errc::outcome_unknown);
  EXPECT_EQ(close.next(), Do::report);
  EXPECT_FALSE(close.moved());
}

TEST(PeriodClose, RefusesAPeriodThatIsNeitherOpenNorClosed) {
  PeriodClose close(99, test::id(1));
  ASSERT_EQ(close.next(), Do::close);
  close.failed(Errc::conflict);
  EXPECT_EQ(close.next(), Do::refused);
}

}  // namespace
}  // namespace tally::tracker
