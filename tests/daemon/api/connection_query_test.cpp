#include "daemon/api/connection_query.hpp"

#include <gmock/gmock.h>

namespace tally::daemon::api {
namespace {

using db::ConnectionFilter;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

ConnectionFilter read(std::string_view text) {
  ConnectionFilter filter;
  const auto problem = read_connection_query(text, filter);
  EXPECT_FALSE(problem) << text << ": " << *problem;
  return filter;
}
std::string problem(std::string_view text) {
  ConnectionFilter filter;
  return read_connection_query(text, filter).value_or("");
}

TEST(ConnectionQuery, ReadsEveryKey) {
  const auto filter = read(
      R"(organization:acme workspace_owner:ada workspace_owner_email:ada@example.org type:ssh username:bob )"
      R"(user_email:bob@example.org connected_after:2026-01-01T00:00:00Z connected_before:2026-01-01T01:00:00+01:00 )"
      R"(workspace_id:11111111-1111-4111-8111-11111111111A connection_id:22222222-2222-4222-8222-222222222222 )"
      R"(status:ongoing)");
  EXPECT_EQ(filter.organization_name, "acme");
  EXPECT_FALSE(filter.organization);
  EXPECT_EQ(filter.workspace_owner, "ada");
  EXPECT_EQ(filter.workspace_owner_email, "ada@example.org");
  EXPECT_EQ(filter.username, "bob");
  EXPECT_EQ(filter.user_email, "bob@example.org");
  EXPECT_EQ(filter.connected_after_us, 1767225600000000);
  EXPECT_EQ(filter.connected_before_us, filter.connected_after_us);
  EXPECT_EQ(filter.workspace->to_string(), "11111111-1111-4111-8111-11111111111a");
  EXPECT_EQ(filter.connection->to_string(), "22222222-2222-4222-8222-222222222222");
  EXPECT_EQ(filter.status, ConnectionFilter::Status::ongoing);
}

TEST(ConnectionQuery, AnOrganizationIsANameOrAnId) {
  EXPECT_TRUE(read("organization:11111111-1111-4111-8111-111111111111").organization);
  EXPECT_EQ(read("organization:11111111").organization_name, "11111111");
}

TEST(ConnectionQuery, AnEmptyTextIsNoFilter) {
  EXPECT_FALSE(read("").status);
  EXPECT_TRUE(read("    ").types.empty());
}

TEST(ConnectionQuery, QuotesHoldSpacesColonsAndQuotes) {
  EXPECT_EQ(read(R"(organization:"Big Corp: \"one\" \\ two")").organization_name, R"(Big Corp: "one" \ two)");
  EXPECT_EQ(read(R"(workspace_owner:"ada" status:completed)").workspace_owner, "ada");
  EXPECT_EQ(read(R"(username:a:b)").username, "a:b");
}

TEST(ConnectionQuery, NamesWhatIsWrong) {
  EXPECT_THAT(problem("frobnicate:1"), HasSubstr("unknown key 'frobnicate'; there are organization, workspace_owner"));
  EXPECT_THAT(problem("type:ssh hello"), HasSubstr("'hello' is not a term"));
  EXPECT_THAT(problem(":x"), HasSubstr("':x' is not a term"));
  EXPECT_THAT(problem(R"("type:ssh")"), HasSubstr("is not a term"));
  EXPECT_THAT(problem("type:"), HasSubstr("'type' has no value"));
  EXPECT_THAT(problem("type:\"\""), HasSubstr("'type' has no value"));
  EXPECT_THAT(problem("username:\"ada"), HasSubstr("quote around the value of 'username' is not closed"));
  EXPECT_THAT(problem("username:\"ada\"x"), HasSubstr("space is missing"));
  EXPECT_THAT(problem("username:a\"b"), HasSubstr("quote inside"));
  EXPECT_THAT(problem("status:done"), HasSubstr("'status' is not ongoing or completed"));
  EXPECT_THAT(problem("type:SSH"), HasSubstr("'type' is not a type"));
  EXPECT_THAT(problem("connected_after:today"), HasSubstr("'connected_after' is not an RFC 3339 time"));
  EXPECT_THAT(problem("workspace_id:1"), HasSubstr("'workspace_id' is not a UUID"));
  EXPECT_THAT(problem("type:ssh type:ssh"), HasSubstr("'type' is given twice"));
}

TEST(ConnectionQuery, AFamilyHoldsItsProgramsAndAProgramOnlyItself) {  // CL-19
  EXPECT_THAT(connection_types("vscode"), Contains("cursor"));
  EXPECT_THAT(connection_types("vscode"), Contains("vscode"));
  EXPECT_THAT(connection_types("cursor"), ElementsAre("cursor"));
  EXPECT_THAT(connection_types("workspace_app"), ElementsAre("workspace_app"));
  EXPECT_THAT(connection_types("something_new"), ElementsAre("something_new"));
}

// http-api.md: "An unknown key, a bare word or a bad value: 400 naming it".
TEST(ConnectionQuery, NamesTheBadValueOfEveryKey) {
  EXPECT_EQ(problem("status:done"), "the value of 'status' is not ongoing or completed: 'done'");
  EXPECT_EQ(problem("type:SSH"), "the value of 'type' is not a type: 1 to 64 of a-z, 0-9 and _: 'SSH'");
  EXPECT_EQ(problem("workspace_id:7"), "the value of 'workspace_id' is not a UUID: '7'");
  EXPECT_EQ(problem("connection_id:\"a b\""), "the value of 'connection_id' is not a UUID: 'a b'");
  for (const std::string key : {"connected_after", "connected_before"})
    EXPECT_EQ(problem(key + ":yesterday"),
              "the value of '" + key + "' is not an RFC 3339 time, as in 2026-01-31T12:00:00Z: 'yesterday'");
  for (const std::string key :
       {"organization", "workspace_owner", "workspace_owner_email", "type", "username", "user_email", "connected_after",
        "connected_before", "workspace_id", "connection_id", "status"}) {
    EXPECT_EQ(problem(key + ":"), "'" + key + "' has no value");
    EXPECT_EQ(problem(key + ":a\"b"), "the value of '" + key + "' has a quote inside: quote all of it: a\"b");
    EXPECT_EQ(problem(key + ":\"a b"), "the quote around the value of '" + key + "' is not closed: a b");
  }
  EXPECT_EQ(problem("type:ssh type:vscode"), "'type' is given twice, the second time as 'vscode'");
}

TEST(ConnectionQuery, RepeatsLittleOfWhatIsWrongAndNothingThatATerminalObeys) {
  EXPECT_EQ(problem("status:\"a\x1b[31m\n\x7f\""),
            R"(the value of 'status' is not ongoing or completed: 'a\x1b[31m\x0a\x7f')");
  EXPECT_EQ(problem("workspace_id:" + std::string(100'000, 'x')),
            "the value of 'workspace_id' is not a UUID: '" + std::string(64, 'x') + "...'");
  EXPECT_EQ(problem("status:" + std::string(63, 'x') + "\u20ac"),
            "the value of 'status' is not ongoing or completed: '" + std::string(63, 'x') + "...'")
      << "no half letters";
  EXPECT_LT(problem(std::string(100'000, 'x')).size(), 200u);
  EXPECT_LT(problem(std::string(100'000, 'x') + ":1").size(), 400u);
}

}  // namespace
}  // namespace tally::daemon::api
