#include "db/token_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/db/batches.hpp"

namespace tally::db {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using tracker::Errc;

struct Rights {
  test::TestDatabase database;
  test::StoreUnderTest store{database.conninfo()};
  TokenStore tokens{store.pool()};
  Directory directory{store.pool()};

  template <class T>
  T run(boost::asio::awaitable<T> work) {
    return store.run(std::move(work));
  }
  std::int64_t version() { return run(store->clock()).value().rights_version; }
};

Token system_token(std::string token_id) {
  Token token;
  token.id = std::move(token_id);
  token.secret_sha256.fill(7);
  token.kind = SubjectKind::system;
  token.system_subject = "boundary_usage_tracker";
  token.scopes = {"coder:all", "with,comma \"quoted\""};
  token.allow_list = {"*:*"};
  return token;
}

TEST(TokenStore, GivesBackWhatItWasGiven) {
  Rights rights;
  Token made = system_token("abcdefghi0");
  made.expires_at_us = 1'900'000'000'123'456;
  made.name = "night shift";
  const Token kept = rights.run(rights.tokens.create(made, "admin")).value().token;
  const Token found = rights.run(rights.tokens.find("abcdefghi0")).value().value();
  EXPECT_EQ(found.secret_sha256, made.secret_sha256);
  EXPECT_EQ(found.scopes, made.scopes);
  EXPECT_EQ(found.allow_list, made.allow_list);
  EXPECT_EQ(found.expires_at_us, made.expires_at_us);
  EXPECT_EQ(found.name, "night shift");
  EXPECT_EQ(found.system_subject, "boundary_usage_tracker");
  EXPECT_EQ(found.version, kept.version);
  EXPECT_FALSE(found.user_id);
  EXPECT_FALSE(found.agent);
  EXPECT_GT(found.created_at_us, 0);
}

TEST(TokenStore, KeepsWhatAnAgentIsBoundTo) {
  Rights rights;
  Token made = system_token("agent00000");
  made.kind = SubjectKind::agent;
  made.system_subject.clear();
  made.agent = AgentBinding{id(1), id(2), id(3), id(4), std::nullopt, true};
  ASSERT_TRUE(rights.run(rights.tokens.create(made, "admin")));
  EXPECT_EQ(rights.run(rights.tokens.find("agent00000")).value()->agent, made.agent);
  made.id = "agent00001";
  made.agent->task = id(5);
  ASSERT_TRUE(rights.run(rights.tokens.create(made, "admin")));
  EXPECT_EQ(rights.run(rights.tokens.find("agent00001")).value()->agent, made.agent);
}

TEST(TokenStore, RefusesATakenIdAndAnUnknownUser) {
  Rights rights;
  ASSERT_TRUE(rights.run(rights.tokens.create(system_token("abcdefghi0"), "admin")));
  EXPECT_EQ(rights.run(rights.tokens.create(system_token("abcdefghi0"), "admin")).error(), Errc::conflict);
  Token user = system_token("user000000");
  user.kind = SubjectKind::user;
  user.system_subject.clear();
  user.user_id = id(9);
  EXPECT_EQ(rights.run(rights.tokens.create(user, "admin")).error(), Errc::not_found);
  EXPECT_FALSE(rights.run(rights.tokens.find("user000000")).value());
}

TEST(TokenStore, EveryChangeRaisesTheVersionThatHeartbeatsAnswer) {
  Rights rights;
  const std::int64_t start = rights.version();
  ASSERT_TRUE(rights.run(rights.tokens.create(system_token("abcdefghi0"), "admin")));
  const std::int64_t created = rights.version();
  EXPECT_GT(created, start);
  ASSERT_TRUE(rights.run(rights.tokens.revoke("abcdefghi0", "admin")));
  EXPECT_GT(rights.version(), created);
  EXPECT_EQ(rights.run(rights.tokens.revoke("nosuchtokn", "admin")).error(), Errc::not_found);
  EXPECT_TRUE(rights.run(rights.tokens.revoke("abcdefghi0", "admin")));
  EXPECT_EQ(rights.database.query("SELECT string_agg(action, ',' ORDER BY id) FROM audit_log"),
            "create_token,revoke_token");
}

TEST(TokenStore, ListsEndedTokensOnlyWhenAsked) {
  Rights rights;
  Token expired = system_token("expired000");
  expired.expires_at_us = 1'000'000;
  ASSERT_TRUE(rights.run(rights.tokens.create(expired, "admin")));
  ASSERT_TRUE(rights.run(rights.tokens.create(system_token("revoked000"), "admin")));
  ASSERT_TRUE(rights.run(rights.tokens.create(system_token("valid00000"), "admin")));
  ASSERT_TRUE(rights.run(rights.tokens.revoke("revoked000", "admin")));
  const auto valid = rights.run(rights.tokens.list()).value();
  ASSERT_EQ(valid.size(), 1u);
  EXPECT_EQ(valid[0].id, "valid00000");
  EXPECT_EQ(rights.run(rights.tokens.list(true)).value().size(), 3u);
}

TEST(TokenStore, TellsChangesSinceAVersion) {
  Rights rights;
  ASSERT_TRUE(rights.run(rights.tokens.create(system_token("abcdefghi0"), "admin")));
  ASSERT_TRUE(rights.run(rights.directory.put_user({id(1), "ann", "a@x", {"owner"}}, Seen::anything(), "admin")));
  const RightsChanges everything = rights.run(rights.tokens.changes(0)).value();
  EXPECT_EQ(everything.tokens.size(), 1u);
  EXPECT_EQ(everything.users.size(), 1u);
  EXPECT_THAT(rights.run(rights.tokens.changes(everything.version)).value().tokens, IsEmpty());

  ASSERT_TRUE(rights.run(rights.tokens.revoke("abcdefghi0", "admin")));
  ASSERT_TRUE(rights.run(rights.directory.delete_user(id(1), Seen::anything(), "admin")));
  const RightsChanges after = rights.run(rights.tokens.changes(everything.version)).value();
  ASSERT_EQ(after.tokens.size(), 1u);
  EXPECT_TRUE(after.tokens[0].revoked_at_us);
  EXPECT_THAT(after.users, IsEmpty());
  EXPECT_THAT(after.deleted_users, ElementsAre(id(1)));
}

TEST(TokenStore, RevokesTheTokensOfADeletedUserAndOfItsAgents) {
  Rights rights;
  ASSERT_TRUE(rights.run(rights.directory.put_user({id(1), "ann", "", {}}, Seen::anything(), "admin")));
  Token own = system_token("own0000000");
  own.kind = SubjectKind::user;
  own.system_subject.clear();
  own.user_id = id(1);
  Token agent = system_token("agent00000");
  agent.kind = SubjectKind::agent;
  agent.system_subject.clear();
  agent.agent = AgentBinding{id(7), id(1), id(3), id(4), std::nullopt, false};
  for (const Token& token : {own, agent, system_token("other00000")})
    ASSERT_TRUE(rights.run(rights.tokens.create(token, "admin")));
  ASSERT_TRUE(rights.run(rights.directory.delete_user(id(1), Seen::anything(), "admin")));
  EXPECT_EQ(rights.run(rights.directory.delete_user(id(1), Seen::anything(), "admin")).error(), Errc::not_found);
  const auto left = rights.run(rights.tokens.list()).value();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].id, "other00000");
}

