#include "authz/decision.hpp"

#include <gtest/gtest.h>

#include "authz/system_subject.hpp"

namespace tally::authz {
namespace {

constexpr std::string_view kOrg = "000000a1-0000-4000-8000-0000000000a1";
constexpr std::string_view kMe = "00000011-0000-4000-8000-000000000011";

PreparedSubject system(std::string_view key) {
  return prepare(system_subject(key, kMe, kOrg).value()).value();
}

TEST(SystemSubject, TheTrackerAloneUpdatesBoundaryUsage) {
  const Object usage{Type::boundary_usage, {}, {}, {}};
  EXPECT_TRUE(decide(system("boundary_usage_tracker"), Action::update, usage).allowed);
  EXPECT_FALSE(decide(system("boundary_usage_tracker"), Action::create, usage).allowed);
  EXPECT_FALSE(decide(system("usage_collector"), Action::update, usage).allowed);
  EXPECT_FALSE(decide(system("system_restricted"), Action::update, usage).allowed);
}

TEST(SystemSubject, TheCollectorCreatesUsageEventsAndNothingElse) {
  const PreparedSubject collector = system("usage_collector");
  for (const ResourceInfo& resource : kCatalog) {
    for (const ActionInfo& each : resource.actions) {
      const bool its_one_right = resource.type == Type::usage_event && each.action == Action::create;
      EXPECT_EQ(decide(collector, each.action, {resource.type, {}, {}, {}}).allowed, its_one_right)
          << resource.name << ':' << name(each.action);
    }
  }
}

TEST(SystemSubject, IsFoundByItsKeyAndByItsFlag) {
  ASSERT_NE(find_system_subject("boundary_usage_tracker"), nullptr);
  EXPECT_EQ(find_system_subject("boundary-usage-tracker"), nullptr);
  EXPECT_EQ(find_system_subject_by_flag("boundary-usage-tracker"), find_system_subject("boundary_usage_tracker"));
  EXPECT_EQ(find_system_subject_by_flag("boundary_usage_tracker"), nullptr);
  EXPECT_EQ(find_system_subject_by_flag("nobody"), nullptr);
}

TEST(SystemSubject, ThatActsForAUserNeedsAnOrg) {
  EXPECT_EQ(system_subject("sub_agent_api", kMe).error(), Errc::unknown_system_subject);
  EXPECT_TRUE(decide(system("sub_agent_api"), Action::update, {Type::workspace, {}, kMe, kOrg}).allowed);
  EXPECT_FALSE(decide(system("sub_agent_api"), Action::update, {Type::workspace, {}, "another", kOrg}).allowed);
}

}  // namespace
}  // namespace tally::authz
