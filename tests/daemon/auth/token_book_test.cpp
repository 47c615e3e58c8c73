#include "daemon/auth/token_book.hpp"

#include <gtest/gtest.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "authz/decision.hpp"
#include "daemon/auth/gate.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/payloads.hpp"

namespace tally::daemon {
namespace {

using Verdict = TokenBook::Verdict;
using authz::Action;
using authz::Type;

const std::string kSecret = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
const std::string kOther = "1123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

db::Token token(std::string id, db::SubjectKind kind = db::SubjectKind::system) {
  db::Token made;
  made.id = std::move(id);
  made.kind = kind;
  if (kind == db::SubjectKind::system) made.system_subject = "boundary_usage_tracker";
  SHA256(reinterpret_cast<const unsigned char*>(kSecret.data()), kSecret.size(), made.secret_sha256.data());
  return made;
}

db::Token agent_token(std::string id) {
  db::Token made = token(std::move(id), db::SubjectKind::agent);
  made.agent = db::AgentBinding{test::id(1), test::id(2), test::id(3), test::id(4), std::nullopt, false};
  return made;
}

class TokenBookTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = "/tmp/tally-book-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string file() const { return (folder_ / "rights.json").string(); }
  static bool may(const TokenBook::Answer& answer, Action action, Type type) {
    return authz::decide(answer.caller->subject, action, authz::Object{.type = type}).allowed;
  }