TEST(Users, ArePutTwiceAndKeepTheirNamesApart) {
  Rights rights;
  EXPECT_TRUE(
      rights.run(rights.directory.put_user({id(1), "ann", "a@x", {"owner"}}, Seen::anything(), "admin"))->created);
  EXPECT_FALSE(
      rights.run(rights.directory.put_user({id(1), "anna", "a@x", {"auditor", "owner"}}, Seen::anything(), "admin"))
          ->created);
  EXPECT_EQ(rights.run(rights.directory.put_user({id(2), "ANNA", "", {}}, Seen::anything(), "admin")).error(),
            Errc::conflict);
  const User user = rights.run(rights.directory.find_user(id(1))).value().value();
  EXPECT_EQ(user.username, "anna");
  EXPECT_THAT(user.roles, ElementsAre("auditor", "owner"));
  EXPECT_EQ(rights.run(rights.directory.list_users({})).value().size(), 1u);
}

TEST(Users, ComeBackAfterTheyWereDeleted) {
  Rights rights;
  ASSERT_TRUE(rights.run(rights.directory.put_user({id(1), "ann", "", {}}, Seen::anything(), "admin")));
  ASSERT_TRUE(rights.run(rights.directory.delete_user(id(1), Seen::anything(), "admin")));
  ASSERT_TRUE(rights.run(rights.directory.put_user({id(1), "ann", "", {}}, Seen::anything(), "admin")));
  const RightsChanges changes = rights.run(rights.tokens.changes(0)).value();
  EXPECT_THAT(changes.deleted_users, IsEmpty());
  EXPECT_EQ(changes.users.size(), 1u);
}

