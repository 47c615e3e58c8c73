#include "db/directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "authz/scope.hpp"
#include "db/token_store.hpp"
#include "tests/db/batches.hpp"

namespace tally::db {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;
using tracker::Errc;

/// Acme with Ann and Bob, who are members of nothing yet.
struct Filled {
  Filled() {
    run(directory.put_user({kAnn, "ann", "ann@x", {"owner"}}, Seen::absent(), "test"));
    run(directory.put_user({kBob, "bob", "", {}}, Seen::absent(), "test"));
    run(directory.put_organization({kAcme, "acme", "Acme Inc."}, Seen::absent(), "test"));
  }
  template <class T>
  T run(boost::asio::awaitable<T> work) {
    return store.run(std::move(work));
  }
  User user(const tracker::Uuid& who) { return run(directory.find_user(who)).value().value(); }
  RightsChanges changes(std::int64_t since) { return run(tokens.changes(since)).value(); }
  std::string audit() { return database.query("SELECT string_agg(action, ',' ORDER BY id) FROM audit_log"); }

  const tracker::Uuid kAnn = id(1), kBob = id(2), kAcme = id(3), kGroup = id(4), kNobody = id(99);
  test::TestDatabase database;
  test::StoreUnderTest store{database.conninfo()};
  TokenStore tokens{store.pool()};
  Directory directory{store.pool()};
};

TEST(Directory, KeepsWhatItIsGiven) {
  Filled f;
  EXPECT_TRUE(f.run(f.directory.put_member({f.kAcme, f.kBob, {"organization-auditor"}}, Seen::absent(), "t"))->created);
  EXPECT_TRUE(f.run(f.directory.put_group({f.kAcme, f.kGroup, "ops", {f.kBob}}, Seen::absent(), "t"))->created);
  const auto organization = f.run(f.directory.find_organization(f.kAcme)).value().value();
  EXPECT_EQ(organization.name, "acme");
  EXPECT_EQ(organization.display_name, "Acme Inc.");
  const auto member = f.run(f.directory.find_member(f.kAcme, f.kBob)).value().value();
  EXPECT_EQ(member.username, "bob");
  EXPECT_THAT(member.roles, ElementsAre("organization-auditor"));
  const auto group = f.run(f.directory.find_group(f.kAcme, f.kGroup)).value().value();
  EXPECT_THAT(group.members, ElementsAre(f.kBob));
  const User bob = f.user(f.kBob);
  EXPECT_THAT(bob.org_roles,
              ElementsAre("organization-auditor:" + f.kAcme.to_string(), "organization-member:" + f.kAcme.to_string()));
  EXPECT_THAT(bob.groups, ElementsAre(f.kGroup.to_string()));
}

TEST(Directory, ChangesNothingThatChangedMeanwhile) {
  Filled f;
  const std::int64_t seen = f.user(f.kBob).version;
  ASSERT_TRUE(f.run(f.directory.put_user({f.kBob, "bob", "", {"owner"}}, Seen::at(seen), "t")));
  EXPECT_EQ(f.run(f.directory.put_user({f.kBob, "bob", "", {}}, Seen::at(seen), "t")).error(), Errc::serialization);
  EXPECT_EQ(f.run(f.directory.delete_user(f.kBob, Seen::at(seen), "t")).error(), Errc::serialization);
  EXPECT_EQ(f.run(f.directory.put_user({f.kBob, "bob", "", {}}, Seen::absent(), "t")).error(), Errc::serialization);
  EXPECT_THAT(f.user(f.kBob).roles, ElementsAre("owner"));

  const auto put = f.run(f.directory.put_member({f.kAcme, f.kBob, {}}, Seen::absent(), "t"));
  ASSERT_TRUE(put);
  EXPECT_EQ(f.run(f.directory.put_member({f.kAcme, f.kBob, {}}, Seen::absent(), "t")).error(), Errc::serialization);
  EXPECT_EQ(f.run(f.directory.delete_member(f.kAcme, f.kBob, Seen::at(put->version - 1), "t")).error(),
            Errc::serialization);
  EXPECT_TRUE(f.run(f.directory.delete_member(f.kAcme, f.kBob, Seen::at(put->version), "t")));
}

TEST(Directory, BuildsOnlyOnWhatIsThere) {
  Filled f;
  EXPECT_EQ(f.run(f.directory.put_member({f.kNobody, f.kBob, {}}, Seen::anything(), "t")).error(), Errc::not_found);
  EXPECT_EQ(f.run(f.directory.put_member({f.kAcme, f.kNobody, {}}, Seen::anything(), "t")).error(), Errc::not_found);
  EXPECT_EQ(f.run(f.directory.put_group({f.kNobody, f.kGroup, "g", {}}, Seen::anything(), "t")).error(),
            Errc::not_found);
  EXPECT_EQ(f.run(f.directory.put_group({f.kAcme, f.kGroup, "g", {f.kBob}}, Seen::anything(), "t")).error(),
            Errc::not_found)
      << "only members are in groups";
  EXPECT_THAT(f.run(f.directory.strangers(f.kAcme, {f.kBob})).value(), ElementsAre(f.kBob));
  EXPECT_EQ(f.run(f.directory.put_role({f.kNobody, "r", "", false, {}, {}}, Seen::anything(), "t")).error(),
            Errc::not_found);
  EXPECT_EQ(f.run(f.directory.delete_organization(f.kNobody, "t")).error(), Errc::not_found);
  EXPECT_EQ(f.run(f.directory.delete_member(f.kAcme, f.kBob, Seen::anything(), "t")).error(), Errc::not_found);
  EXPECT_EQ(f.run(f.directory.delete_group(f.kAcme, f.kGroup, "t")).error(), Errc::not_found);
  EXPECT_EQ(f.run(f.directory.delete_role(f.kAcme, "r", "t")).error(), Errc::not_found);
  EXPECT_EQ(f.run(f.directory.delete_user(f.kNobody, Seen::anything(), "t")).error(), Errc::not_found);
}

TEST(Directory, KeepsNamesAndIdsApart) {
  Filled f;
  EXPECT_EQ(f.run(f.directory.put_organization({id(5), "ACME", ""}, Seen::absent(), "t")).error(), Errc::conflict);
  ASSERT_TRUE(f.run(f.directory.put_organization({id(5), "other", ""}, Seen::absent(), "t")));
  ASSERT_TRUE(f.run(f.directory.put_group({f.kAcme, f.kGroup, "ops", {}}, Seen::absent(), "t")));
  EXPECT_EQ(f.run(f.directory.put_group({f.kAcme, id(6), "OPS", {}}, Seen::absent(), "t")).error(), Errc::conflict);
  EXPECT_EQ(f.run(f.directory.put_group({id(5), f.kGroup, "x", {}}, Seen::absent(), "t")).error(), Errc::conflict)
      << "the group is another organization's";
  EXPECT_EQ(f.run(f.directory.put_group({f.kAcme, f.kAcme, "x", {}}, Seen::absent(), "t")).error(), Errc::conflict)
      << "that id stands for everyone there";
  EXPECT_EQ(f.run(f.directory.put_organization({f.kGroup, "x", ""}, Seen::absent(), "t")).error(), Errc::conflict);
  EXPECT_TRUE(f.run(f.directory.put_group({id(5), id(6), "ops", {}}, Seen::absent(), "t")))
      << "names are an organization's own";
}

TEST(Directory, RemovesAUserFromEverything) {
  Filled f;
  ASSERT_TRUE(f.run(f.directory.put_member({f.kAcme, f.kBob, {}}, Seen::absent(), "t")));
  ASSERT_TRUE(f.run(f.directory.put_group({f.kAcme, f.kGroup, "ops", {f.kBob}}, Seen::absent(), "t")));
  ASSERT_TRUE(f.run(f.directory.delete_user(f.kBob, Seen::anything(), "t")));
  EXPECT_FALSE(f.run(f.directory.find_member(f.kAcme, f.kBob)).value());
  EXPECT_THAT(f.run(f.directory.find_group(f.kAcme, f.kGroup)).value()->members, IsEmpty());
}

TEST(Directory, TakesMembersOutOfGroupsWithTheirMembership) {
  Filled f;
  ASSERT_TRUE(f.run(f.directory.put_member({f.kAcme, f.kBob, {}}, Seen::absent(), "t")));
  ASSERT_TRUE(f.run(f.directory.put_group({f.kAcme, f.kGroup, "ops", {f.kBob}}, Seen::absent(), "t")));
  ASSERT_TRUE(f.run(f.directory.delete_member(f.kAcme, f.kBob, Seen::anything(), "t")));
  EXPECT_THAT(f.user(f.kBob).groups, IsEmpty());
}

TEST(Directory, TellsReplicasOfEveryChangeThatTouchesAUser) {
  Filled f;
  std::int64_t version = f.changes(0).version;
  const auto touched = [&](const char* what) {
    const RightsChanges changes = f.changes(version);
    EXPECT_GT(changes.version, version) << what;
    version = changes.version;
    std::vector<std::string> names;
    for (const User& user : changes.users) names.push_back(user.username);
    return names;
  };
  ASSERT_TRUE(f.run(f.directory.put_member({f.kAcme, f.kBob, {}}, Seen::absent(), "t")));
  EXPECT_THAT(touched("a new member"), ElementsAre("bob"));
  ASSERT_TRUE(f.run(f.directory.put_member({f.kAcme, f.kAnn, {}}, Seen::absent(), "t")));
  EXPECT_THAT(touched("another"), ElementsAre("ann"));
  ASSERT_TRUE(f.run(f.directory.put_group({f.kAcme, f.kGroup, "ops", {f.kBob}}, Seen::absent(), "t")));
  EXPECT_THAT(touched("a group"), ElementsAre("bob"));
  ASSERT_TRUE(f.run(f.directory.put_group({f.kAcme, f.kGroup, "ops", {f.kAnn}}, Seen::anything(), "t")));
  EXPECT_THAT(touched("one comes, one goes"), UnorderedElementsAre("ann", "bob"));
  ASSERT_TRUE(f.run(f.directory.delete_group(f.kAcme, f.kGroup, "t")));
  EXPECT_THAT(touched("a group is gone"), ElementsAre("ann"));
  ASSERT_TRUE(f.run(f.directory.delete_member(f.kAcme, f.kAnn, Seen::anything(), "t")));
  EXPECT_THAT(touched("a member is gone"), ElementsAre("ann"));
  ASSERT_TRUE(f.run(f.directory.delete_organization(f.kAcme, "t")));
  EXPECT_THAT(touched("the organization is gone"), ElementsAre("bob"));
  EXPECT_THAT(f.user(f.kBob).org_roles, IsEmpty());
}

TEST(CustomRoles, AreToldToReplicasAndTakenFromTheirHolders) {
  Filled f;
  ASSERT_TRUE(
      f.run(f.directory.put_role({f.kAcme, "watcher", "Watcher", false, {"workspace:read"}, {}}, Seen::absent(), "t")));
  ASSERT_TRUE(
      f.run(f.directory.put_member({f.kAcme, f.kBob, {"watcher", "organization-auditor"}}, Seen::absent(), "t")));
  RightsChanges changes = f.changes(0);
  ASSERT_THAT(changes.roles, SizeIs(1));
  EXPECT_EQ(changes.roles[0].name, "watcher");
  EXPECT_THAT(changes.roles[0].org_permissions, ElementsAre("workspace:read"));

  const auto changed =
      f.run(f.directory.put_role({f.kAcme, "watcher", "Watcher", true, {"task:read"}, {}}, Seen::anything(), "t"));
  EXPECT_FALSE(changed->created);
  EXPECT_FALSE(f.run(f.directory.find_role(f.kAcme, "watcher")).value()->is_system) << "what it is never changes";

  const std::int64_t version = f.changes(0).version;
  ASSERT_TRUE(f.run(f.directory.delete_role(f.kAcme, "watcher", "t")));
  changes = f.changes(version);
  ASSERT_THAT(changes.deleted_roles, SizeIs(1));
  EXPECT_EQ(changes.deleted_roles[0].name, "watcher");
  EXPECT_THAT(changes.users, SizeIs(1));
  EXPECT_THAT(f.run(f.directory.find_member(f.kAcme, f.kBob)).value()->roles, ElementsAre("organization-auditor"));

  ASSERT_TRUE(f.run(f.directory.put_role({f.kAcme, "watcher", "", false, {}, {}}, Seen::absent(), "t")));
  changes = f.changes(0);
  EXPECT_THAT(changes.deleted_roles, IsEmpty()) << "it is back";
  EXPECT_THAT(f.run(f.directory.find_member(f.kAcme, f.kBob)).value()->roles, ElementsAre("organization-auditor"))
      << "and nobody holds it";
}

TEST(CustomRoles, ThatWentMeanwhileAreNotGiven) {
  Filled f;
  ASSERT_TRUE(f.run(f.directory.put_role({f.kAcme, "watcher", "", false, {}, {}}, Seen::absent(), "t")));
  ASSERT_TRUE(f.run(f.directory.put_organization({id(5), "other", ""}, Seen::absent(), "t")));
  const std::int64_t version = f.changes(0).version;
  EXPECT_EQ(f.run(f.directory.put_member({id(5), f.kBob, {"watcher"}}, Seen::absent(), "t")).error(),
            Errc::serialization)
      << "another organization's";
  ASSERT_TRUE(f.run(f.directory.delete_role(f.kAcme, "watcher", "t")));
  EXPECT_EQ(f.run(f.directory.put_member({f.kAcme, f.kBob, {"organization-auditor", "watcher"}}, Seen::absent(), "t"))
                .error(),
            Errc::serialization);
  EXPECT_FALSE(f.run(f.directory.find_member(f.kAcme, f.kBob)).value());
  EXPECT_EQ(f.changes(0).version, version + 1) << "the deletion alone";
  EXPECT_TRUE(f.run(
      f.directory.put_member({f.kAcme, f.kBob, {"organization-auditor", "organization-member"}}, Seen::absent(), "t")))
      << "what the program knows by itself is not stored";
}

TEST(CustomRoles, GoWithTheirOrganization) {
  Filled f;
  ASSERT_TRUE(f.run(f.directory.put_role({f.kAcme, "watcher", "", false, {}, {}}, Seen::absent(), "t")));
  const std::int64_t version = f.changes(0).version;
  ASSERT_TRUE(f.run(f.directory.delete_organization(f.kAcme, "t")));
  EXPECT_THAT(f.changes(version).deleted_roles, SizeIs(1));
}

TEST(Directory, SaysInTheAuditLogWhatIsLostAndByWhichRight) {
  Filled f;
  const Author by("user:1", R"({"reason": "site_role", "role": "owner"})");
  const std::string acme = f.kAcme.to_string(), ann = f.kAnn.to_string(), bob = f.kBob.to_string(),
                    group = f.kGroup.to_string();
  const auto is_there = [&f](const std::string& action, const Put& put) {
    EXPECT_EQ(f.database.query("SELECT detail FROM audit_log WHERE action = '" + action + "' ORDER BY id DESC LIMIT 1"),
              put.detail);
    return put.detail.substr(0, put.detail.find(R"("allowed_by": {"role": "owner", "reason": "site_role"})")) + "..." +
           put.detail.substr(std::min(put.detail.size(), put.detail.find(R"("site_role"})") + 12));
  };
  const auto fill = [&] {
    f.run(f.directory.put_role({f.kAcme, "watcher", "", false, {}, {}}, Seen::anything(), "t"));
    f.run(f.directory.put_member({f.kAcme, f.kAnn, {"watcher"}}, Seen::anything(), "t"));
    f.run(f.directory.put_member({f.kAcme, f.kBob, {"organization-auditor"}}, Seen::anything(), "t"));
    f.run(f.directory.put_group({f.kAcme, f.kGroup, "ops", {f.kAnn, f.kBob}}, Seen::anything(), "t"));
  };
  fill();
  EXPECT_EQ(is_there("put_user", f.run(f.directory.put_user({f.kAnn, "anna", "", {}}, Seen::anything(), by)).value()),
            R"({"roles": [], "username": "anna", ..., "roles_before": ["owner"], "username_before": "ann"})");
  EXPECT_EQ(is_there("put_organization",
                     f.run(f.directory.put_organization({f.kAcme, "ac", "A"}, Seen::anything(), by)).value()),
            R"({"name": "ac", ..., "name_before": "acme", "display_name": "A", "display_name_before": "Acme Inc."})");
  EXPECT_EQ(is_there("put_group",
                     f.run(f.directory.put_group({f.kAcme, f.kGroup, "o", {f.kBob}}, Seen::anything(), by)).value()),
            R"({"name": "o", "added": [], "removed": [")" + ann +
                R"("], ..., "added_count": 0, "name_before": "ops", )" + R"("organization": ")" + acme +
                R"(", "removed_count": 1})");
  EXPECT_EQ(is_there("delete_member", f.run(f.directory.delete_member(f.kAcme, f.kBob, Seen::anything(), by)).value()),
            R"({"groups": [")" + group + R"("], ..., "group_count": 1, "organization": ")" + acme +
                R"(", "roles_before": ["organization-auditor"]})");
  fill();
  EXPECT_EQ(is_there("delete_group", f.run(f.directory.delete_group(f.kAcme, f.kGroup, by)).value()),
            R"({"name": "ops", "members": 2, "removed": [")" + ann + R"(", ")" + bob + R"("], ..., "organization": ")" +
                acme + R"("})");
  EXPECT_EQ(is_there("delete_role", f.run(f.directory.delete_role(f.kAcme, "watcher", by)).value()),
            R"({"held_by": [")" + ann + R"("], ..., "org_before": [], "holder_count": 1, "member_before": []})");
  fill();
  EXPECT_EQ(is_there("delete_user", f.run(f.directory.delete_user(f.kBob, Seen::anything(), by)).value()),
            R"({"groups": [")" + group + R"("], "tokens": [], "username": "bob", ..., "group_count": 1, )" +
                R"("roles_before": [], "organizations": {")" + acme +
                R"(": ["organization-auditor"]}, "tokens_revoked": 0, "organization_count": 1})");
  EXPECT_EQ(is_there("delete_organization", f.run(f.directory.delete_organization(f.kAcme, by)).value()),
            R"({"name": "ac", "roles": ["watcher"], "groups": {")" + group + R"(": "ops"}, "members": 1, ..., )" +
                R"("role_count": 1, "group_count": 1, "member_roles": {")" + ann + R"(": ["watcher"]}, )" +
                R"("group_members": {")" + group + R"(": [")" + ann + R"("]}, "group_member_count": 1})");
}

