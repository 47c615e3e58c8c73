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

constexpr std::string_view kOther = "00000018-0000-4000-8000-000000000018";

PreparedSubject with_roles(const std::vector<std::string>& roles) {
  Subject subject;
  subject.id = kMe;
  subject.roles.emplace();
  for (const std::string& role : roles) subject.roles->push_back(expand_role(role).value());
  subject.scope = expand_scope("coder:all").value();
  return prepare(subject).value();
}

std::string in_org(const std::string& name) {
  return name + ":" + std::string(kOrg);
}

TEST(Preparing, NeedsRolesAndAScope) {
  Subject subject;
  EXPECT_EQ(prepare(subject).error(), Errc::roles_missing);
  subject.roles.emplace();
  EXPECT_EQ(prepare(subject).error(), Errc::scope_missing);
  subject.scope = expand_scope("coder:all").value();
  EXPECT_TRUE(prepare(subject));
}

TEST(Preparing, KeepsMemberships) {
  const PreparedSubject banned = with_roles({"member", in_org("organization-workspace-creation-ban")});
  EXPECT_TRUE(banned.is_member_of(kOrg));
  EXPECT_FALSE(banned.is_member_of(kOther));
  EXPECT_FALSE(banned.is_member_of(""));
}

TEST(ADecision, SaysWhatSettledIt) {
  Acl acl;
  const std::string_view read[] = {"read"};
  acl.set(kMe, read);
  Acl everyone;
  everyone.set(kOrg, read);
  const Object mine{Type::workspace, {}, kMe, kOrg};
  const auto reason = [](const PreparedSubject& subject, Action action, const Object& object) {
    return word(decide(subject, action, object).reason);
  };
  const PreparedSubject stranger = with_roles({"member"});
  const PreparedSubject member = with_roles({"member", in_org("organization-member")});
  const PreparedSubject banned =
      with_roles({in_org("organization-member"), in_org("organization-workspace-creation-ban")});
  EXPECT_EQ(reason(with_roles({"owner"}), Action::read, mine), "site_role");
  EXPECT_EQ(reason(stranger, Action::read, {Type::file, {}, kMe, {}}), "user_role");
  EXPECT_EQ(reason(with_roles({in_org("organization-admin")}), Action::read, mine), "org_role");
  EXPECT_EQ(reason(member, Action::read, mine), "member_role");
  EXPECT_EQ(reason(stranger, Action::read, {Type::workspace, {}, kOther, kOrg, false, &acl}), "user_acl");
  EXPECT_EQ(reason(member, Action::read, {Type::workspace, {}, kOther, kOrg, false, nullptr, &everyone}),
            "everyone_acl");
  EXPECT_EQ(reason(stranger, Action::read, mine), "no_grant");
  EXPECT_EQ(reason(banned, Action::create, mine), "org_negative");
}

// Ids are chosen by whoever writes a list, and the hash is no secret: it says where to look, never who is there.
TEST(AnAccessList, TellsHoldersApartWhoseHashesAreTheSame) {
  constexpr std::string_view kListed = "7910149";
  constexpr std::string_view kTwin = "91dFKfLp";
  ASSERT_EQ(hash_id(kListed), hash_id(kTwin));
  const std::string_view read[] = {"read"};
  Acl acl;
  acl.set(kListed, read);
  EXPECT_TRUE(acl.grants(kListed, Action::read));
  EXPECT_FALSE(acl.grants(kTwin, Action::read));
  EXPECT_FALSE(acl.lists(kTwin, "read"));

  const IdSet twins({std::string(kTwin)});
  EXPECT_FALSE(twins.contains({hash_id(kListed), kListed}));
  EXPECT_FALSE(acl.grants_any(twins, Action::read));
  const std::string_view update[] = {"update"};
  acl.set(kTwin, update);
  EXPECT_FALSE(acl.grants(kTwin, Action::read));
  EXPECT_TRUE(acl.grants(kTwin, Action::update));
  EXPECT_TRUE(acl.grants(kListed, Action::read));
}

TEST(APrebuiltWorkspace, IsUpdatedAndDeletedByTemplateAdmins) {
  const PreparedSubject admin = with_roles({"member", "template-admin"});
  const PreparedSubject member = with_roles({"member", in_org("organization-member")});
  const Object prebuilt{Type::workspace, {}, kPrebuildsUserId, kOrg};
  const Object dormant{Type::workspace_dormant, {}, kPrebuildsUserId, kOrg};
  const Object claimed{Type::workspace, {}, kOther, kOrg};
  for (const Action action : {Action::update, Action::delete_}) {
    EXPECT_TRUE(decide_workspace_or_prebuilt(admin, action, prebuilt).allowed);
    EXPECT_TRUE(decide_workspace_or_prebuilt(admin, action, dormant).allowed);
    EXPECT_FALSE(decide_workspace_or_prebuilt(admin, action, claimed).allowed);
    EXPECT_FALSE(decide_workspace_or_prebuilt(member, action, prebuilt).allowed);
    EXPECT_FALSE(decide(admin, action, prebuilt).allowed);
  }
  for (const Action action : {Action::create, Action::start, Action::ssh}) {
    EXPECT_FALSE(decide_workspace_or_prebuilt(admin, action, prebuilt).allowed);
  }
}

