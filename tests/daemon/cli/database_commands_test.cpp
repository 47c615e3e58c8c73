#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <boost/json.hpp>
#include <filesystem>
#include <thread>

#include "tests/support/run_program.hpp"

namespace tally::daemon::cli {
namespace {

using test::Ended;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;

constexpr const char* kAda = "7d6f0000-0000-4000-8000-000000000001";
constexpr const char* kBob = "7d6f0000-0000-4000-8000-000000000002";

/// Commands on a built-in database that no daemon runs.
class DatabaseCommands : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    // The server's user must be able to reach it, which a test directory below a home would not let it.
    char name[] = "/tmp/tally-commands-XXXXXX";
    if (::mkdtemp(name) != nullptr && ::chmod(name, 0755) == 0) directory_ = name;
  }
  static void TearDownTestSuite() {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }
  // Here and not above: what fails for the suite makes its tests skipped, which passes.
  void SetUp() override { ASSERT_FALSE(directory_.empty()) << "no directory could be made below /tmp"; }

  static Ended tallyd(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), TALLYD_BINARY);
    arguments.insert(arguments.end(), {"--state-dir", directory_ / "state"});
    return test::run_program(arguments, {"PATH=/usr/bin:/bin"});
  }
  static boost::json::value json(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--output", "json"});
    const Ended ended = tallyd(arguments);
    EXPECT_EQ(ended.code, 0) << ended.err;
    return boost::json::parse(ended.out);
  }
  static std::filesystem::path directory_;
};
std::filesystem::path DatabaseCommands::directory_;

TEST_F(DatabaseCommands, MakeATokenAndPrintItAlone) {
  const Ended made = tallyd({"token", "create", "--subject", "boundary-usage-tracker", "--name", "first"});
  EXPECT_EQ(made.code, 0) << made.err;
  EXPECT_THAT(made.out, MatchesRegex("tly_[0-9A-Za-z]+_[0-9A-Za-z]+\n"));
  EXPECT_EQ(made.out.size(), 59u);
  const std::string id = made.out.substr(4, 10);
  const Ended listed = tallyd({"token", "list"});
  EXPECT_THAT(listed.out, HasSubstr(id + "  boundary-usage-tracker  first"));
  EXPECT_THAT(listed.out, Not(HasSubstr(made.out.substr(15, 43)))) << "the secret is kept nowhere";

  EXPECT_EQ(tallyd({"token", "revoke", id}).code, 0);
  EXPECT_EQ(tallyd({"token", "revoke", id}).code, 0) << "revoking twice is no error";
  EXPECT_THAT(tallyd({"token", "list"}).out, Not(HasSubstr(id)));
  EXPECT_THAT(tallyd({"token", "list", "--all"}).out, HasSubstr("revoked"));
}

struct BadToken {
  std::string name;
  std::vector<std::string> arguments;
  int code;
  std::string what;
};
class TokenCreate : public DatabaseCommands, public testing::WithParamInterface<BadToken> {};

TEST_P(TokenCreate, RefusesWhatDoesNotAddUp) {
  std::vector<std::string> arguments{"token", "create"};
  arguments.insert(arguments.end(), GetParam().arguments.begin(), GetParam().arguments.end());
  const Ended ended = tallyd(arguments);
  EXPECT_EQ(ended.code, GetParam().code) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr(GetParam().what));
  EXPECT_THAT(ended.out, IsEmpty());
}
INSTANTIATE_TEST_SUITE_P(
    Tokens, TokenCreate,
    testing::Values(BadToken{"nobody", {}, 2, "one of --subject, --user or --agent"},
                    BadToken{"two_subjects", {"--subject", "autostart", "--user", kAda}, 2, "one of --subject"},
                    BadToken{"unknown_subject", {"--subject", "frob"}, 2, "there is no frob"},
                    BadToken{"unknown_user", {"--user", kBob}, 1, "there is no user"},
                    BadToken{"nil_user", {"--user", "00000000-0000-0000-0000-000000000000"}, 2, "names nobody"},
                    BadToken{"half_an_agent", {"--agent", "--workspace", kAda}, 2, "--owner"},
                    BadToken{"agent_detail_alone", {"--subject", "autostart", "--owner", kAda}, 2, "go with --agent"},
                    BadToken{
                        "unknown_scope", {"--subject", "autostart", "--scope", "frob"}, 2, "--scope: there is no frob"},
                    BadToken{"bad_object", {"--subject", "autostart", "--allow", "workspace"}, 2, "--allow"},
                    BadToken{"no_time", {"--subject", "autostart", "--expires", "0"}, 2, "--expires"}),
    [](const auto& bad) { return bad.param.name; });