TEST(Directory, EndsTheListsOfAnAuditLine) {
  Filled f;
  f.database.query(
      "INSERT INTO tallyd.users (id, username, version)"
      " SELECT gen_random_uuid(), 'u' || n, 1 FROM generate_series(1, 600) n;"
      "INSERT INTO tallyd.organization_members (organization_id, user_id, version)"
      " SELECT '" +
      f.kAcme.to_string() + "', id, 1 FROM tallyd.users WHERE username LIKE 'u%'");
  const Put gone = f.run(f.directory.delete_organization(f.kAcme, "t")).value();
  EXPECT_THAT(gone.detail, testing::HasSubstr(R"("members": 600)"));
  EXPECT_EQ(f.database.query("SELECT count(*) FROM audit_log, jsonb_object_keys(detail->'member_roles')"
                             " WHERE action = 'delete_organization'"),
            "500");
}

TEST(Directory, EndsAPageOfGroupsBeforeItHoldsTooManyMembers) {
  Filled f;
  f.run(f.directory.put_member({f.kAcme, f.kAnn, {}}, Seen::anything(), "t"));
  f.run(f.directory.put_member({f.kAcme, f.kBob, {}}, Seen::anything(), "t"));
  for (std::uint8_t n = 20; n < 24; ++n)
    f.run(f.directory.put_group({f.kAcme, id(n), "g" + std::to_string(n), {f.kAnn, f.kBob}}, Seen::absent(), "t"));
  GroupPage page;
  page.most_members = 5;
  const auto pages = [&] {
    std::vector<std::size_t> sizes;
    GroupList list;
    do {
      list = f.run(f.directory.list_groups(f.kAcme, page)).value();
      sizes.push_back(list.groups.size());
      for (const Group& group : list.groups) sizes.back() += 10 * group.members.size();
      page.groups.after = list.groups.back().id;
    } while (list.has_more);
    page.groups.after.reset();
    return sizes;
  };
  EXPECT_THAT(pages(), ElementsAre(42, 42)) << "two groups with two members each";
  page.most_members = 4;
  EXPECT_THAT(pages(), ElementsAre(42, 42));
  page.most_members = 1;
  EXPECT_THAT(pages(), ElementsAre(21, 21, 21, 21)) << "one group at least";
  page.most_members = 5;
  page.visible_members = {"user_id = $4::uuid", {f.kBob.to_string()}};
  EXPECT_THAT(pages(), ElementsAre(44)) << "only who may be seen counts";
  page.groups.limit = 3;
  EXPECT_THAT(pages(), ElementsAre(33, 11));
  page.visible_members = {"FALSE", {}};
  EXPECT_THAT(pages(), ElementsAre(3, 1));
}

