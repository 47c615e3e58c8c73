// The small parts that can be asked directly.
#include <gmock/gmock.h>

#include "daemon/http/query.hpp"
#include "daemon/http/response.hpp"
#include "daemon/http/route_table.hpp"
#include "fixture.hpp"

namespace tally::http::test {
namespace {

using testing::HasSubstr;

TEST(HttpProblem, HasTheMembersOfRfc9457) {
  const Response response = problem(Status::not_found, "no such report");
  EXPECT_EQ(response.content_type, "application/problem+json");
  EXPECT_EQ(response.body, R"({"type":"about:blank","title":"Not Found","status":404,"detail":"no such report"})");
}

TEST(HttpProblem, PointsAtWhatIsWrongInTheBody) {
  const BodyError errors[] = {{"/3/workspace_id", "not a UUID"}, {"", "empty"}};
  EXPECT_THAT(
      problem(Status::unprocessable_entity, "x", errors).body,
      HasSubstr(R"("errors":[{"pointer":"/3/workspace_id","detail":"not a UUID"},{"pointer":"","detail":"empty"}]})"));
}

TEST(HttpProblem, EscapesWhatAClientSaid) {
  EXPECT_THAT(problem(Status::bad_request, "\"\\\n\x01\x7F \xC3\xA4 \xFF \xC0\x80 \xED\xA0\x80 \xF0\x9F\x98\x80").body,
              HasSubstr("\"\\\"\\\\\\u000a\\u0001\\u007f \xC3\xA4 \xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD "
                        "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD \xF0\x9F\x98\x80\""));
}

TEST(HttpResponse, CannotBeSplitByAHeaderValue) {
  Response response;
  response.add_header("Location", std::string_view("/a\r\nSet-Cookie: b\0", 18));
  EXPECT_EQ(response.headers, "Location: /a  Set-Cookie: b \r\n");
}

TEST(HttpResponse, ToldToWaitSaysForHowLong) {
  EXPECT_EQ(retry_later(Status::too_many_requests, "slow down", std::chrono::seconds(7)).headers, "Retry-After: 7\r\n");
}

TEST(HttpQuery, IsDecoded) {
  std::string problem;
  const auto query = Query::parse("q=a%20b+c&&limit=5&empty=&bare&%C3%A4=1", problem);
  ASSERT_TRUE(query.has_value());
  EXPECT_EQ(query->find("q"), "a b c");
  EXPECT_EQ(query->find("limit"), "5");
  EXPECT_EQ(query->find("empty"), "");
  EXPECT_EQ(query->find("bare"), "");
  EXPECT_EQ(query->find("\xC3\xA4"), "1");
  EXPECT_EQ(query->find("other"), std::nullopt);
  EXPECT_EQ(query->unknown({"q", "limit", "empty", "bare"}), "\xC3\xA4");
}

TEST(HttpQuery, IsRefusedWhenItCanBeReadTwoWaysOrNone) {
  std::string problem;
  for (const char* bad : {"a=%", "a=%2", "a=%zz", "%=1", "a=%00", "a=%FF", "a=1&a=2", "a&%61"}) {
    EXPECT_TRUE(Query::parse(bad, problem).has_error()) << bad;
    EXPECT_FALSE(problem.empty());
    problem.clear();
  }
}

TEST(HttpPercentDecoding, LeavesAPlusInAPath) {
  EXPECT_EQ(percent_decode("a+b%2Bc").value(), "a+b+c");
  EXPECT_EQ(percent_decode("a+b", true).value(), "a b");
}

TEST(HttpRouteTable, RefusesRowsThatCannotBeMeant) {
  const RouteInfo no_slash[] = {{Verb::get, "x", {}}};
  EXPECT_THROW(detail::PathIndex{no_slash}, std::logic_error);
  const RouteInfo many[] = {{Verb::get, "/{a}/{b}/{c}/{d}/{e}", {}}};
  EXPECT_THROW(detail::PathIndex{many}, std::logic_error);
}

template <class... Columns>
concept MakesARow = requires(Columns... columns) {
  Route<Api>{columns...};
};

TEST(HttpRouteTable, TakesNoRowWithoutAPermission) {
  using Coroutine = Handler<Api>::Coroutine;
  static_assert(MakesARow<Verb, std::string_view, Api::Permission, Coroutine>);
  static_assert(!MakesARow<Verb, std::string_view, Coroutine>);
  static_assert(!MakesARow<Verb, std::string_view>);
  static_assert(!MakesARow<Verb, std::string_view, Api::Permission>);
}

}  // namespace
}  // namespace tally::http::test
