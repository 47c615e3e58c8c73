#include "db/sqlstate.hpp"

#include <gtest/gtest.h>

#include "db/detail/backoff.hpp"

namespace tally::db {
namespace {

using tracker::Errc;

struct StateCase {
  std::string_view name;
  std::string_view sqlstate;
  bool sent;
  Errc expected;
};

class Classify : public testing::TestWithParam<StateCase> {};

TEST_P(Classify, SaysWhatTheCallerMayConclude) {
  EXPECT_EQ(classify(GetParam().sqlstate, GetParam().sent), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(Sqlstate, Classify,
                         testing::Values(StateCase{"lost_before_sending", "", false, Errc::store_unavailable},
                                         StateCase{"lost_after_sending", "", true, Errc::outcome_unknown},
                                         StateCase{"connection_failure", "08006", true, Errc::outcome_unknown},
                                         StateCase{"pooler_is_full", "08P01", false, Errc::store_unavailable},
                                         StateCase{"killed", "57P01", true, Errc::outcome_unknown},
                                         StateCase{"crashed", "57P02", true, Errc::outcome_unknown},
                                         StateCase{"starting_up", "57P03", false, Errc::store_unavailable},
                                         StateCase{"completion_unknown", "40003", true, Errc::outcome_unknown},
                                         StateCase{"serialization_failure", "40001", true, Errc::serialization},
                                         StateCase{"deadlock", "40P01", true, Errc::serialization},
                                         StateCase{"lock_timeout", "55P03", true, Errc::serialization},
                                         StateCase{"statement_timeout", "57014", true, Errc::serialization},
                                         StateCase{"numeric_overflow", "22003", true, Errc::data_refused},
                                         StateCase{"check_violation", "23514", true, Errc::data_refused},
                                         StateCase{"array_too_large", "54000", true, Errc::data_refused},
                                         StateCase{"read_only", "25006", true, Errc::store_refuses},
                                         StateCase{"disk_full", "53100", true, Errc::store_refuses},
                                         StateCase{"too_many_connections", "53300", false, Errc::store_unavailable},
                                         StateCase{"no_rights", "42501", true, Errc::store_refuses},
                                         StateCase{"no_table", "42P01", true, Errc::store_refuses},
                                         StateCase{"wrong_password", "28P01", false, Errc::store_refuses},
                                         StateCase{"internal", "XX000", true, Errc::store_refuses}),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(EndsConnection, AfterTheServerWentAwayOrStoppedTakingWrites) {
  for (std::string_view state : {"", "57P01", "08006", "25006", "53100", "XX000"})
    EXPECT_TRUE(ends_connection(state)) << state;
  for (std::string_view state : {"40001", "23505", "42P01", "57014"}) EXPECT_FALSE(ends_connection(state)) << state;
}

TEST(Backoff, DoublesItsBoundUpToTheLongestAndStartsOverAfterASuccess) {
  using namespace std::chrono_literals;
  detail::Backoff backoff(200ms, 30s);
  constexpr double kAlmostOne = 0.999999;
  EXPECT_LE(backoff.failed(kAlmostOne), 200ms);
  EXPECT_LE(backoff.failed(kAlmostOne), 400ms);
  const auto third = backoff.failed(kAlmostOne);
  EXPECT_GT(third, 400ms);
  EXPECT_LE(third, 800ms);
  for (int i = 0; i < 100; ++i) EXPECT_LE(backoff.failed(kAlmostOne), 30s);
  EXPECT_LE(backoff.failed(0.0), 1ms) << "full jitter reaches down to nothing";
  backoff.succeeded();
  EXPECT_LE(backoff.failed(kAlmostOne), 200ms);
}

}  // namespace
}  // namespace tally::db
