#include "authz/custom_role.hpp"

#include <gtest/gtest.h>

namespace tally::authz {
namespace {

using Refusal = CustomRoleRefusal;
using Permissions = std::vector<Permission>;

const std::string kOrg = "000000a1-0000-4000-8000-0000000000a1";
const std::string kElsewhere = "000000a2-0000-4000-8000-0000000000a2";
const Permissions kRead = {{"workspace", "read", false}};

Role with(Permissions site) {
  return {"given", {{}, std::move(site)}, {}, {}};
}
Role maker() {
  return with({{"assign_org_role", "create", false}, {"assign_org_role", "update", false}});
}

PreparedSubject actor(std::vector<Role> roles, std::string_view scope = "coder:all") {
  Subject subject;
  subject.id = "00000011-0000-4000-8000-000000000011";
  subject.roles = std::move(roles);
  subject.scope = expand_scope(scope).value();
  return prepare(subject).value();
}
PreparedSubject owner() {
  return actor({expand_role("owner").value()});
}

CustomRole role(Permissions in_org) {
  return {"custom", kOrg, false, {}, {}, std::move(in_org), {}};
}

std::optional<Refusal> create(const PreparedSubject& by, const CustomRole& role) {
  return check_custom_role(by, CustomRoleOp::create, role);
}

TEST(ACustomRole, NeedsAnOrgBeforeAnythingElse) {
  CustomRole nowhere = role(kRead);
  nowhere.org = "";
  for (const auto op : {CustomRoleOp::create, CustomRoleOp::update, CustomRoleOp::delete_}) {
    EXPECT_EQ(check_custom_role(actor({}), op, nowhere), Refusal::org_required);
  }
  nowhere.org = kNilId;
  EXPECT_EQ(create(owner(), nowhere), Refusal::org_required);
}

TEST(ACustomRole, NeedsTheRightForItsVerb) {
  const PreparedSubject creates = actor({with({{"assign_org_role", "create", false}})});
  const PreparedSubject deletes = actor({with({{"assign_org_role", "delete", false}})});
  EXPECT_EQ(create(actor({}), role({})), Refusal::forbidden);
  EXPECT_EQ(create(creates, role({})), std::nullopt);
  EXPECT_EQ(check_custom_role(creates, CustomRoleOp::update, role({})), Refusal::forbidden);
  EXPECT_EQ(check_custom_role(creates, CustomRoleOp::delete_, role({})), Refusal::forbidden);
  EXPECT_EQ(check_custom_role(deletes, CustomRoleOp::delete_, role({})), std::nullopt);
  EXPECT_EQ(create(deletes, role({})), Refusal::forbidden);
}

TEST(ACustomRole, IsDeletedWithoutAnotherLook) {
  CustomRole anything = role({{"foobar", "*", true}});
  anything.site = kRead;
  anything.is_system = true;
  EXPECT_EQ(check_custom_role(owner(), CustomRoleOp::delete_, anything), std::nullopt);
}

TEST(ACustomRole, IsCheckedInOrder) {
  CustomRole wrong = role({{"workspace", "juggle", true}, {"foobar", "read", true}});
  wrong.site = kRead;
  wrong.member = kRead;
  EXPECT_EQ(create(actor({}), wrong), Refusal::forbidden);
  EXPECT_EQ(create(actor({maker()}), wrong), Refusal::mixed_levels);
  wrong.site.clear();
  wrong.user = kRead;
  EXPECT_EQ(create(actor({maker()}), wrong), Refusal::mixed_levels);
  wrong.user.clear();
  EXPECT_EQ(create(actor({maker()}), wrong), Refusal::member_permissions);
  wrong.member.clear();
  EXPECT_EQ(create(actor({maker()}), wrong), Refusal::invalid_action);
  wrong.in_org.erase(wrong.in_org.begin());
  EXPECT_EQ(create(actor({maker()}), wrong), Refusal::invalid_resource);
}

TEST(ACustomRole, HoldsOnlyKnownWords) {
  EXPECT_EQ(create(owner(), role({{"foobar", "*", false}})), Refusal::invalid_resource);
  EXPECT_EQ(create(owner(), role({{"workspace", "view_insights", false}})), Refusal::invalid_action);
  EXPECT_EQ(create(owner(), role({{"workspace", "juggle", false}})), Refusal::invalid_action);
}

TEST(ACustomRole, HasNeitherNegativesNorWildcards) {
  EXPECT_EQ(create(owner(), role({{"workspace", "read", true}})), Refusal::negative);
  EXPECT_EQ(create(owner(), role({{"workspace", "*", true}})), Refusal::negative);
  EXPECT_EQ(create(owner(), role({{"workspace", "*", false}})), Refusal::wildcard);
  const PreparedSubject everything = actor({with({{"*", "*", false}})});
  EXPECT_EQ(create(everything, role({{"*", "read", false}})), Refusal::wildcard);
  EXPECT_EQ(create(everything, role({{"*", "juggle", false}})), Refusal::wildcard);
}

TEST(ACustomRole, GivesNothingThatItsMakerLacks) {
  const Role admin_here = expand_role("organization-admin:" + kOrg).value();
  EXPECT_EQ(create(actor({maker()}), role(kRead)), Refusal::escalation);
  EXPECT_EQ(create(actor({maker(), admin_here}), role(kRead)), std::nullopt);
  EXPECT_EQ(create(actor({admin_here}), role({{"workspace", "ssh", false}})), Refusal::escalation);
  CustomRole elsewhere = role(kRead);
  elsewhere.org = kElsewhere;
  EXPECT_EQ(create(actor({maker(), admin_here}), elsewhere), Refusal::escalation);
  const Role ban = expand_role("organization-workspace-creation-ban:" + kOrg).value();
  EXPECT_EQ(create(actor({admin_here, ban}), role({{"workspace", "create", false}})), Refusal::escalation);
  EXPECT_EQ(create(owner(), role({{"user_secret", "read", false}})), Refusal::escalation);
  EXPECT_EQ(create(owner(), role({{"boundary_usage", "read", false}})), Refusal::escalation);
}

TEST(ACustomRole, IsNotHelpedByWhatItsMakerOwns) {
  Role member = expand_role("organization-member:" + kOrg).value();
  EXPECT_EQ(create(actor({maker(), member}), role(kRead)), Refusal::escalation);
}

TEST(ACustomRole, IsBoundByTheScopeOfItsMaker) {
  EXPECT_EQ(create(actor({expand_role("owner").value()}, "assign_org_role:create"), role(kRead)), Refusal::escalation);
  EXPECT_EQ(create(actor({expand_role("owner").value()}, "workspace:read"), role(kRead)), Refusal::forbidden);
}

TEST(ACustomRole, RefusesAtTheFirstPermissionThatIsWrong) {
  EXPECT_EQ(create(actor({maker()}), role({{"workspace", "read", false}, {"workspace", "read", true}})),
            Refusal::escalation);
}

TEST(ASystemRole, TakesTheRightOnTheSystemInstead) {
  CustomRole system = role({{"workspace", "share", true}});
  system.is_system = true;
  system.member = {{"workspace", "*", false}};
  const PreparedSubject creates = actor({with({{"system", "create", false}})});
  const PreparedSubject updates = actor({with({{"system", "update", false}})});
  EXPECT_EQ(create(actor({maker()}), system), Refusal::forbidden);
  EXPECT_EQ(create(creates, system), std::nullopt);
  EXPECT_EQ(create(updates, system), Refusal::forbidden);
  EXPECT_EQ(check_custom_role(creates, CustomRoleOp::update, system), Refusal::forbidden);
  EXPECT_EQ(check_custom_role(updates, CustomRoleOp::update, system), std::nullopt);
}

TEST(ASystemRole, StillHoldsKnownWordsAtTheOrgsLevels) {
  const PreparedSubject creates = actor({with({{"system", "create", false}})});
  CustomRole system = role({});
  system.is_system = true;
  system.member = {{"workspace", "juggle", false}};
  EXPECT_EQ(create(creates, system), Refusal::invalid_action);
  system.site = kRead;
  EXPECT_EQ(create(creates, system), Refusal::mixed_levels);
}

TEST(ACustomRole, DoesNotTakeTheNameOfABuiltInOne) {
  CustomRole named = role({});
  for (const NamedRole& each : named_roles()) {
    named.name = each.name;
    named.is_system = false;
    EXPECT_EQ(create(owner(), named), Refusal::reserved_name) << each.name;
    named.is_system = true;
    // An organization keeps the role of its members in the store.
    const bool stored = each.kind == RoleKind::org_system;
    EXPECT_EQ(create(owner(), named), stored ? std::nullopt : std::optional(Refusal::reserved_name)) << each.name;
  }
}

TEST(ACustomRole, DoesNotTakeANameThatTheRulesOfAssignmentKnow) {
  CustomRole named = role({});
  for (const char* name : {"system", "prebuilds-orchestrator", "custom-site-role", "custom-organization-role"}) {
    named.name = name;
    for (const bool is_system : {false, true}) {
      named.is_system = is_system;
      EXPECT_EQ(create(owner(), named), Refusal::reserved_name) << name;
      EXPECT_EQ(check_custom_role(owner(), CustomRoleOp::update, named), Refusal::reserved_name) << name;
      EXPECT_EQ(check_custom_role(owner(), CustomRoleOp::delete_, named), std::nullopt) << "one from before goes away";
    }
  }
}

}  // namespace
}  // namespace tally::authz
