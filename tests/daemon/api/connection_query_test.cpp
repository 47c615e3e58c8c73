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

TEST(ConnectionCursor, ComesBackAsItWas) {
  for (const std::int64_t at : {std::int64_t{0}, std::int64_t{-62135596800000000}, std::int64_t{1767225600000001}}) {
    for (const char* snapshot : {"7:7:", "7:12:7", "7:12:7,8,11", "731:18446744073:731,99999"}) {
      const db::ConnectionCursor cursor{{at, tracker::Uuid::random()}, snapshot};
      const std::string text = to_cursor(cursor);
      EXPECT_EQ(text.find_first_not_of("0123456789abcdef-."), text.npos) << text;
      const auto read = read_cursor(text);
      ASSERT_TRUE(read) << text;
      EXPECT_EQ(read->place.at_us, at);
      EXPECT_EQ(read->place.entry, cursor.place.entry);
      EXPECT_EQ(read->snapshot, snapshot);
    }
  }
}

TEST(ConnectionCursor, IsNothingElse) {
  const std::string good = to_cursor({{1, tracker::Uuid::random()}, "7:12:"});
  const std::string place = good.substr(0, good.find('.'));
  ASSERT_TRUE(read_cursor(good));
  for (const std::string& bad : {std::string(),
                                 good.substr(1),
                                 "x" + good.substr(1),
                                 "7fffffffffffffff" + good.substr(16),
                                 place,
                                 place + ".",
                                 place + "0.7.12",
                                 place + ".7",
                                 place + ".7.",
                                 place + ".7.12.",
                                 place + ".12.7",
                                 place + ".0.1",
                                 place + ".7.x",
                                 place + ".7:12:",
                                 place + ".7.12.6",
                                 place + ".7.12.12",
                                 place + ".7.12.8.8",
                                 place + ".7.12.9.8",
                                 place + ".-7.12",
                                 place + ".7.99999999999999999999",
                                 good + std::string(5'000, '1')})
    EXPECT_FALSE(read_cursor(bad)) << bad;
}

}  // namespace
}  // namespace tally::daemon::api