TEST(Directory, WritesALineOfTheAuditLogForEveryChange) {
  Filled f;
  f.run(f.directory.put_member({f.kAcme, f.kBob, {"organization-admin"}}, Seen::absent(), "user:1"));
  f.run(f.directory.put_role({f.kAcme, "watcher", "", false, {"task:read"}, {}}, Seen::absent(), "user:1"));
  f.run(f.directory.put_group({f.kAcme, f.kGroup, "ops", {f.kBob}}, Seen::absent(), "user:1"));
  f.run(f.directory.delete_group(f.kAcme, f.kGroup, "user:1"));
  f.run(f.directory.delete_role(f.kAcme, "watcher", "user:1"));
  f.run(f.directory.delete_member(f.kAcme, f.kBob, Seen::anything(), "user:1"));
  f.run(f.directory.delete_organization(f.kAcme, "user:1"));
  f.run(f.directory.delete_user(f.kBob, Seen::anything(), "user:1"));
  EXPECT_EQ(f.audit(),
            "put_user,put_user,put_organization,put_member,put_role,put_group,delete_group,delete_role,delete_member,"
            "delete_organization,delete_user");
  EXPECT_EQ(f.database.query("SELECT detail->>'roles' FROM audit_log WHERE action = 'put_member' AND actor = 'user:1'"),
            R"(["organization-admin"])");
  EXPECT_EQ(f.database.query("SELECT detail->>'roles_before' FROM audit_log WHERE action = 'delete_member'"),
            R"(["organization-admin"])");
  f.run(f.directory.delete_user(f.kBob, Seen::anything(), "user:1"));
  EXPECT_EQ(f.database.query("SELECT count(*) FROM audit_log WHERE action = 'delete_user'"), "1") << "nothing happened";
}

