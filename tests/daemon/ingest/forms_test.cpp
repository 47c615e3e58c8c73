#include "daemon/ingest/detail/findings.hpp"
#include "tests/daemon/ingest/requests.hpp"

namespace tally::ingest {
namespace {

struct TypeCase {
  std::string_view content_type;
  int status;  // of a body that is fine as JSON and as a line
};

class ContentType : public testing::TestWithParam<TypeCase> {};

TEST_P(ContentType, IsTakenOrRefused) {
  OwnedRequest request = json(event(kW1));
  request.content_type = GetParam().content_type;
  EXPECT_EQ(verdict(request).substr(0, 3), std::to_string(GetParam().status)) << GetParam().content_type;
}

INSTANTIATE_TEST_SUITE_P(
    Types, ContentType,
    testing::Values(
        TypeCase{"application/json", 202}, TypeCase{"Application/JSON", 202},
        TypeCase{"application/json; charset=utf-8", 202}, TypeCase{"application/json;charset=\"UTF-8\"", 202},
        TypeCase{"application/json ; a=\";charset=x\" ; charset=utf8", 202}, TypeCase{"application/json;", 202},
        TypeCase{"application/x-ndjson", 202}, TypeCase{"application/x-ndjson; charset=UTF-8", 202},
        TypeCase{"application/json; charset=latin1", 415}, TypeCase{"application/json; charset=utf-16", 415},
        TypeCase{"application/json; charset=", 415}, TypeCase{"", 415}, TypeCase{";", 415}, TypeCase{"text/plain", 415},
        TypeCase{"application/jsonx", 415}, TypeCase{"application/x-www-form-urlencoded", 415},
        TypeCase{"application/cloudevents+avro", 415}, TypeCase{"application/cloudevents+json", 422},
        TypeCase{"application/cloudevents-batch+json", 422}));

TEST(IdempotencyKey, IsVisibleAsciiOfAtMost128) {
  const auto status = [](std::string_view key) {
    OwnedRequest request = json(event(kW1));
    request.idempotency_key = key;
    return verdict(request).substr(0, 3);
  };
  EXPECT_EQ(status("!~"), "202");
  EXPECT_EQ(status(std::string(128, 'k')), "202");
  EXPECT_EQ(status(std::string(129, 'k')), "400");
  EXPECT_EQ(status(""), "400");
  for (const auto& bad :
       {std::string("a b"), std::string("a\tb"), std::string("\x7f"), std::string("\xc3\xa9"), std::string(1, '\0')})
    EXPECT_EQ(status(bad), "400") << bad;
}

TEST(IdempotencyKey, IsRefusedBesideCloudEvents) {
  const std::string body =
      R"({"specversion":"1.0","type":"tallyd.boundary_usage.v1","source":"s","id":"i","data":)" + event(kW1) + "}";
  const Header headers[] = {
      {"ce-id", "1"}, {"ce-source", "s"}, {"ce-type", "tallyd.boundary_usage.v1"}, {"ce-specversion", "1.0"}};
  OwnedRequest structured("application/cloudevents+json", body);
  OwnedRequest batch("application/cloudevents-batch+json", "[" + body + "]");
  OwnedRequest binary = json(event(kW1));
  binary.headers = headers;
  for (OwnedRequest* request : {&structured, &batch, &binary}) {
    EXPECT_EQ(verdict(*request), "202 1");
    request->idempotency_key = "k";
    EXPECT_EQ(verdict(*request), "400");
  }
}

TEST(Place, IsAJsonPointer) {
  const detail::Place root;
  EXPECT_EQ(root.pointer(), "");
  const detail::Place list = root.at("a/b~c");
  const detail::Place element = list.at(12);
  EXPECT_EQ(element.at("").pointer(), "/a~1b~0c/12/");
}

}  // namespace
}  // namespace tally::ingest
