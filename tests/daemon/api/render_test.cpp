#include "daemon/api/render.hpp"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tally::daemon::api {
namespace {

TEST(Render, TimesAreRfc3339InUtcWithMicroseconds) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(rfc3339(1'763'776'869'012'345), "2025-11-22T02:01:09.012345Z");
  EXPECT_EQ(rfc3339(-1), "1969-12-31T23:59:59.999999Z");
}

TEST(Render, AReportHasTheDocumentedMembersAndKeepsLargeSumsWhole) {
  tracker::Report report;
  report.period = 42;
  report.cluster_id = "c42fdf75-3097-471c-8c33-fb52454d81c0";
  report.allowed = "45035996273704955000";
  report.denied = "0";
  report.late_increments = "0";
  const std::string text = to_json(report);
  EXPECT_NE(text.find(R"("allowed_requests":45035996273704955000)"), std::string::npos);
  const auto object = boost::json::parse(text).as_object();
  for (const char* member :
       {"period", "started_at", "ended_at", "replicas", "allowed_requests", "denied_requests", "unique_workspaces",
        "unique_users", "late_increments", "discarded", "cluster_id", "coverage", "schema"})
    EXPECT_TRUE(object.contains(member)) << member;
}

TEST(Render, ASummaryListsItsMissingReplicasEvenIfThereAreNone) {
  db::Summary summary;
  summary.allowed = summary.denied = "1";
  EXPECT_TRUE(boost::json::parse(to_json(summary)).at("missing_replicas").as_array().empty());
  summary.missing_replicas = {"a\"b", "c"};
  EXPECT_EQ(boost::json::parse(to_json(summary)).at("missing_replicas").as_array().size(), 2u);
}

}  // namespace
}  // namespace tally::daemon::api
