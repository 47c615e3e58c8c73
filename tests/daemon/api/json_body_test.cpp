#include "daemon/api/json_body.hpp"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tally::daemon::api {
namespace {

using http::Status;

/// `pointer: detail` of everything that is wrong, one a line; the status alone for what is no JSON.
std::string wrong(const JsonBody& body) {
  const auto refusal = body.refusal();
  if (!refusal) return "";
  if (refusal->status == Status::bad_request) return "400";
  EXPECT_EQ(refusal->status, Status::unprocessable_entity);
  std::string all;
  const boost::json::value problem = boost::json::parse(refusal->body);
  for (const auto& error : problem.at("errors").as_array())
    all += std::string(error.at("pointer").as_string()) + ": " + std::string(error.at("detail").as_string()) + "\n";
  return all;
}

TEST(JsonBody, GivesWhatItHolds) {
  JsonBody body(
      R"({"name":"a \u00e9","list":["x","y"],"yes":true,"id":"7F9C24E5-2b6a-4c1d-9e0f-3a5b7c9d1e2f","more":1})");
  const JsonNode root = body.root();
  EXPECT_EQ(root.member("name").name(10), "a \xC3\xA9");
  EXPECT_EQ(root.member("list").texts(2, 1), (std::vector<std::string>{"x", "y"}));
  EXPECT_TRUE(root.member("yes").boolean());
  EXPECT_EQ(root.member("id").uuid().to_string(), "7f9c24e5-2b6a-4c1d-9e0f-3a5b7c9d1e2f");
  EXPECT_FALSE(root.member("absent").present());
  EXPECT_EQ(wrong(body), "");
}

TEST(JsonBody, TellsWhatIsNoJson) {
  for (const char* text :
       {"", " ", "{", "{}{}", "nonsense", "{\"a\":1,}", "{\"a\":\"\xff\"}", "{'a':1}", "{\"a\":NaN}"}) {
    JsonBody body(text);
    (void)body.root();
    EXPECT_EQ(wrong(body), "400") << text;
  }
}

constexpr const char* kOutOfRange[] = {
    "1e999",
    "-1e999",
    "1.5E+400",
    "123456789012345678901234567890",
    "-123456789012345678901234567890",
    "18446744073709551616",
};

TEST(JsonBody, IgnoresNumbersOutOfRangeThatNobodyReads) {
  for (const std::string number : kOutOfRange) {
    const std::string text = R"({"name":"x, 1e999 \"1e999\"","extra":)" + number + R"(,"deep":[{"a":)" + number + "}," +
                             number + R"(],"after":"\\"})";
    JsonBody body(text);
    EXPECT_EQ(body.root().member("name").text(50), "x, 1e999 \"1e999\"") << text;
    EXPECT_EQ(body.root().member("after").text(50), "\\") << text;
    EXPECT_EQ(wrong(body), "") << text;
  }
}

TEST(JsonBody, RefusesNumbersOutOfRangeWhereTheyAreRead) {
  for (const std::string number : kOutOfRange) {
    const std::string text = "{\"name\":" + number + ",\"list\":[" + number + "],\"yes\":" + number + "}";
    JsonBody body(text);
    (void)body.root().member("name").text(50);
    (void)body.root().member("list").texts(2, 50);
    (void)body.root().member("yes").boolean();
    EXPECT_EQ(wrong(body), "/name: must be a string\n/list/0: must be a string\n/yes: must be true or false\n") << text;
    JsonBody whole(number);
    (void)whole.root().member("name");
    EXPECT_EQ(wrong(whole), ": must be an object\n") << text;
  }
}

TEST(JsonBody, TakesNoJsonForANumberOutOfRange) {
  for (const char* text :
       {"{\"a\":1e999x}", "{\"a\":01e999}", "{\"a\":1e999.5}", "{\"a\":-}", "{\"a\":1.e999}", "{\"a\":1e}",
        "{\"a\":+1e999}", "{\"a\":1e999,\"b\":.5}", "{\"a\":1e999 1e999}", "{\"a\":1e999,\"b", "{\"a\":1e999"}) {
    JsonBody body(text);
    (void)body.root();
    EXPECT_EQ(wrong(body), "400") << text;
  }
}

TEST(JsonBody, IsAtMostEightContainersDeep) {
  const auto nested = [](int depth) {
    return R"({"a":"[[[[[[[[[[\"[[[[","b":)" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  JsonBody deepest(nested(8));
  EXPECT_EQ(deepest.root().member("a").text(50), "[[[[[[[[[[\"[[[[");
  EXPECT_EQ(wrong(deepest), "");
  for (const std::string& text : {nested(9), nested(3'000'000), std::string(100'000, '{')}) {
    JsonBody body(text);
    (void)body.root();
    EXPECT_EQ(wrong(body), "400");
  }
}

TEST(JsonBody, GathersEverythingThatIsWrongWithItsPlace) {
  JsonBody body(
      R"({"a":1,"b":{"c/d~e":["x",2]},"twice":"1","twice":"2","nil":"00000000-0000-0000-0000-000000000000"})");
  const JsonNode root = body.root();
  (void)root.member("a").text(5);
  (void)root.member("absent").text(5);
  (void)root.member("b").member("c/d~e").texts(5, 5);
  (void)root.member("twice").text(5);
  (void)root.member("nil").uuid();
  (void)root.member("a").member("below");
  EXPECT_EQ(wrong(body),
            "/a: must be a string\n/absent: is missing\n/b/c~1d~0e/1: must be a string\n/twice: appears twice\n"
            "/nil: the nil UUID names nothing\n/a: must be an object\n");
}

TEST(JsonBody, SaysEverythingOnce) {
  JsonBody body(R"({"a":null})");
  for (const char* name : {"x", "y", "z"}) (void)body.root().member("a").member(name);
  EXPECT_EQ(wrong(body), "/a: must be an object\n");
}

TEST(JsonBody, HoldsTextsToTheirLimits) {
  JsonBody body(R"({"long":"123456","control":"a\u0000b","blank":"  ","list":["a","b"],"object":{"a":1,"a":2}})");
  const JsonNode root = body.root();
  EXPECT_EQ(root.member("long").text(5), "");
  EXPECT_EQ(root.member("control").text(5), "");
  (void)root.member("blank").name(5);
  EXPECT_TRUE(root.member("list").elements(1).empty());
  (void)root.member("object").members(5);
  EXPECT_EQ(wrong(body),
            "/long: at most 5 bytes\n/control: control characters cannot be part of it\n/blank: must not be empty\n"
            "/list: at most 1 elements\n/object/a: appears twice\n");
}

TEST(JsonBody, KeepsNoMoreErrorsThanAnybodyReads) {
  std::string text = "[";
  for (int i = 0; i < 500; ++i) text += i == 0 ? "1" : ",1";
  JsonBody body(text + "]");
  for (const JsonNode& each : body.root().elements(1000)) (void)each.text(1);
  const std::string all = wrong(body);
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 100);
}

}  // namespace
}  // namespace tally::daemon::api