TEST(TokenStore, CountsTheTokensOfAPartOfThePlatform) {
  Rights rights;
  Token other = system_token("other00000");
  other.system_subject = "connection_logger";
  ASSERT_TRUE(rights.run(rights.tokens.create(other, "t", 2)));
  ASSERT_TRUE(rights.run(rights.tokens.create(system_token("first00000"), "t", 2)));
  ASSERT_TRUE(rights.run(rights.tokens.create(system_token("second0000"), "t", 2)));
  EXPECT_EQ(rights.run(rights.tokens.create(system_token("third00000"), "t", 2)).error(), Errc::overloaded);
  ASSERT_TRUE(rights.run(rights.tokens.revoke("first00000", "t")));
  EXPECT_TRUE(rights.run(rights.tokens.create(system_token("third00000"), "t", 2)));
}

TEST(TokenStore, SaysInTheAuditLogWhatATokenIsGoodFor) {
  Rights rights;
  Token made = system_token("agent00000");
  made.kind = SubjectKind::agent;
  made.system_subject.clear();
  made.agent = AgentBinding{id(1), id(2), id(3), id(4), std::nullopt, true};
  made.scopes = {"workspace:read"};
  made.allow_list = {"workspace:*"};
  made.expires_at_us = 1'900'000'000'000'000;
  const Author by("user:1", R"({"reason": "site_role", "level": "site"})");
  const std::string detail = rights.run(rights.tokens.create(made, by)).value().detail;
  const auto line = [&rights](const std::string& action) {
    return rights.database.query("SELECT detail FROM audit_log WHERE action = '" + action + "'");
  };
  EXPECT_EQ(line("create_token"), detail);
  EXPECT_EQ(detail,
            R"({"kind": "agent", "name": "", "task": null, "user": null, "owner": ")" + id(2).to_string() +
                R"(", "scopes": ["workspace:read"], "subject": "", "template": ")" + id(3).to_string() +
                R"(", "workspace": ")" + id(1).to_string() +
                R"(", "allow_list": ["workspace:*"], "allowed_by": {"level": "site", "reason": "site_role"}, )" +
                R"("expires_at": "2030-03-17T17:46:40+00:00", "no_user_data": true, "template_version": ")" +
                id(4).to_string() + R"("})");
  const std::string gone = rights.run(rights.tokens.revoke("agent00000", by)).value();
  EXPECT_EQ(line("revoke_token"), gone);
  EXPECT_THAT(gone, testing::HasSubstr(R"("scopes": ["workspace:read"])"));
  EXPECT_THAT(gone, testing::HasSubstr(R"("allowed_by": {"level": "site", "reason": "site_role"})"));
  EXPECT_EQ(rights.run(rights.tokens.revoke("agent00000", by)).value(), "") << "the second time nothing happens";
}

/// More rows of each kind than a page holds, most of them of one version.
void fill_large(Rights& rights) {
  rights.database.query(R"sql(
    INSERT INTO tallyd.organizations (id, name, version) VALUES ('00000000-0000-4000-8000-000000000001', 'o', 1);
    INSERT INTO tallyd.users (id, username, version)
      SELECT gen_random_uuid(), 'u' || n, CASE WHEN n <= 4500 THEN 5 ELSE n END FROM generate_series(1, 5000) n;
    INSERT INTO tallyd.api_tokens (id, secret_sha256, kind, user_id, version, revoked_at)
      SELECT lpad(row_number() OVER (ORDER BY username)::text, 10, '0'), sha256(username::bytea), 'user', id, version,
             CASE WHEN version = 5 THEN now() END FROM tallyd.users;
    INSERT INTO tallyd.users_deleted (id, version) SELECT gen_random_uuid(), 7 FROM generate_series(1, 4500);
    INSERT INTO tallyd.custom_roles (organization_id, name, version)
      SELECT '00000000-0000-4000-8000-000000000001', 'r' || n, 6 FROM generate_series(1, 4500) n;
    INSERT INTO tallyd.custom_roles_deleted (organization_id, name, version)
      SELECT gen_random_uuid(), 'r' || n, 8 FROM generate_series(1, 4500) n;
    UPDATE tallyd.rights_version SET version = 5000)sql");
}