  std::filesystem::path folder_;
  test::FakeClock clock_;
};

struct BearerCase {
  std::string name;
  std::string header;
  bool good;
};
class ParseBearer : public testing::TestWithParam<BearerCase> {};

TEST_P(ParseBearer, TakesOnlyTheDocumentedForm) {
  EXPECT_EQ(parse_bearer(GetParam().header).has_value(), GetParam().good);
}

INSTANTIATE_TEST_SUITE_P(
    Headers, ParseBearer,
    testing::Values(BearerCase{"good", "Bearer tly_abcdefghij_" + kSecret, true},
                    BearerCase{"any_case_of_the_scheme", "bEARER tly_abcdefghij_" + kSecret, true},
                    BearerCase{"several_spaces", "Bearer   tly_abcdefghij_" + kSecret, true},
                    BearerCase{"empty", "", false}, BearerCase{"scheme_alone", "Bearer", false},
                    BearerCase{"scheme_and_space", "Bearer ", false},
                    BearerCase{"other_scheme", "Basic tly_abcdefghij_" + kSecret, false},
                    BearerCase{"short_secret", "Bearer tly_abcdefghij_" + kSecret.substr(1), false},
                    BearerCase{"long_secret", "Bearer tly_abcdefghij_" + kSecret + "x", false},
                    BearerCase{"trailing_space", "Bearer tly_abcdefghij_" + kSecret + " ", false},
                    BearerCase{"other_prefix", "Bearer tlx_abcdefghij_" + kSecret, false},
                    BearerCase{"bad_character_in_id", "Bearer tly_abcdefghi-_" + kSecret, false},
                    BearerCase{"bad_character_in_secret", "Bearer tly_abcdefghij_" + kSecret.substr(1) + "+", false},
                    BearerCase{"no_separator", "Bearer tly_abcdefghijx" + kSecret, false}),
    [](const auto& each) { return each.param.name; });

TEST_F(TokenBookTest, KnowsATokenByItsSecretOnly) {
  TokenBook book(file(), clock_);
  EXPECT_EQ(book.check({"abcdefghij", kSecret}).verdict, Verdict::unknown);
  book.learn(token("abcdefghij"), std::nullopt);
  const auto answer = book.check({"abcdefghij", kSecret});
  ASSERT_EQ(answer.verdict, Verdict::good);
  EXPECT_EQ(answer.caller->name(), "system:boundary_usage_tracker");
  EXPECT_EQ(book.check({"abcdefghij", kOther}).verdict, Verdict::refused);
  EXPECT_EQ(book.check({"zbcdefghij", kSecret}).verdict, Verdict::unknown);
}

TEST_F(TokenBookTest, RefusesFromTheInstantOfExpiry) {
  TokenBook book(file(), clock_);
  db::Token brief = token("abcdefghij");
  brief.expires_at_us = (clock_.wall().time_since_epoch().count() + 1000) * 1000;
  book.learn(brief, std::nullopt);
  clock_.advance(std::chrono::milliseconds(999));
  EXPECT_EQ(book.check({"abcdefghij", kSecret}).verdict, Verdict::good);
  clock_.advance(std::chrono::milliseconds(1));
  EXPECT_EQ(book.check({"abcdefghij", kSecret}).verdict, Verdict::refused);
}

TEST_F(TokenBookTest, ARevocationIsNeverTakenBackByAnOlderView) {
  TokenBook book(file(), clock_);
  const db::Token before = token("abcdefghij");
  book.learn(before, std::nullopt);
  ASSERT_EQ(book.check({"abcdefghij", kSecret}).verdict, Verdict::good);
  book.forget(before, 5);
  EXPECT_EQ(book.check({"abcdefghij", kSecret}).verdict, Verdict::refused);
  book.learn(before, std::nullopt);  // an answer of the database that was under way
  EXPECT_EQ(book.check({"abcdefghij", kSecret}).verdict, Verdict::refused);
}

TEST_F(TokenBookTest, ARevocationOfATokenThatWasNotKnownYetIsRemembered) {
  const db::Token before = agent_token("abcdefghij");
  {
    TokenBook book(file(), clock_);
    book.forget(before, 5);
    EXPECT_EQ(book.check({"abcdefghij", kSecret}).verdict, Verdict::refused);
    book.learn(before, std::nullopt);  // what a look-up found before the revocation
    EXPECT_EQ(book.check({"abcdefghij", kSecret}).verdict, Verdict::refused);
    ASSERT_TRUE(book.save());
  }
  TokenBook book(file(), clock_);
  EXPECT_EQ(book.check({"abcdefghij", kSecret}).verdict, Verdict::refused) << "after a restart too";
}

TEST_F(TokenBookTest, RemembersHashesAndRightsOverARestartAndKeepsNoSecret) {
  {
    TokenBook book(file(), clock_);
    db::RightsChanges changes;
    changes.version = 7;
    changes.tokens = {token("abcdefghij"), agent_token("agentagent")};
    changes.tokens.front().scopes = {"boundary_usage:update"};
    book.apply(changes);
    EXPECT_TRUE(book.dirty());
    ASSERT_TRUE(book.save());
    EXPECT_FALSE(book.dirty());
  }
  std::ifstream saved(file());
  const std::string text((std::istreambuf_iterator<char>(saved)), {});
  EXPECT_EQ(text.find(kSecret), std::string::npos);
  EXPECT_EQ(std::filesystem::status(file()).permissions(), std::filesystem::perms(0600));

  TokenBook book(file(), clock_);
  EXPECT_EQ(book.version(), 7);
  const auto answer = book.check({"abcdefghij", kSecret});
  ASSERT_EQ(answer.verdict, Verdict::good);
  EXPECT_TRUE(may(answer, Action::update, Type::boundary_usage));
  EXPECT_FALSE(may(answer, Action::read, Type::boundary_usage)) << "the scope narrows";
  EXPECT_EQ(book.check({"agentagent", kSecret}).verdict, Verdict::good);
}

TEST_F(TokenBookTest, ADamagedFileIsAsGoodAsNone) {
  for (const char* text :
       {"", "{", "[]", R"({"format":2})", R"({"format":2,"version":3,"tokens":[{"id":1}],"users":[]})",
        R"({"format":99,"version":3,"tokens":[],"users":[]})"}) {
    std::ofstream(file()) << text;
    TokenBook book(file(), clock_);
    EXPECT_EQ(book.version(), 0) << text;
  }
}

TEST_F(TokenBookTest, AUsersTokenFollowsTheUsersRoles) {
  TokenBook book(file(), clock_);
  db::Token made = token("abcdefghij", db::SubjectKind::user);
  made.user_id = test::id(5);
  db::RightsChanges changes;
  changes.version = 1;
  changes.tokens = {made};
  changes.users = {db::User{test::id(5), "ann", "", {"owner"}, 1}};
  book.apply(changes);
  EXPECT_TRUE(may(book.check({"abcdefghij", kSecret}), Action::read, Type::audit_log));

  changes = {};
  changes.version = 2;
  changes.users = {db::User{test::id(5), "ann", "", {}, 2}};
  book.apply(changes);
  EXPECT_FALSE(may(book.check({"abcdefghij", kSecret}), Action::read, Type::audit_log));
}

TEST_F(TokenBookTest, FollowsADatabaseThatWasRestored) {
  TokenBook book(file(), clock_);
  db::RightsChanges changes;
  changes.version = 12;
  changes.tokens = {token("abcdefghij", db::SubjectKind::system)};
  book.apply(changes);
  changes.version = 10;
  book.apply(changes);
  EXPECT_EQ(book.version(), 10) << "the database's next change is number 11, and must be asked for";
}

TEST_F(TokenBookTest, NoHumanRoleReachesBoundaryUsage) {  // BU-28
  TokenBook book(file(), clock_);
  db::Token made = token("abcdefghij", db::SubjectKind::user);
  made.user_id = test::id(5);
  for (const char* role : {"owner", "auditor", "template-admin", "user-admin", "member"}) {
    db::RightsChanges changes;
    changes.version = 1;
    changes.tokens = {made};
    changes.users = {db::User{test::id(5), "ann", "", {role}, 1}};
    book.apply(changes);
    const auto answer = book.check({"abcdefghij", kSecret});
    ASSERT_EQ(answer.verdict, Verdict::good);
    for (const Action action : {Action::read, Action::update, Action::delete_})
      EXPECT_FALSE(may(answer, action, Type::boundary_usage)) << role;
  }
}

TEST_F(TokenBookTest, AnAllowListNarrowsAToken) {
  TokenBook book(file(), clock_);
  db::Token made = token("abcdefghij");
  made.allow_list = {"workspace:" + test::id(1).to_string()};
  book.learn(made, std::nullopt);
  const auto answer = book.check({"abcdefghij", kSecret});
  ASSERT_EQ(answer.verdict, Verdict::good);
  EXPECT_FALSE(may(answer, Action::update, Type::boundary_usage));
}

TEST_F(TokenBookTest, ATokenWhoseRightsDoNotExpandIsRefused) {
  TokenBook book(file(), clock_);
  db::Token made = token("abcdefghij");
  made.scopes = {"no_such:scope"};
  book.learn(made, std::nullopt);
  EXPECT_EQ(book.check({"abcdefghij", kSecret}).verdict, Verdict::refused);
}

TEST_F(TokenBookTest, AnAgentReportsForItsOwnWorkspaceAndOwnerOnly) {
  TokenBook book(file(), clock_);
  book.learn(agent_token("agentagent"), std::nullopt);
  const auto answer = book.check({"agentagent", kSecret});
  ASSERT_EQ(answer.verdict, Verdict::good);
  EXPECT_TRUE(admits_event(*answer.caller, test::id(1), test::id(2)));
  EXPECT_FALSE(admits_event(*answer.caller, test::id(9), test::id(2)));
  EXPECT_FALSE(admits_event(*answer.caller, test::id(1), test::id(9)));
  EXPECT_FALSE(may(answer, Action::update, Type::boundary_usage)) << "only event by event";

  db::Token narrowed = agent_token("agentaback");
  narrowed.allow_list = {"workspace:" + test::id(1).to_string()};
  book.learn(narrowed, std::nullopt);
  EXPECT_FALSE(admits_event(*book.check({"agentaback", kSecret}).caller, test::id(1), test::id(2)))
      << "the stored list no longer admits the owner";
}

bool may_to(const TokenBook::Answer& answer, Action action, const authz::Object& object) {
  return authz::decide(answer.caller->subject, action, object).allowed;
}

/// An agent of workspace 1 of user 2, who is a member of organization 7.
db::RightsChanges agent_of_a_member(std::int64_t version) {
  db::RightsChanges changes;
  changes.version = version;
  changes.tokens = {agent_token("agentagent")};
  changes.users = {db::User{test::id(2), "ann", "ann@x", {}, version}};
  changes.users.front().org_roles = {"organization-member:" + test::id(7).to_string()};
  return changes;
}

TEST_F(TokenBookTest, AnAgentHasItsOwnersRightsOnItsOwnWorkspaceAlone) {
  TokenBook book(file(), clock_);
  book.apply(agent_of_a_member(1));
  const auto answer = book.check({"agentagent", kSecret});
  ASSERT_EQ(answer.verdict, Verdict::good);
  const std::string own = test::id(1).to_string(), owner = test::id(2).to_string(), org = test::id(7).to_string();
  const std::string other = test::id(9).to_string();
  EXPECT_TRUE(may_to(answer, Action::read, {Type::workspace, own, owner, org}));
  EXPECT_TRUE(may_to(answer, Action::ssh, {Type::workspace, own, owner, org}));
  EXPECT_FALSE(may_to(answer, Action::read, {Type::workspace, other, owner, org})) << "another one of its owner";
  EXPECT_FALSE(may_to(answer, Action::read, {Type::workspace, own, other, org})) << "the owner may not either";
  EXPECT_FALSE(may_to(answer, Action::create, {Type::workspace, {}, owner, org}));
  EXPECT_TRUE(may_to(answer, Action::read_personal, {Type::user, owner, owner}));
  EXPECT_FALSE(may_to(answer, Action::read, {Type::api_key, {}, owner}));
  EXPECT_TRUE(admits_event(*answer.caller, test::id(1), test::id(2)));
}

TEST_F(TokenBookTest, AnAgentWithoutUserDataReadsNothingOfItsOwner) {
  TokenBook book(file(), clock_);
  db::RightsChanges changes = agent_of_a_member(1);
  changes.tokens.front().agent->no_user_data = true;
  book.apply(changes);
  const auto answer = book.check({"agentagent", kSecret});
  ASSERT_EQ(answer.verdict, Verdict::good);
  const std::string own = test::id(1).to_string(), owner = test::id(2).to_string(), org = test::id(7).to_string();
  EXPECT_TRUE(may_to(answer, Action::read, {Type::workspace, own, owner, org}));
  for (const Action action : {Action::read, Action::read_personal, Action::update_personal})
    EXPECT_FALSE(may_to(answer, action, {Type::user, owner, owner}));
  EXPECT_TRUE(admits_event(*answer.caller, test::id(1), test::id(2))) << "reports hold no user data";
}

TEST_F(TokenBookTest, AnAgentFollowsItsOwnersRoles) {
  TokenBook book(file(), clock_);
  const std::string own = test::id(1).to_string(), owner = test::id(2).to_string(), org = test::id(7).to_string();
  const authz::Object workspace{Type::workspace, own, owner, org};
  book.learn(agent_token("agentagent"), std::nullopt);
  const auto stranger = book.check({"agentagent", kSecret});
  ASSERT_EQ(stranger.verdict, Verdict::good) << "its owner is not known here";
  EXPECT_FALSE(may_to(stranger, Action::read, workspace));
  EXPECT_TRUE(admits_event(*stranger.caller, test::id(1), test::id(2)));

  book.apply(agent_of_a_member(1));
  EXPECT_TRUE(may_to(book.check({"agentagent", kSecret}), Action::read, workspace));
  db::RightsChanges changes;
  changes.version = 2;
  changes.users = {db::User{test::id(2), "ann", "", {}, 2}};
  book.apply(changes);
  EXPECT_FALSE(may_to(book.check({"agentagent", kSecret}), Action::read, workspace)) << "no member any more";
  changes = {};
  changes.version = 3;
  changes.deleted_users = {test::id(2)};
  book.apply(changes);
  EXPECT_FALSE(book.check({"agentagent", kSecret}).caller->user);
}

TEST_F(TokenBookTest, ATokenCountsAsKeptOnlyOnceTheFileHoldsIt) {
  TokenBook book(file(), clock_);
  book.learn(token("abcdefghij"), std::nullopt);
  const auto first = book.check({"abcdefghij", kSecret});
  ASSERT_EQ(first.verdict, Verdict::good);
  EXPECT_FALSE(first.kept);
  book.keep(first.learnt);
  EXPECT_TRUE(book.check({"abcdefghij", kSecret}).kept);
  EXPECT_TRUE(TokenBook(file(), clock_).check({"abcdefghij", kSecret}).kept) << "from the file";

  book.learn(token("bbbbbbbbbb"), std::nullopt);
  EXPECT_TRUE(book.check({"abcdefghij", kSecret}).kept);
  EXPECT_FALSE(book.check({"bbbbbbbbbb", kSecret}).kept);
}

TEST_F(TokenBookTest, ATokenThatIsReadAgainUnchangedStaysKept) {
  TokenBook book(file(), clock_);
  db::RightsChanges changes;
  changes.version = 1;
  changes.tokens = {token("abcdefghij"), token("bbbbbbbbbb")};
  book.apply(changes);
  ASSERT_TRUE(book.save());
  const auto caller = book.check({"abcdefghij", kSecret}).caller;

  changes.version = 2;
  changes.tokens[1].scopes = {"boundary_usage:update"};
  book.apply(changes);
  const auto again = book.check({"abcdefghij", kSecret});
  EXPECT_TRUE(again.kept);
  EXPECT_EQ(again.caller, caller) << "it need not be made ready anew either";
  EXPECT_FALSE(book.check({"bbbbbbbbbb", kSecret}).kept) << "the file does not know its scope yet";
  book.replace(changes);
  EXPECT_TRUE(book.check({"abcdefghij", kSecret}).kept);
}

TEST_F(TokenBookTest, WhatEndedLongAgoIsForgotten) {
  TokenBook book(file(), clock_);
  db::Token expired = token("expired000");
  expired.expires_at_us = 1'000;
  db::Token revoked = token("revoked000");
  revoked.revoked_at_us = 1'000;
  db::Token lately = token("lately0000");
  lately.revoked_at_us = 2'000;
  db::RightsChanges changes;
  changes.version = 1;
  changes.tokens = {expired, revoked, lately, token("lasting000")};
  book.apply(changes);
  ASSERT_TRUE(book.save());
  book.drop_ended(2'000);
  EXPECT_FALSE(book.knows("expired000"));
  EXPECT_FALSE(book.knows("revoked000"));
  EXPECT_TRUE(book.knows("lately0000"));
  EXPECT_TRUE(book.knows("lasting000"));
  EXPECT_TRUE(book.dirty()) << "the file is to forget them too";
  ASSERT_TRUE(book.save());
  book.drop_ended(2'000);
  EXPECT_FALSE(book.dirty());
}

TEST_F(TokenBookTest, WhatWaitsForTheDiskTogetherIsWrittenOnce) {
  TokenBook book(file(), clock_);
  book.learn(token("abcdefghij"), std::nullopt);
  book.learn(token("bbbbbbbbbb"), std::nullopt);
  book.keep(book.check({"bbbbbbbbbb", kSecret}).learnt);
  std::filesystem::remove(file());
  book.keep(book.check({"abcdefghij", kSecret}).learnt);
  EXPECT_FALSE(std::filesystem::exists(file())) << "it was in the file that went";
}

TEST_F(TokenBookTest, ADiskThatTakesNothingRefusesNobody) {
  TokenBook book((folder_ / "missing" / "rights.json").string(), clock_);
  book.learn(token("abcdefghij"), std::nullopt);
  book.keep(book.check({"abcdefghij", kSecret}).learnt);
  const auto answer = book.check({"abcdefghij", kSecret});
  EXPECT_EQ(answer.verdict, Verdict::good);
  EXPECT_TRUE(answer.kept);
  EXPECT_TRUE(book.dirty()) << "it is tried again";
}

db::RightsChanges member_with_role(std::int64_t version, const std::string& token_id) {
  db::Token made = token(token_id, db::SubjectKind::user);
  made.user_id = test::id(5);
  db::RightsChanges changes;
  changes.version = version;
  changes.tokens = {made};
  db::User user{test::id(5), "ann", "", {}, version};
  user.org_roles = {"organization-member:" + test::id(7).to_string(), "watcher:" + test::id(7).to_string()};
  user.groups = {test::id(8).to_string()};
  changes.users = {user};
  changes.roles = {{test::id(7), "watcher", "", false, {"workspace:read"}, {}, version}};
  return changes;
}

bool may_in_org(const TokenBook::Answer& answer, Action action, Type type) {
  const std::string org = test::id(7).to_string();
  return authz::decide(answer.caller->subject, action, authz::Object{.type = type, .org = org}).allowed;
}

TEST_F(TokenBookTest, ACustomRoleIsHeldAsItIsNow) {
  TokenBook book(file(), clock_);
  book.apply(member_with_role(1, "abcdefghij"));
  EXPECT_TRUE(may_in_org(book.check({"abcdefghij", kSecret}), Action::read, Type::workspace));

  db::RightsChanges changes;
  changes.version = 2;
  changes.roles = {{test::id(7), "watcher", "", false, {"task:read"}, {}, 2}};
  book.apply(changes);
  EXPECT_FALSE(may_in_org(book.check({"abcdefghij", kSecret}), Action::read, Type::workspace));
  EXPECT_TRUE(may_in_org(book.check({"abcdefghij", kSecret}), Action::read, Type::task));

  changes = {};
  changes.version = 3;
  changes.deleted_roles = {{test::id(7), "watcher"}};
  book.apply(changes);
  EXPECT_FALSE(may_in_org(book.check({"abcdefghij", kSecret}), Action::read, Type::task));
  EXPECT_TRUE(may_in_org(book.check({"abcdefghij", kSecret}), Action::read, Type::organization)) << "still a member";
}

TEST_F(TokenBookTest, AnOrganizationMayHaveAMemberRoleOfItsOwnAndNoOtherBuiltInRole) {
  TokenBook book(file(), clock_);
  const auto share = [&] {
    const std::string org = test::id(7).to_string();
    const std::string me = test::id(5).to_string();
    const auto caller = book.check({"abcdefghij", kSecret}).caller;
    return authz::decide(caller->subject, Action::share, authz::Object{Type::workspace, {}, me, org}).allowed;
  };
  db::RightsChanges changes = member_with_role(1, "abcdefghij");
  changes.users.front().org_roles.push_back("organization-admin:" + test::id(7).to_string());
  book.apply(changes);
  EXPECT_TRUE(share());

  changes = {};
  changes.version = 2;
  changes.roles = {{test::id(7), "organization-member", "", true, {"-workspace:share"}, {}, 2},
                   {test::id(7), "organization-admin", "", true, {}, {}, 2}};
  book.apply(changes);
  EXPECT_FALSE(share());
  EXPECT_TRUE(may_in_org(book.check({"abcdefghij", kSecret}), Action::update, Type::organization)) << "still its admin";

  changes = {};
  changes.version = 3;
  changes.deleted_roles = {{test::id(7), "organization-member"}};
  book.apply(changes);
  EXPECT_TRUE(share()) << "as every organization has it";
}

TEST_F(TokenBookTest, RemembersMembershipsAndCustomRolesOverARestart) {
  {
    TokenBook book(file(), clock_);
    book.apply(member_with_role(4, "abcdefghij"));
    ASSERT_TRUE(book.save());
  }
  TokenBook book(file(), clock_);
  EXPECT_FALSE(book.dirty());
  const auto answer = book.check({"abcdefghij", kSecret});
  EXPECT_TRUE(may_in_org(answer, Action::read, Type::workspace));
  EXPECT_EQ(answer.caller->user->groups, std::vector<std::string>{test::id(8).to_string()});
}

TEST_F(TokenBookTest, AnOlderViewReplacesNothing) {
  TokenBook book(file(), clock_);
  db::Token made = token("abcdefghij", db::SubjectKind::user);
  made.user_id = test::id(5);
  made.version = 3;
  db::RightsChanges changes;
  changes.version = 9;
  changes.tokens = {made};
  changes.users = {db::User{test::id(5), "ann", "", {}, 9}};
  book.apply(changes);
  book.learn(made, db::User{test::id(5), "ann", "", {"owner"}, 8});  // an answer that was under way
  EXPECT_FALSE(may(book.check({"abcdefghij", kSecret}), Action::read, Type::audit_log));
  book.learn(made, db::User{test::id(5), "ann", "", {"owner"}, 10});
  EXPECT_TRUE(may(book.check({"abcdefghij", kSecret}), Action::read, Type::audit_log));
}

TEST_F(TokenBookTest, ARestoredDatabaseIsTakenOverAsAWhole) {
  TokenBook book(file(), clock_);
  book.apply(member_with_role(9, "abcdefghij"));
  db::Token gone = token("gonegonego");
  gone.version = 9;
  db::Token revoked = token("revokedrev");
  revoked.revoked_at_us = 5;
  db::RightsChanges changes;
  changes.version = 9;
  changes.tokens = {gone, revoked};
  book.apply(changes);

  db::RightsChanges older = member_with_role(4, "abcdefghij");
  older.users.front().org_roles.clear();
  older.roles.clear();
  older.tokens.push_back(token("revokedrev"));  // of before its revocation
  book.replace(older);
  EXPECT_EQ(book.version(), 4);
  EXPECT_FALSE(may_in_org(book.check({"abcdefghij", kSecret}), Action::read, Type::workspace));
  EXPECT_EQ(book.check({"gonegonego", kSecret}).verdict, Verdict::unknown);
  EXPECT_EQ(book.check({"revokedrev", kSecret}).verdict, Verdict::refused);
}

TEST_F(TokenBookTest, KeepsNoMoreCallersReadyThanItsBound) {
  TokenBook book(file(), clock_, 64);
  db::RightsChanges changes;
  changes.version = 1;
  for (int i = 0; i < 1000; ++i) changes.tokens.push_back(token("token0" + std::to_string(1000 + i)));
  book.apply(changes);
  for (int round = 0; round < 3; ++round)
    for (const db::Token& each : changes.tokens)
      ASSERT_EQ(book.check({each.id, kSecret}).verdict, Verdict::good) << "let go of, and made anew";
  EXPECT_LE(book.prepared(), 64u);
  EXPECT_GT(book.prepared(), 32u);
  db::RightsChanges again = changes;  // their callers are dropped; the bound still holds
  again.version = 2;
  book.apply(again);
  for (const db::Token& each : changes.tokens) ASSERT_EQ(book.check({each.id, kSecret}).verdict, Verdict::good);
  EXPECT_LE(book.prepared(), 64u);
}

TEST_F(TokenBookTest, TellsOfEachTokenOnceAnIntervalThatItWasUsed) {
  TokenBook book(file(), clock_);
  book.learn(token("abcdefghij"), std::nullopt);
  EXPECT_TRUE(book.take_used().empty());
  for (int i = 0; i < 3; ++i) (void)book.check({"abcdefghij", kSecret});
  EXPECT_EQ(book.take_used(), std::vector<std::string>{"abcdefghij"});
  (void)book.check({"abcdefghij", kSecret});
  EXPECT_TRUE(book.take_used().empty());
  book.start_use_interval();
  (void)book.check({"abcdefghij", kOther});
  EXPECT_TRUE(book.take_used().empty()) << "a wrong secret is no use";
  (void)book.check({"abcdefghij", kSecret});
  EXPECT_EQ(book.take_used().size(), 1u);
}

}  // namespace
}  // namespace tally::daemon
