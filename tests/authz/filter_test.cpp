#include "authz/filter.hpp"

#include <gtest/gtest.h>

#include "tests/authz/random_world.hpp"

namespace tally::authz {
namespace {

const std::string kMe = "00000011-0000-4000-8000-000000000011";
const std::string kOrg = "000000a1-0000-4000-8000-0000000000a1";
const std::string kOrg2 = "000000a2-0000-4000-8000-0000000000a2";
const std::string kGroup = "000000c1-0000-4000-8000-0000000000c1";

struct Actor {
  std::vector<std::string> roles = {"member"};
  std::vector<std::string> groups = {};
  std::string scope = "coder:all";
  AllowList allow = {allow_everything()};
  std::string id = kMe;
};

PreparedSubject prepared(const Actor& actor) {
  Subject subject;
  subject.id = actor.id;
  subject.groups = actor.groups;
  subject.roles.emplace();
  for (const std::string& role : actor.roles) subject.roles->push_back(expand_role(role).value());
  subject.scope = expand_scope(actor.scope).value();
  subject.scope->allow_list = actor.allow;
  return prepare(subject).value();
}

SqlCondition sql(const Actor& actor, Type type, std::string_view table, Action action = Action::read) {
  return to_sql(make_filter(prepared(actor), action, type), *find_table(table));
}

TEST(AnSqlFilter, IsTrueForWhoMaySeeAll) {
  EXPECT_EQ(sql({.roles = {"owner"}}, Type::connection_log, "connection_logs").where, "TRUE");
  EXPECT_TRUE(make_filter(prepared({.roles = {"auditor"}}), Action::read, Type::connection_log).always());
}

TEST(AnSqlFilter, IsFalseForWhoSeesNone) {
  const SqlCondition nothing = sql({.roles = {"organization-member:" + kOrg}}, Type::connection_log, "connection_logs");
  EXPECT_EQ(nothing.where, "FALSE");
  EXPECT_TRUE(nothing.never());
  EXPECT_TRUE(nothing.params.empty());
  EXPECT_TRUE(sql({.roles = {"owner"}, .scope = "template:read"}, Type::connection_log, "connection_logs").never());
  EXPECT_TRUE(sql({.roles = {"owner"}, .allow = {}}, Type::connection_log, "connection_logs").never());
}

TEST(AFilter, OfAnEmptyAllowListAdmitsNothingWhateverTheTable) {
  EXPECT_TRUE(make_filter(prepared({.roles = {"owner"}, .allow = {}}), Action::read, Type::connection_log).never());
  EXPECT_TRUE(make_filter(prepared({.roles = {"owner"}, .allow = {{"workspace", kMe}}}), Action::read, Type::template_)
                  .never());
}

TEST(AFilter, HasNoConjunctionThatNoRowCouldPass) {
  Subject subject;
  subject.id = kMe;
  subject.roles.emplace();
  subject.roles->push_back(expand_role("organization-auditor:" + kOrg).value());
  subject.roles->push_back(expand_role("organization-member:" + kOrg2).value());
  subject.scope = expand_scope("coder:all").value();
  subject.scope->role = {"elsewhere", {}, {}, {{kOrg2, {{{}, {{"connection_log", "read", false}}}, {}}}}};
  const Filter filter = make_filter(prepare(subject).value(), Action::read, Type::connection_log);
  ASSERT_FALSE(filter.never());  // an access list may still name the subject
  for (const AllOf& all : filter.any_of) {
    for (const Condition& condition : all) {
      if (condition.kind != Condition::Kind::equals_any || condition.column != Column::org) continue;
      EXPECT_EQ(condition.values, std::vector<std::string>{kOrg2});
    }
  }
}

TEST(AnSqlFilter, ComparesUuidsAsUuids) {
  const SqlCondition one = sql({.roles = {"organization-auditor:" + kOrg}}, Type::connection_log, "connection_logs");
  EXPECT_EQ(one.where, "organization_id = $1::uuid");
  EXPECT_EQ(one.params, std::vector<std::string>{kOrg});
  const SqlCondition two = sql({.roles = {"organization-auditor:" + kOrg, "organization-admin:" + kOrg2}},
                               Type::connection_log, "connection_logs");
  EXPECT_EQ(two.where, "organization_id = ANY($1::uuid[])");
  EXPECT_EQ(two.params, std::vector<std::string>{"{\"" + kOrg + "\",\"" + kOrg2 + "\"}"});
}

TEST(AnSqlFilter, LimitsToTheIdsOfTheAllowList) {
  const std::string id = "000000b1-0000-4000-8000-0000000000b1";
  const SqlCondition listed = sql({.roles = {"owner"}, .allow = {{"connection_log", id}, {"workspace", kMe}}},
                                  Type::connection_log, "connection_logs");
  EXPECT_EQ(listed.where, "id = $1::uuid");
  EXPECT_EQ(listed.params, std::vector<std::string>{id});
}

TEST(AnSqlFilter, AsksTheAccessLists) {
  const SqlCondition shared =
      sql({.roles = {"organization-template-admin:" + kOrg2, "organization-auditor:" + kOrg}, .groups = {kGroup, kOrg}},
          Type::workspace, "workspaces");
  EXPECT_EQ(shared.where,
            "(organization_id = $1::uuid"
            " OR (user_acl -> $2::text -> 'permissions') ?| $3::text[]"
            " OR (organization_id = ANY($4::uuid[]) AND EXISTS (SELECT FROM unnest($5::text[]) AS holder"
            " WHERE (group_acl -> holder -> 'permissions') ?| $3::text[]))"
            " OR (organization_id = ANY($4::uuid[]) AND"
            " (group_acl -> COALESCE(organization_id::text, '') -> 'permissions') ?| $3::text[]))");
  EXPECT_EQ(shared.params.size(), 5u);
  EXPECT_EQ(shared.params[2], "{\"read\",\"*\"}");
}

TEST(AnSqlFilter, NumbersItsParametersWhereItIsTold) {
  const Filter filter =
      make_filter(prepared({.roles = {"organization-auditor:" + kOrg}}), Action::read, Type::connection_log);
  EXPECT_EQ(to_sql(filter, *find_table("connection_logs"), 7, "cl.").where, "cl.organization_id = $7::uuid");
}

TEST(AnSqlFilter, MatchesNoUuidColumnWithWhatIsNoUuid) {
  const Table& table = *find_table("default");
  const auto where = [&](Condition condition) { return to_sql({{{std::move(condition)}}}, table).where; };
  using Kind = Condition::Kind;
  EXPECT_EQ(where({Kind::equals_any, Column::org, {"me", "000000A1-0000-4000-8000-0000000000A1"}, {}}), "FALSE");
  EXPECT_EQ(where({Kind::differs, Column::org, {"me"}, {}}), "TRUE");
  EXPECT_EQ(where({Kind::equals_any, Column::owner, {""}, {}}), "owner_id IS NULL");
  EXPECT_EQ(where({Kind::equals_any, Column::org, {"", kOrg}, {}}),
            "(organization_id = $1::uuid OR organization_id IS NULL)");
  EXPECT_EQ(where({Kind::differs, Column::org, {"", kOrg}, {}}),
            "(organization_id IS NOT NULL AND organization_id IS DISTINCT FROM $1::uuid)");
  EXPECT_EQ(where({Kind::acl_user_has, {}, {std::string("a\0b", 3)}, {"read"}}), "FALSE");
}

TEST(AnSqlFilter, QuotesTheWordsOfAnArray) {
  using Kind = Condition::Kind;
  const SqlCondition odd = to_sql({{{{Kind::acl_user_has, {}, {"me"}, {"a\"b\\c,d}"}}}}}, *find_table("default"));
  EXPECT_EQ(odd.params, (std::vector<std::string>{"me", "{\"a\\\"b\\\\c,d}\"}"}));
}

TEST(AnSqlFilter, ForgetsTheParametersOfWhatIsFalse) {
  using Kind = Condition::Kind;
  const Filter filter{{{{Kind::equals_any, Column::id, {kMe}, {}}, {Kind::never, {}, {}, {}}},
                       {{Kind::equals_any, Column::org, {kOrg}, {}}}}};
  const SqlCondition condition = to_sql(filter, *find_table("default"));
  EXPECT_EQ(condition.where, "organization_id = $1::uuid");
  EXPECT_EQ(condition.params, std::vector<std::string>{kOrg});
}

TEST(AnSqlFilter, KnowsWhatEachTableCannotShow) {
  EXPECT_EQ(sql({}, Type::user, "users").where, "id = $1::uuid");
  EXPECT_EQ(sql({.roles = {"member"}}, Type::workspace, "no_acl").where, "FALSE");
  EXPECT_EQ(sql({.roles = {"member"}}, Type::task, "no_acl").where,
            "(organization_id IS NULL AND owner_id = $1::uuid)");
  EXPECT_EQ(sql({.roles = {"member"}}, Type::task, "audit_logs").where, "FALSE");
  EXPECT_EQ(sql({}, Type::aibridge_interception, "aibridge_interceptions", Action::update).where,
            "initiator_id = $1::uuid");
}

TEST(FilteringInMemory, AsksNothingAboutNoObjects) {
  EXPECT_TRUE(filter_objects(prepared({}), Action::read, {})->empty());
}

TEST(FilteringInMemory, KeepsTheOrderOfWhatIsAllowed) {
  const Object objects[] = {{Type::file, {}, kMe, {}}, {Type::file, {}, "another", {}}, {Type::file, "x", kMe, {}}};
  EXPECT_EQ(*filter_objects(prepared({}), Action::read, objects), (std::vector<std::size_t>{0, 2}));
}

TEST(FilteringInMemory, EndsAtAnError) {
  const Object mixed[] = {{Type::file, {}, kMe, {}}, {Type::task, {}, kMe, {}}};
  EXPECT_EQ(filter_objects(prepared({}), Action::read, mixed).error(), Errc::mixed_types);
  const Object conflict[] = {{Type::file, {}, kMe, {}}, {Type::file, {}, kMe, kOrg, true}};
  EXPECT_EQ(filter_objects(prepared({}), Action::read, conflict).error(), Errc::any_org_with_org);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(filter_objects(prepared({}), Action::read, std::span(conflict, 1), stop.get_token()).error(),
            Errc::cancelled);
}

TEST(AListOfActions, HoldsAStarAsAWordInAFilter) {
  Acl acl;
  const std::string_view star[] = {"*"};
  acl.set("me", star);
  const Row row{{}, {}, {}, &acl, nullptr};
  using Kind = Condition::Kind;
  const Table& table = *find_table("default");
  EXPECT_FALSE(admits({{{{Kind::acl_user_has, {}, {"me"}, {"read"}}}}}, table, row));
  EXPECT_TRUE(admits({{{{Kind::acl_user_has, {}, {"me"}, {"read", "*"}}}}}, table, row));
  EXPECT_FALSE(admits({{{{Kind::acl_user_has, {}, {"me"}, {"*"}}}}}, *find_table("no_acl"), row));
}

}  // namespace
}  // namespace tally::authz