TEST(TokenStore, ReadsLargeDirectoriesPageByPage) {
  Rights rights;
  fill_large(rights);
  const RightsChanges all = rights.run(rights.tokens.changes(0)).value();
  EXPECT_EQ(all.version, 5000);
  const auto distinct = [](const auto& rows, auto key) {
    std::set<std::string> keys;
    for (const auto& row : rows) keys.insert(key(row));
    return keys.size();
  };
  const auto by_id = [](const auto& row) { return row.id.to_string(); };
  const auto by_name = [](const CustomRole& role) { return role.organization.to_string() + role.name; };
  EXPECT_EQ(all.users.size(), 5000u);
  EXPECT_EQ(distinct(all.users, by_id), 5000u);
  EXPECT_EQ(distinct(all.tokens, [](const Token& token) { return token.id; }), 5000u);
  EXPECT_EQ(distinct(all.deleted_users, [](const tracker::Uuid& id) { return id.to_string(); }), 4500u);
  EXPECT_EQ(distinct(all.roles, by_name), 4500u);
  EXPECT_EQ(distinct(all.deleted_roles, by_name), 4500u);
  const RightsChanges some = rights.run(rights.tokens.changes(4900)).value();
  EXPECT_EQ(some.users.size(), 100u);
  EXPECT_EQ(some.tokens.size(), 100u);
  EXPECT_THAT(some.roles, IsEmpty());
  EXPECT_EQ(rights.run(rights.tokens.revoked_since(0)).value().size(), 4500u);
  EXPECT_THAT(rights.run(rights.tokens.revoked_since(5)).value(), IsEmpty());
}

TEST(TokenStore, ReadsAgainWhatChangesUnderALongReading) {
  Rights rights;
  fill_large(rights);
  RightsReading reading = rights.run(rights.tokens.read_on(RightsReading(0))).value();
  EXPECT_FALSE(reading.done);
  const tracker::Uuid first = reading.changes.users.front().id;
  const User last = rights.run(rights.directory.list_users({{"username = 'u5000'", {}}, {}, 1})).value().front();
  ASSERT_TRUE(rights.run(rights.directory.put_user({first, "renamed", "", {}}, Seen::anything(), "t")));
  ASSERT_TRUE(rights.run(rights.directory.put_user({last.id, "moved", "", {}}, Seen::anything(), "t")));
  while (!reading.done) reading = rights.run(rights.tokens.read_on(std::move(reading))).value();
  EXPECT_EQ(reading.changes.version, 5000) << "what came later is told next time as well";
  std::map<tracker::Uuid, std::string> names;
  for (const User& user : reading.changes.users) names[user.id] = user.username;
  EXPECT_EQ(names.size(), 5000u);
  EXPECT_EQ(names[first], "renamed");
  EXPECT_EQ(names[last.id], "moved");
}

TEST(TokenStore, BeginsALongReadingAnewWhenRowsWentMeanwhile) {
  Rights rights;
  fill_large(rights);
  RightsReading reading = rights.run(rights.tokens.read_on(RightsReading(3))).value();
  rights.database.query("UPDATE tallyd.rights_version SET purged_version = 4");
  EXPECT_EQ(rights.run(rights.tokens.read_on(std::move(reading))).error(), Errc::serialization);
  const RightsChanges all = rights.run(rights.tokens.changes(3)).value();
  EXPECT_TRUE(all.everything);
  EXPECT_EQ(all.users.size(), 5000u);
}

TEST(TokenStore, RemembersWhenTokensWereUsed) {
  Rights rights;
  ASSERT_TRUE(rights.run(rights.tokens.create(system_token("abcdefghi0"), "admin")));
  const std::int64_t before = rights.version();
  ASSERT_TRUE(rights.run(rights.tokens.touch({"abcdefghi0", "nosuchtokn"})));
  EXPECT_TRUE(rights.run(rights.tokens.find("abcdefghi0")).value()->last_used_at_us);
  EXPECT_EQ(rights.version(), before) << "use is no change of rights";
}

using namespace std::chrono_literals;

/// Everything that ended did so that long ago.
void age(Rights& rights, const std::string& interval) {
  rights.database.query("UPDATE api_tokens SET revoked_at = revoked_at - interval '" + interval + "'");
  rights.database.query("UPDATE users_deleted SET deleted_at = deleted_at - interval '" + interval + "'");
  rights.database.query("UPDATE custom_roles_deleted SET deleted_at = deleted_at - interval '" + interval + "'");
}