TEST(APrebuiltWorkspace, IsAWorkspace) {
  const PreparedSubject admin = with_roles({"member", "template-admin"});
  for (const Type other : {Type::task, Type::workspace_proxy, Type::user}) {
    EXPECT_FALSE(decide_workspace_or_prebuilt(admin, Action::update, {other, {}, kPrebuildsUserId, kOrg}).allowed)
        << name(other);
  }
}

// `prebuilt_workspace` has no action but these two; a `*` does not give it more.
TEST(APrebuiltWorkspace, GivesNothingButUpdateAndDelete) {
  Subject subject;
  subject.id = kMe;
  subject.roles.emplace().push_back({"r", {{}, {{"prebuilt_workspace", "*", false}}}, {}, {}});
  subject.scope = expand_scope("coder:all").value();
  const PreparedSubject all_of_prebuilt = prepare(subject).value();
  const Object prebuilt{Type::workspace, {}, kPrebuildsUserId, kOrg};
  EXPECT_TRUE(decide_workspace_or_prebuilt(all_of_prebuilt, Action::update, prebuilt).allowed);
  EXPECT_FALSE(decide_workspace_or_prebuilt(all_of_prebuilt, Action::ssh, prebuilt).allowed);
  EXPECT_FALSE(decide_workspace_or_prebuilt(all_of_prebuilt, Action::read, prebuilt).allowed);
}

TEST(APrebuiltWorkspace, IsNotAskedAgainAfterAnErrorNorByItsAccessList) {
  Acl acl;
  const std::string_view update[] = {"update"};
  acl.set(kMe, update);
  const PreparedSubject only_scope_hinders = [] {
    Subject subject;
    subject.id = kMe;
    subject.roles.emplace();
    subject.scope = expand_scope("prebuilt_workspace:*").value();
    return prepare(subject).value();
  }();
  EXPECT_FALSE(decide_workspace_or_prebuilt(only_scope_hinders, Action::update,
                                            {Type::workspace, {}, kPrebuildsUserId, kOrg, false, &acl})
                   .allowed);
  const Decision conflict = decide_workspace_or_prebuilt(with_roles({"template-admin"}), Action::update,
                                                         {Type::workspace, {}, kPrebuildsUserId, kOrg, true});
  EXPECT_EQ(conflict.error, Errc::any_org_with_org);
}

TEST(AnUnknownWord, IsMatchedByStarsAndByItself) {
  Subject subject;
  subject.id = kMe;
  subject.scope = expand_scope("coder:all").value();
  const auto allows = [&](std::vector<Permission> permissions, std::string_view type, std::string_view action) {
    subject.roles.emplace().push_back({"r", {{}, std::move(permissions)}, {}, {}});
    return decide(prepare(subject).value(), ActionWord(action), {TypeWord(type), {}, {}, {}}).allowed;
  };
  EXPECT_TRUE(allows({{"*", "*", false}}, "mystery", "juggle"));
  EXPECT_TRUE(allows({{"*", "read", false}}, "mystery", "read"));
  EXPECT_FALSE(allows({{"*", "read", false}}, "mystery", "juggle"));
  EXPECT_TRUE(allows({{"workspace", "*", false}}, "workspace", "juggle"));
  EXPECT_TRUE(allows({{"mystery", "juggle", false}}, "mystery", "juggle"));
  EXPECT_TRUE(allows({{"mystery", "*", false}}, "mystery", "read"));
  EXPECT_TRUE(allows({{"*", "juggle", false}}, "workspace", "juggle"));
  EXPECT_FALSE(allows({{"mystery", "juggle", false}}, "mystery", "read"));
  EXPECT_FALSE(allows({{"mystery", "*", false}}, "enigma", "read"));
  EXPECT_FALSE(allows({{"*", "*", false}, {"mystery", "juggle", true}}, "mystery", "juggle"));
  EXPECT_TRUE(allows({{"*", "*", false}, {"mystery", "juggle", true}}, "mystery", "read"));
  EXPECT_FALSE(allows({{"workspace", "read", false}}, "*", "read"));
  EXPECT_FALSE(allows({{"workspace", "read", false}}, "workspace", "*"));
  EXPECT_TRUE(allows({{"workspace", "*", false}}, "workspace", "*"));
}

}  // namespace
}  // namespace tally::authz