TEST(Directory, ListsPageByPageWhatMayBeSeen) {
  Filled f;
  for (std::uint8_t n = 10; n < 20; ++n)
    f.run(f.directory.put_user({id(n), "user" + std::to_string(n), "", {}}, Seen::absent(), "t"));
  Page page;
  page.limit = 5;
  std::vector<std::string> names;
  while (true) {
    const auto users = f.run(f.directory.list_users(page)).value();
    for (const User& user : users) names.push_back(user.username);
    if (users.size() < 5) break;
    page.after = users.back().id;
  }
  EXPECT_THAT(names, SizeIs(12));

  page = {};
  page.visible = {"id = $4::uuid", {f.kBob.to_string()}};
  const auto own = f.run(f.directory.list_users(page)).value();
  ASSERT_THAT(own, SizeIs(1));
  EXPECT_EQ(own[0].username, "bob");
}

TEST(Directory, GroupsAreSeenByTheirOwnMembers) {
  Filled f;
  ASSERT_TRUE(f.run(f.directory.put_group({f.kAcme, f.kGroup, "ops", {}}, Seen::absent(), "t")));
  ASSERT_TRUE(f.run(f.directory.put_group({f.kAcme, id(5), "dev", {}}, Seen::absent(), "t")));
  authz::Subject subject;
  subject.id = f.kBob.to_string();
  subject.roles.emplace().push_back({"here", {}, {}, {{f.kAcme.to_string(), {}}}});
  subject.groups = {f.kGroup.to_string()};
  subject.scope = authz::expand_scope("coder:all").value();
  Page page;
  page.visible =
      authz::to_sql(authz::make_filter(authz::prepare(subject).value(), authz::Action::read, authz::Type::group),
                    kGroupTable, kFirstVisibleParam);
  const auto groups = f.run(f.directory.list_groups(f.kAcme, {page})).value().groups;
  ASSERT_THAT(groups, SizeIs(1));
  EXPECT_EQ(groups[0].name, "ops");
}

