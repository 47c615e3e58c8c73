#include "authz/role.hpp"

#include <gtest/gtest.h>

namespace tally::authz {
namespace {

constexpr const char* kOrg = "000000a1-0000-4000-8000-0000000000a1";

std::string in_org(const std::string& name) {
  return name + ":" + kOrg;
}

TEST(ARoleName, IsANameAndPerhapsAnOrg) {
  EXPECT_EQ(parse_role_name("owner").value(), (RoleName{"owner", ""}));
  EXPECT_EQ(parse_role_name(in_org("my role")).value(), (RoleName{"my role", kOrg}));
  EXPECT_EQ(parse_role_name("owner:00000000-0000-0000-0000-000000000000").value(), (RoleName{"owner", ""}));
  EXPECT_EQ(parse_role_name("x:000000A1-0000-4000-8000-0000000000A1").value(), (RoleName{"x", kOrg}));
}

TEST(ARoleName, IsRefusedWhenItIsAnythingElse) {
  for (const char* text :
       {"", ":", "a:b:c", "a:", "a:nope", ":000000a1-0000-4000-8000-0000000000a1",
        "a:000000a1-0000-4000-8000-0000000000a", "a:000000a1-0000-4000-8000-0000000000a1 ",
        "a:000000a1_0000-4000-8000-0000000000a1", "a:000000g1-0000-4000-8000-0000000000a1",
        "a:000000a1-0000-4000-8000-0000000000a1:", "a:urn:uuid:000000a1-0000-4000-8000-0000000000a1"}) {
    EXPECT_EQ(parse_role_name(text).error(), Errc::bad_role_name) << text;
  }
}

TEST(ABuiltInRole, IsFoundWhereItBelongs) {
  for (const char* name : {"owner", "member", "auditor", "template-admin", "user-admin"}) {
    EXPECT_TRUE(find_built_in_role({name, ""})) << name;
    EXPECT_EQ(find_built_in_role({name, kOrg}).error(), Errc::unknown_role) << name;
  }
  for (const char* name : {"organization-admin", "organization-auditor", "organization-user-admin",
                           "organization-template-admin", "organization-workspace-creation-ban"}) {
    EXPECT_TRUE(find_built_in_role({name, kOrg})) << name;
    EXPECT_EQ(find_built_in_role({name, ""}).error(), Errc::unknown_role) << name;
    EXPECT_EQ(find_built_in_role({name, std::string(kNilId)}).error(), Errc::unknown_role) << name;
  }
  EXPECT_EQ(find_built_in_role({"nobody", ""}).error(), Errc::unknown_role);
  EXPECT_EQ(find_built_in_role({"Owner", ""}).error(), Errc::unknown_role);
}

TEST(OrganizationMember, IsKnownButNotBuiltIn) {
  EXPECT_EQ(find_built_in_role({"organization-member", kOrg}).error(), Errc::unknown_role);
  EXPECT_TRUE(expand_role(in_org("organization-member")));
  EXPECT_EQ(expand_role("organization-member").error(), Errc::unknown_role);
  EXPECT_TRUE(is_reserved_role_name("organization-member"));
  EXPECT_FALSE(is_reserved_role_name("my-role"));
}

TEST(AnOrgRole, MakesAMemberEvenWhenItOnlyForbids) {
  const Role ban = expand_role(in_org("organization-workspace-creation-ban")).value();
  ASSERT_EQ(ban.by_org.size(), 1u);
  EXPECT_EQ(ban.by_org.front().first, kOrg);
  EXPECT_EQ(ban.name, in_org("organization-workspace-creation-ban"));
}

}  // namespace
}  // namespace tally::authz