TEST_F(DatabaseCommands, KeepUsersAndTheirTokens) {
  EXPECT_EQ(json({"user", "put", "--id", kAda, "--username", "ada", "--role", "owner"}).at("created"),
            boost::json::value(true));
  EXPECT_EQ(json({"user", "put", "--id", kAda, "--username", "ada", "--role", "owner"}).at("created"),
            boost::json::value(false));
  const Ended taken = tallyd({"user", "put", "--id", kBob, "--username", "ada"});
  EXPECT_EQ(taken.code, 1);
  EXPECT_THAT(taken.err, HasSubstr("belongs to another user"));
  EXPECT_EQ(tallyd({"user", "put", "--id", kBob, "--username", "bob", "--role", "frob"}).code, 2);

  const auto token = json({"token", "create", "--user", kAda, "--scope", "workspace:read", "--expires", "24h"});
  EXPECT_TRUE(token.at("expires_at").is_string());
  EXPECT_EQ(tallyd({"user", "delete", kAda}).code, 0);
  EXPECT_THAT(tallyd({"token", "list"}).out, Not(HasSubstr(std::string(token.at("id").as_string()))));
  EXPECT_EQ(tallyd({"user", "delete", kAda}).code, 1);
}

TEST_F(DatabaseCommands, WriteAuditLinesBesideTheirOutput) {
  constexpr const char* kCid = "7d6f0000-0000-4000-8000-000000000003";
  const Ended put = tallyd({"user", "put", "--id", kCid, "--username", "cid", "--role", "auditor"});
  EXPECT_EQ(put.out, std::string("created ") + kCid + "\n");
  EXPECT_THAT(put.err, HasSubstr(std::string("audit user created  user=") + kCid + "  username=cid  by=cli:"));
  EXPECT_THAT(put.err, HasSubstr(R"("roles": ["auditor"])"));
  const Ended made = tallyd({"token", "create", "--user", kCid, "--scope", "workspace:read", "--expires", "24h"});
  EXPECT_EQ(made.out.size(), 59u) << "the token alone";
  EXPECT_THAT(made.err, HasSubstr("audit token created  token=" + made.out.substr(4, 10)));
  EXPECT_THAT(made.err, HasSubstr(R"("scopes": ["workspace:read"])"));
  EXPECT_THAT(made.err, Not(HasSubstr(made.out.substr(15, 43)))) << "never the secret";
  const std::string id = made.out.substr(4, 10);
  EXPECT_THAT(tallyd({"token", "revoke", id}).err, HasSubstr("audit token revoked  token=" + id));
  EXPECT_THAT(tallyd({"token", "revoke", id}).err, IsEmpty()) << "nothing changed";
  const Ended deleted = tallyd({"user", "delete", kCid});
  EXPECT_THAT(deleted.err, HasSubstr(std::string("audit user deleted  user=") + kCid));
  EXPECT_THAT(deleted.err, HasSubstr(R"("roles_before": ["auditor"])"));
}

TEST_F(DatabaseCommands, CloseAPeriodOnceAndPrintItsReport) {
  const auto open = json({"summary"}).at("period").as_int64();
  const auto closed = json({"report", "--close"});
  EXPECT_EQ(closed.at("period").as_int64(), open);
  EXPECT_EQ(json({"report", "--close", "--period", std::to_string(open)}), closed) << "named again: the same report";
  EXPECT_EQ(json({"report", "--period", std::to_string(open)}), closed);
  EXPECT_EQ(json({"summary"}).at("period").as_int64(), open + 1);
  const Ended wrong = tallyd({"report", "--close", "--period", std::to_string(open + 5)});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("neither the open one nor closed"));
  EXPECT_EQ(tallyd({"verify"}).code, 0);
  EXPECT_EQ(json({"ledger"}).at("balanced"), boost::json::value(true));
}

TEST_F(DatabaseCommands, WorkSideBySide) {
  ASSERT_EQ(tallyd({"migrate"}).code, 0);
  std::vector<std::jthread> threads;
  std::array<Ended, 3> ended;
  for (Ended& one : ended) threads.emplace_back([&one] { one = tallyd({"migrate", "--check"}); });
  threads.clear();
  EXPECT_THAT(std::count_if(ended.begin(), ended.end(), [](const Ended& one) { return one.code == 0; }),
              testing::Ge(1));
  for (const Ended& one : ended) EXPECT_LE(one.code, 1) << one.err;
}

TEST(DatabaseCommand, SaysWhatToDoWhenTheServerIsAway) {
  const Ended ended =
      test::run_program({TALLYD_BINARY, "summary", "--database-url", "postgresql://u:hunter2@127.0.0.1:1/d"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.err, HasSubstr("check that PostgreSQL runs"));
  EXPECT_THAT(ended.err, Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace tally::daemon::cli