TEST(Tokens, AreListedNewestFirstByWhatMayBeSeen) {
  Filled f;
  for (int n = 0; n < 7; ++n) {
    Token token;
    token.id = "token0000" + std::to_string(n);
    token.user_id = n % 2 == 0 ? f.kAnn : f.kBob;
    ASSERT_TRUE(f.run(f.tokens.create(token, "t")));
  }
  TokenPage page;
  page.limit = 3;
  std::vector<std::string> ids;
  while (true) {
    const auto tokens = f.run(f.tokens.list(page)).value();
    for (const Token& token : tokens) ids.push_back(token.id);
    if (tokens.size() < 3) break;
    page.after = tokens.back().id;
  }
  EXPECT_THAT(ids, ElementsAre("token00006", "token00005", "token00004", "token00003", "token00002", "token00001",
                               "token00000"));
  page = {};
  page.visible = {"owner_id = $4::uuid", {f.kBob.to_string()}};
  EXPECT_THAT(f.run(f.tokens.list(page)).value(), SizeIs(3));
  Token one_more;
  one_more.id = "token00009";
  one_more.user_id = f.kBob;
  EXPECT_EQ(f.run(f.tokens.create(one_more, "t", 3)).error(), Errc::overloaded);
  ASSERT_TRUE(f.run(f.tokens.revoke("token00001", "t")));
  EXPECT_TRUE(f.run(f.tokens.create(one_more, "t", 3))) << "a revoked one does not count";
}

}  // namespace
}  // namespace tally::db
