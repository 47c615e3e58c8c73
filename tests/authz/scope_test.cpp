#include "authz/scope.hpp"

#include <gtest/gtest.h>

namespace tally::authz {
namespace {

TEST(AScopeName, IsTakenToTheLetter) {
  for (const char* name : {"coder:all", "coder:workspaces.create", "template:use", "template:*", "*:*"}) {
    EXPECT_TRUE(expand_scope(name)) << name;
  }
  for (const char* name : {"",
                           ":",
                           "*",
                           "*:read",
                           "all",
                           "application_connect",
                           "workspace",
                           "workspace:",
                           ":read",
                           "workspace:view_insights",
                           "workspace:read:x",
                           "Workspace:read",
                           " workspace:read",
                           "workspace:read ",
                           "foobar:read",
                           "foobar:*",
                           "user.*",
                           "coder:",
                           "coder:ALL",
                           "no_user_data:*"}) {
    EXPECT_EQ(expand_scope(name).error(), Errc::unknown_scope) << name;
  }
}

TEST(AScopeAlias, IsPublicAndTranslated) {
  EXPECT_TRUE(is_external_scope("all"));
  EXPECT_TRUE(is_external_scope("application_connect"));
  EXPECT_EQ(resolve_scope_alias("all"), "coder:all");
  EXPECT_EQ(resolve_scope_alias("application_connect"), "coder:application_connect");
  EXPECT_EQ(resolve_scope_alias("workspace:read"), "workspace:read");
}

TEST(AScope, IsPublicOnlyWhenListed) {
  EXPECT_TRUE(is_external_scope("user.*"));
  for (const char* name : {"", "no_user_data", "*:*", "user:read", "workspace:share", "coder:none"}) {
    EXPECT_FALSE(is_external_scope(name)) << name;
  }
}

constexpr const char* kNil = "00000000-0000-0000-0000-000000000000";

TEST(AnAgentScope, ListsItsWorkspaceAndWhatBelongsToIt) {
  const AllowList wanted = {{"workspace", "w"}, {"template", "t"}, {"template", "v"}, {"user", "o"}};
  EXPECT_EQ(agent_scope({"w", "o", "t", "v", "", false})->allow_list, wanted);
  EXPECT_EQ(agent_scope({"w", "o", "t", "v", kNil, false})->allow_list, wanted);
  EXPECT_EQ(agent_scope({"w", "o", "t", "v", "k", false})->allow_list.back(), (AllowEntry{"task", "k"}));
  EXPECT_EQ(agent_scope({"w", "o", "t", "v", "", false})->role.name, "coder:all");
  EXPECT_EQ(agent_scope({"w", "o", "t", "v", "", true})->role.name, "no_user_data");
}

TEST(AnAgentScope, NeedsAllOfItsIds) {
  for (const char* missing : {"", kNil}) {
    EXPECT_EQ(agent_scope({missing, "o", "t", "v", "", false}).error(), Errc::developer_error);
    EXPECT_EQ(agent_scope({"w", missing, "t", "v", "", false}).error(), Errc::developer_error);
    EXPECT_EQ(agent_scope({"w", "o", missing, "v", "", false}).error(), Errc::developer_error);
    EXPECT_EQ(agent_scope({"w", "o", "t", missing, "", false}).error(), Errc::developer_error);
  }
}

TEST(AScope, CoversItselfAndNarrowerOnes) {
  const Scope all = expand_scope("coder:all").value();
  const Scope workspaces = expand_scope("workspace:*").value();
  const Scope read = expand_scope("workspace:read").value();
  EXPECT_TRUE(covers(all, workspaces));
  EXPECT_TRUE(covers(workspaces, read));
  EXPECT_TRUE(covers(read, read));
  EXPECT_FALSE(covers(read, workspaces));
  EXPECT_FALSE(covers(workspaces, all));
  EXPECT_FALSE(covers(workspaces, expand_scope("template:read").value()));

  Scope one = all;
  one.allow_list = {{"workspace", "w"}};
  EXPECT_TRUE(covers(all, one));
  EXPECT_FALSE(covers(one, all));
  EXPECT_FALSE(covers(one, read));
  Scope of_type = all;
  of_type.allow_list = {{"workspace", "*"}};
  EXPECT_TRUE(covers(of_type, one));
}

}  // namespace
}  // namespace tally::authz
