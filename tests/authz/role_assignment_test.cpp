#include "authz/role_assignment.hpp"

#include <gtest/gtest.h>

namespace tally::authz {
namespace {

using Refusal = RoleChangeRefusal;

const std::string kOrg = "000000a1-0000-4000-8000-0000000000a1";
const std::string kElsewhere = "000000a2-0000-4000-8000-0000000000a2";

RoleName here(std::string name) {
  return {std::move(name), kOrg};
}

bool may(std::vector<RoleName> actor, const RoleName& target) {
  return can_assign(actor, target);
}

TEST(Assigning, IsAllowedByTheActorsRoleNames) {
  EXPECT_TRUE(may({{"owner", ""}}, {"owner", ""}));
  EXPECT_TRUE(may({{"owner", ""}}, here("organization-admin")));
  EXPECT_TRUE(may({{"user-admin", ""}}, {"member", ""}));
  EXPECT_TRUE(may({{"user-admin", ""}}, here("organization-member")));
  EXPECT_FALSE(may({{"user-admin", ""}}, {"auditor", ""}));
  EXPECT_FALSE(may({{"user-admin", ""}}, here("organization-admin")));
  for (const char* name : {"template-admin", "auditor", "member", "nobody"})
    EXPECT_FALSE(may({{name, ""}}, {"member", ""})) << name;
  for (const char* name : {"organization-auditor", "organization-template-admin"}) {
    EXPECT_FALSE(may({here(name)}, here("organization-member"))) << name;
  }
  EXPECT_TRUE(may({{"member", ""}, {"owner", ""}}, {"auditor", ""})) << "any role of the actor is enough";
  EXPECT_FALSE(may({}, {"member", ""}));
}

TEST(Assigning, ByAnOrgRoleStaysInItsOrg) {
  EXPECT_TRUE(may({here("organization-admin")}, here("organization-auditor")));
  EXPECT_TRUE(may({here("organization-admin")}, here("custom-organization-role")));
  EXPECT_FALSE(may({here("organization-admin")}, {"organization-auditor", kElsewhere}));
  EXPECT_FALSE(may({here("organization-admin")}, {"member", ""}));
  EXPECT_TRUE(may({here("organization-user-admin")}, here("organization-member")));
  EXPECT_FALSE(may({here("organization-user-admin")}, here("organization-auditor")));
  EXPECT_FALSE(may({{"organization-admin", ""}}, here("organization-auditor"))) << "an org role of no org";
}

TEST(Assigning, IsNotHelpedByAnOrgsRoleOfAnotherOnesName) {
  for (const char* name : {"owner", "user-admin", "system", "prebuilds-orchestrator"}) {
    EXPECT_TRUE(may({{name, ""}}, here("organization-member"))) << name;
    EXPECT_FALSE(may({here(name)}, here("organization-member"))) << name;
    EXPECT_FALSE(may({here(name)}, here("organization-admin"))) << name;
    EXPECT_FALSE(may({here(name)}, {"member", ""})) << name;
  }
  EXPECT_TRUE(may({here("system"), here("organization-admin")}, here("organization-auditor"))) << "another role helps";
}

TEST(AChangeOfRoles, IsTheDifferenceByNameAndOrg) {
  const std::vector<RoleName> from = {{"a", ""}, {"b", ""}, here("c")};
  const std::vector<RoleName> to = {{"c", ""}, {"b", ""}, here("a"), here("c")};
  const RoleChange change = change_role_set(from, to);
  EXPECT_EQ(change.added, (std::vector<RoleName>{{"c", ""}, here("a")}));
  EXPECT_EQ(change.removed, (std::vector<RoleName>{{"a", ""}}));
}

class Giving : public testing::Test {
 protected:
  std::optional<Refusal> check(const std::vector<RoleName>& actor_roles, std::string_view org, const RoleChange& change,
                               const std::vector<RoleName>& stored = {}) {
    Subject subject;
    subject.id = "00000011-0000-4000-8000-000000000011";
    subject.roles.emplace();
    for (const RoleName& role : actor_roles) subject.roles->push_back(expand_role(role).value());
    subject.scope = expand_scope("coder:all").value();
    const auto refused = check_role_change(prepare(subject).value(), actor_roles, org, change, stored);
    if (!refused) return std::nullopt;
    return refused->refusal;
  }
};

TEST_F(Giving, KeepsToOneOrgOrToTheSite) {
  EXPECT_EQ(check({{"owner", ""}}, kOrg, {{{"auditor", ""}}, {}}), Refusal::wrong_org);
  EXPECT_EQ(check({{"owner", ""}}, kOrg, {{{"organization-auditor", kElsewhere}}, {}}), Refusal::wrong_org);
  EXPECT_EQ(check({{"owner", ""}}, "", {{}, {here("organization-auditor")}}), Refusal::wrong_org);
  EXPECT_EQ(check({{"owner", ""}}, kOrg, {{here("organization-auditor")}, {}}), std::nullopt);
  EXPECT_EQ(check({{"owner", ""}}, "", {{{"auditor", ""}}, {}}), std::nullopt);
}

TEST_F(Giving, KnowsTheRole) {
  EXPECT_EQ(check({{"owner", ""}}, kOrg, {{here("mine")}, {}}), Refusal::unknown_role);
  EXPECT_EQ(check({{"owner", ""}}, kOrg, {{here("mine")}, {}}, {here("mine")}), std::nullopt);
  EXPECT_EQ(check({{"owner", ""}}, kOrg, {{here("organization-member")}, {}}), Refusal::unknown_role);
  EXPECT_EQ(check({{"owner", ""}}, kOrg, {{here("organization-member")}, {}}, {here("organization-member")}),
            std::nullopt);
}

TEST_F(Giving, TakesTheRightToAssignAndToUnassign) {
  EXPECT_EQ(check({{"auditor", ""}}, "", {{{"member", ""}}, {}}), Refusal::forbidden);
  EXPECT_EQ(check({{"auditor", ""}}, "", {{}, {{"member", ""}}}), Refusal::forbidden);
  EXPECT_EQ(check({here("organization-admin")}, "", {{{"member", ""}}, {}}), Refusal::forbidden);
  EXPECT_EQ(check({{"user-admin", ""}}, "", {{{"member", ""}}, {}}), std::nullopt);
  EXPECT_EQ(check({{"user-admin", ""}}, "", {{}, {{"member", ""}}}), std::nullopt);
  EXPECT_EQ(check({{"member", ""}}, "", {{}, {}}), std::nullopt) << "nothing changes";
}

TEST_F(Giving, TakesARoleThatMayGiveThisOne) {
  EXPECT_EQ(check({{"user-admin", ""}}, "", {{{"member", ""}, {"owner", ""}}, {}}), Refusal::not_assignable);
  EXPECT_EQ(check({{"user-admin", ""}}, "", {{}, {{"owner", ""}}}), Refusal::not_assignable);
  EXPECT_EQ(check({{"user-admin", ""}}, kOrg, {{here("mine")}, {}}, {here("mine")}), Refusal::not_assignable);
  EXPECT_EQ(check({here("organization-admin")}, kOrg, {{here("mine")}, {}}, {here("mine")}), std::nullopt);
  EXPECT_EQ(check({here("organization-user-admin")}, kOrg, {{here("organization-member")}, {}},
                  {here("organization-member")}),
            std::nullopt);
}

TEST_F(Giving, DoesNotTakeAStoredRoleForTheBuiltInOfItsName) {
  EXPECT_EQ(check({here("organization-admin")}, kOrg, {{here("owner")}, {}}, {here("owner")}), std::nullopt);
  EXPECT_EQ(check({{"user-admin", ""}}, kOrg, {{here("member")}, {}}, {here("member")}), Refusal::not_assignable);
}

}  // namespace
}  // namespace tally::authz