TEST(Expiry, RemovesTokensThatEndedLongAgoAndKeepsTheirAuditLines) {
  Rights rights;
  Token expired = system_token("expired000");
  expired.expires_at_us = 1'000'000;
  Token lasting = system_token("lasting000");
  lasting.expires_at_us = 4'000'000'000'000'000;
  for (const Token& token : {expired, lasting, system_token("revoked000"), system_token("lately0000")})
    ASSERT_TRUE(rights.run(rights.tokens.create(token, "admin")));
  ASSERT_TRUE(rights.run(rights.tokens.revoke("revoked000", "admin")));
  age(rights, "2 hours");
  ASSERT_TRUE(rights.run(rights.tokens.revoke("lately0000", "admin")));
  const std::int64_t before = rights.version();

  const Expired gone = rights.run(rights.tokens.expire(1h, 100)).value();
  EXPECT_EQ(gone.tokens, 2);
  EXPECT_EQ(rights.database.query("SELECT string_agg(id, ',' ORDER BY id) FROM api_tokens"), "lasting000,lately0000");
  EXPECT_EQ(rights.database.query("SELECT count(*) FROM audit_log"), "6") << "four made, two revoked";
  EXPECT_EQ(rights.version(), before) << "nobody has less or more rights for it";
  EXPECT_EQ(rights.run(rights.tokens.expire(1h, 100))->rows, 0);
}

TEST(Expiry, GoesInChunks) {
  Rights rights;
  for (char c = 'a'; c < 'f'; ++c) {
    Token expired = system_token(std::string(10, c));
    expired.expires_at_us = (c - 'a' + 1) * 1'000'000;
    ASSERT_TRUE(rights.run(rights.tokens.create(expired, "admin")));
  }
  EXPECT_EQ(rights.run(rights.tokens.expire(1h, 2))->rows, 2);
  EXPECT_EQ(rights.database.query("SELECT min(id) FROM api_tokens"), "cccccccccc") << "the oldest first";
  EXPECT_EQ(rights.run(rights.tokens.expire(1h, 2))->rows, 2);
  EXPECT_EQ(rights.run(rights.tokens.expire(1h, 2))->rows, 1);
}

TEST(Expiry, WhoFellBehindItReadsEverything) {
  Rights rights;
  const tracker::Uuid org = id(7);
  ASSERT_TRUE(rights.run(rights.directory.put_organization({org, "acme", ""}, Seen::anything(), "admin")));
  ASSERT_TRUE(rights.run(rights.directory.put_user({id(1), "ann", "", {}}, Seen::anything(), "admin")));
  ASSERT_TRUE(rights.run(rights.directory.put_user({id(2), "bob", "", {}}, Seen::anything(), "admin")));
  for (const char* name : {"stays", "goes"})
    ASSERT_TRUE(rights.run(
        rights.directory.put_role({org, name, "", false, {"workspace:read"}, {}}, Seen::anything(), "admin")));
  for (const char* token : {"stays00000", "goes000000"})
    ASSERT_TRUE(rights.run(rights.tokens.create(system_token(token), "admin")));
  const std::int64_t asleep = rights.version();
  ASSERT_TRUE(rights.run(rights.tokens.revoke("goes000000", "admin")));
  ASSERT_TRUE(rights.run(rights.directory.delete_user(id(1), Seen::anything(), "admin")));
  ASSERT_TRUE(rights.run(rights.directory.delete_role(org, "goes", "admin")));
  const std::int64_t awake = rights.version();
  EXPECT_FALSE(rights.run(rights.tokens.changes(asleep))->everything) << "its end is still told";

  age(rights, "2 hours");
  const Expired gone = rights.run(rights.tokens.expire(1h, 100)).value();
  EXPECT_EQ(gone.tokens, 1);
  EXPECT_EQ(gone.rows, 3) << "the marks of the user and of the role too";
  const RightsChanges all = rights.run(rights.tokens.changes(asleep)).value();
  EXPECT_TRUE(all.everything);
  ASSERT_EQ(all.tokens.size(), 1u);
  EXPECT_EQ(all.tokens[0].id, "stays00000");
  ASSERT_EQ(all.users.size(), 1u);
  EXPECT_EQ(all.users[0].username, "bob");
  ASSERT_EQ(all.roles.size(), 1u);
  EXPECT_EQ(all.roles[0].name, "stays");
  const RightsChanges none = rights.run(rights.tokens.changes(awake)).value();
  EXPECT_FALSE(none.everything);
  EXPECT_THAT(none.tokens, IsEmpty());
}

}  // namespace
}  // namespace tally::db
