#include "daemon/ingest/detail/json_reader.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>

#include "tests/daemon/ingest/differential.hpp"

namespace tally::ingest::detail {
namespace {

/// Pulls everything through the reader into a value of another library, numbers as null: that library rounds them.
boost::json::value pull(JsonReader& reader) {
  std::string_view name;
  switch (reader.peek()) {
    case JsonKind::object: {
      boost::json::object object;
      reader.enter_object();
      while (reader.next_member(name)) {
        const std::string key(name);
        object[key] = pull(reader);
      }
      return object;
    }
    case JsonKind::array: {
      boost::json::array array;
      reader.enter_array();
      while (reader.next_element()) array.push_back(pull(reader));
      return array;
    }
    case JsonKind::string:
      return boost::json::string(reader.string());
    case JsonKind::number:
      reader.number();
      return nullptr;
    case JsonKind::boolean:
      return reader.boolean();
    case JsonKind::null:
      reader.skip();
      return nullptr;
    case JsonKind::none:
      break;
  }
  return nullptr;
}

void drop_numbers(boost::json::value& value) {
  if (value.is_number()) value = nullptr;
  if (value.is_array())
    for (auto& element : value.get_array()) drop_numbers(element);
  if (value.is_object())
    for (auto& member : value.get_object()) drop_numbers(member.value());
}

std::string failure(std::string_view text) {
  JsonReader reader(text, text.data());
  reader.skip();
  reader.expect_end();
  return reader.failed() ? reader.failure() + (" @" + std::to_string(reader.failure_offset())) : "";
}

TEST(JsonReader, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(failure(""), "a value is missing @0");
  EXPECT_EQ(failure(" ?"), "expected a value @1");
  EXPECT_EQ(failure("[1 2]"), "expected ',' or ']' @3");
  EXPECT_EQ(failure("{\"a\" 1}"), "expected ':' @5");
  EXPECT_EQ(failure("{\"a\":1,}"), "expected the name of a member @7");
  EXPECT_EQ(failure("{\"a\":1"), "expected ',' or '}' @6");
  EXPECT_EQ(failure("\"abc"), "a string does not end @0");
  EXPECT_EQ(failure("\"\\"), "a string does not end @1");
  EXPECT_EQ(failure("\"a\\q\""), "no such escape @2");
  EXPECT_EQ(failure("\"a\n\""), "a control character in a string @2");
  EXPECT_EQ(failure("\"\\ud800\""), "a lone surrogate @1");
  EXPECT_EQ(failure("\"\xff\""), "not UTF-8 @1");
  EXPECT_EQ(failure("-"), "expected a digit @1");
  EXPECT_EQ(failure("00"), "something follows the value @1");
  EXPECT_EQ(failure("[[[[[[[[["), "nested deeper than 8 @8");
  EXPECT_EQ(failure("[[[[[[[[]]]]]]]]"), "");
}

TEST(JsonReader, DecodesEscapes) {
  const std::string_view text = R"("\"\\\/\b\f\n\r\t\u0000\u00e9\u20ac\ud83d\ude00 and more text behind \u0041")";
  JsonReader reader(text, text.data());
  ASSERT_EQ(reader.peek(), JsonKind::string);
  EXPECT_EQ(reader.string(),
            std::string_view("\"\\/\b\f\n\r\t\0\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 and more text behind A", 41));
}

TEST(JsonReader, AgreesWithAnotherParserOnMutatedTexts) {
  const std::vector<std::string> seeds = {
      R"({"a":[1,-2.5e+3,0,true,false,null,"x\u0041\ud83d\ude00\n"],"b":{"c":{}},"d":[]})", R"([[[[[[[[]]]]]]]])",
      R"({"workspace_id":"11111111-1111-4111-8111-11111111111a","allowed":9007199254740993,"time":"2026-01-01T00:00:00Z"})",
      "[\"a long plain text, longer than one vector register\", \"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\", "
      "\"\\\\\\\"\"]"};
  boost::json::parse_options options;
  options.max_depth = kDepthLimit;
  std::mt19937 random(7);
  int good = 0, bad = 0;
  for (int round = 0; round < 100'000; ++round) {
    const std::string text = mutate(seeds[random() % seeds.size()], random);
    boost::system::error_code error;
    auto expected = boost::json::parse(text, error, {}, options);
    if (error == boost::json::error::exponent_overflow) continue;  // a limit of theirs, not of JSON
    drop_numbers(expected);
    JsonReader reader(text, text.data());
    const auto found = pull(reader);
    reader.expect_end();
    ASSERT_EQ(reader.failed(), error.failed())
        << testing::PrintToString(text) << " " << error.message() << " " << failure(text);
    ASSERT_EQ(failure(text).empty(), !error.failed())
        << "skipping judges as reading does: " << testing::PrintToString(text);
    if (!error) {
      ASSERT_EQ(found, expected) << testing::PrintToString(text);
    }
    ++(error ? bad : good);
  }
  EXPECT_GT(good, 5000);
  EXPECT_GT(bad, 5000);
}

}  // namespace
}  // namespace tally::ingest::detail
