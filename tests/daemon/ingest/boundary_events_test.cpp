#include <gmock/gmock.h>

#include "tests/daemon/ingest/requests.hpp"

namespace tally::ingest {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

std::vector<tracker::Increment> taken(const Request& request) {
  Accepted accepted;
  const auto refusal = read_boundary_events(request, accepted);
  EXPECT_EQ(verdict(refusal, accepted).substr(0, 3), "202") << verdict(refusal, accepted);
  return increments(accepted);
}

TEST(BoundaryEvents, TakesOneEvent) {
  EXPECT_EQ(taken(json(event(kW1))), (std::vector<tracker::Increment>{{uuid(kW1), uuid(kO1), 2, 1}}));
}

TEST(BoundaryEvents, TakesAnArrayInOrder) {
  EXPECT_EQ(taken(json("[" + event(kW1) + " ,\n" + event(kW2, R"("denied":9007199254740991)") + "]\n")),
            (std::vector<tracker::Increment>{{uuid(kW1), uuid(kO1), 2, 1},
                                             {uuid(kW2), uuid(kO1), 0, tracker::kLargestCount}}));
}

TEST(BoundaryEvents, TakesLinesAndSkipsEmptyOnes) {
  EXPECT_EQ(taken(ndjson("\n" + event(kW1) + "\r\n \t\r\n\n" + event(kW2, R"("allowed":0)"))),
            (std::vector<tracker::Increment>{{uuid(kW1), uuid(kO1), 2, 1}, {uuid(kW2), uuid(kO1), 0, 0}}));
}

TEST(BoundaryEvents, ReusesWhatTheCallerHands) {
  Accepted accepted;
  accepted.payload = "left over";
  accepted.events = 7;
  ASSERT_FALSE(read_boundary_events(json(event(kW1)), accepted));
  EXPECT_EQ(accepted.events, 1u);
  EXPECT_EQ(increments(accepted).size(), 1u);
}

TEST(BoundaryEvents, NothingToCountNeedsNoRecordUnlessThereIsAKey) {
  for (OwnedRequest request : {json("[]"), json(" [ ] "), ndjson("\n\r\n")}) {
    Accepted accepted;
    ASSERT_EQ(verdict(read_boundary_events(request, accepted), accepted), "202 0");
    EXPECT_FALSE(accepted.needs_record());
    request.idempotency_key = "k";
    ASSERT_EQ(verdict(read_boundary_events(request, accepted), accepted), "202 0");
    ASSERT_EQ(effects(accepted).size(), 1u);
    EXPECT_EQ(effects(accepted)[0].key, key_of(request));
  }
}

/// One event that the scanner would or would not take; `verdict` is what must come of it in every form.
struct EventCase {
  std::string_view name;
  std::string text;
  std::string verdict;  // without the pointer of the event
};

std::string members(std::string_view rest) {
  return R"({"workspace_id":")" + kW1 + R"(","owner_id":")" + kO1 + "\"" + std::string(rest) + "}";
}

class EveryForm : public testing::TestWithParam<EventCase> {};

std::string expected(const std::string& verdict, const std::string& at) {
  // "422 @/allowed: why" has one mark for each pointer.
  std::string text;
  for (const char c : verdict)
    if (c == '@')
      text += at;
    else
      text += c;
  return text;
}

TEST_P(EveryForm, JudgesTheEventAlike) {
  const EventCase& c = GetParam();
  const bool not_json = c.verdict == "400";
  const auto check = [&](const Request& request, const std::string& at) {
    if (not_json)
      EXPECT_THAT(verdict(request), MatchesRegex("400 (.* )?" + at + ": not JSON: .*")) << request.body;
    else
      EXPECT_EQ(verdict(request).substr(0, 3) == "202" ? "202" : verdict(request), expected(c.verdict, at))
          << request.body;
  };
  check(json(c.text), "");
  check(json("[" + event(kW2) + "," + c.text + "]"), not_json ? "/[12]" : "/1");  // behind an event is before the next
  if (c.text.find('\n') == std::string::npos) {
    check(ndjson(event(kW2) + "\n\n" + c.text), "/2");
    check(ndjson(c.text + "\n" + event(kW2) + "\n"), "/0");
  }
  const std::string attributes =
      R"({"specversion":"1.0","type":"tallyd.boundary_usage.v1","source":"s","id":"i","data":)";
  // Two levels of the eight are the envelope's, and what is not JSON has no place in it.
  if (!not_json) check(OwnedRequest("application/cloudevents+json", attributes + c.text + "}"), "/data");
}

const std::string kDeep6 = "[[[[[[]]]]]]";

INSTANTIATE_TEST_SUITE_P(
    BoundaryEvents, EveryForm,
    testing::Values(
        EventCase{"plain", event(kW1), "202"},
        EventCase{"white_space",
                  "{ \"workspace_id\" :\t\"" + kW1 + "\" , \"owner_id\": \"" + kO1 + "\" , \"allowed\" : 1 }", "202"},
        EventCase{"line_breaks",
                  "{\n\"workspace_id\":\"" + kW1 + "\",\r\n\"owner_id\":\"" + kO1 + "\",\n\"denied\":1\n}", "202"},
        EventCase{"other_order",
                  R"({"denied":1,"owner_id":")" + kO1 + R"(","allowed":2,"workspace_id":")" + kW1 + "\"}", "202"},
        EventCase{"upper_case_uuid", event("ABCDEFAB-CDEF-4ABC-8DEF-ABCDEFABCDEF"), "202"},
        EventCase{"nil_uuid", event("00000000-0000-0000-0000-000000000000"), "202"},
        EventCase{"escaped_name", R"({"workspace\u005fid":")" + kW1 + R"(","owner_id":")" + kO1 + R"(","allowed":1})",
                  "202"},
        EventCase{"escaped_uuid", event("\\u0031" + kW1.substr(1)), "202"},
        EventCase{"time", members(R"(,"allowed":1,"time":"2026-02-28T23:59:60Z")"), "202"},
        EventCase{"short_time_at_the_end", members(R"(,"allowed":1,"time":1)"), "422 @/time: not a string"},
        EventCase{"empty_time", members(R"(,"allowed":1,"time":"")"), "422 @/time: not an RFC 3339 time"},
        EventCase{"no_such_day", members(R"(,"time":"2026-02-29T00:00:00Z","allowed":1)"),
                  "422 @/time: not an RFC 3339 time"},
        EventCase{"null_time", members(R"(,"time":null,"allowed":1)"), "422 @/time: not a string"},
        EventCase{"long_time", members(R"(,"allowed":1,"time":"2026-01-01T00:00:00.)" + std::string(300, '1') + "Z\""),
                  "422 @/time: longer than 256 bytes"},
        EventCase{"longest_time",
                  members(R"(,"allowed":1,"time":"2026-01-01T00:00:00.)" + std::string(235, '1') + "Z\""), "202"},
        EventCase{"unknown_scalars", members(R"(,"a":"x","b":-1.5e+3,"c":true,"d":false,"e":null,"a":1,"allowed":1)"),
                  "202"},
        EventCase{"unknown_out_of_range", members(R"(,"a":1e999,"allowed":1)"), "202"},
        EventCase{"unknown_nested", members(R"(,"a":{"allowed":[1,{"x":"}"}]},"allowed":1)"), "202"},
        EventCase{"unknown_long", members(",\"a\":\"" + std::string(5000, 'x') + "\",\"allowed\":1"), "202"},
        EventCase{"unknown_utf8", members(",\"\xc3\xa9\":\"\xf0\x9f\x98\x80\",\"allowed\":1"), "202"},
        EventCase{"unknown_pair_of_surrogates", members(R"(,"a":"\ud83d\ude00","allowed":1)"), "202"},
        EventCase{"unknown_short_at_the_end", members(R"(,"allowed":1,"a":1)"), "202"},
        EventCase{"counts_absent", members(""), "422 @: one of allowed and denied must be there"},
        EventCase{"count_zero", members(R"(,"allowed":0)"), "202"},
        EventCase{"count_largest", members(R"(,"allowed":9007199254740991)"), "202"},
        EventCase{"count_2_53", members(R"(,"allowed":9007199254740992)"), "422 @/allowed: above 9007199254740991"},
        EventCase{"count_2_63", members(R"(,"denied":9223372036854775808)"), "422 @/denied: above 9007199254740991"},
        EventCase{"count_2_64_plus_1", members(R"(,"denied":18446744073709551617)"),
                  "422 @/denied: above 9007199254740991"},
        EventCase{"count_400_digits", members(",\"denied\":" + std::string(400, '1')),
                  "422 @/denied: above 9007199254740991"},
        EventCase{"count_1e400", members(R"(,"allowed":1e400)"),
                  "422 @/allowed: not an integer written with digits only"},
        EventCase{"count_1e2", members(R"(,"allowed":1e2)"), "422 @/allowed: not an integer written with digits only"},
        EventCase{"count_1_0", members(R"(,"allowed":1.0)"), "422 @/allowed: not an integer written with digits only"},
        EventCase{"count_1_5", members(R"(,"allowed":1.5)"), "422 @/allowed: not an integer written with digits only"},
        EventCase{"count_minus_zero", members(R"(,"allowed":-0)"), "422 @/allowed: negative"},
        EventCase{"count_minus_one", members(R"(,"allowed":-1)"), "422 @/allowed: negative"},
        EventCase{"count_text", members(R"(,"allowed":"1")"), "422 @/allowed: not a number"},
        EventCase{"count_null", members(R"(,"allowed":null,"denied":1)"), "422 @/allowed: not a number"},
        EventCase{"count_true", members(R"(,"allowed":true)"), "422 @/allowed: not a number"},
        EventCase{"count_array", members(R"(,"allowed":[1])"), "422 @/allowed: not a number"},
        EventCase{"count_leading_zero", members(R"(,"allowed":01)"), "400"},
        EventCase{"count_plus", members(R"(,"allowed":+1)"), "400"},
        EventCase{"count_hex", members(R"(,"allowed":0x1)"), "400"},
        EventCase{"count_nan", members(R"(,"allowed":NaN)"), "400"},
        EventCase{"count_infinity", members(R"(,"allowed":Infinity)"), "400"},
        EventCase{"count_dot", members(R"(,"allowed":1.)"), "400"},
        EventCase{"count_empty_exponent", members(R"(,"allowed":1e)"), "400"},
        EventCase{"duplicate_count", members(R"(,"allowed":1,"allowed":1)"), "422 @/allowed: given twice"},
        EventCase{"duplicate_by_escape", members(R"(,"allowed":1,"\u0061llowed":1)"), "422 @/allowed: given twice"},
        EventCase{"duplicate_id", members(R"(,"owner_id":")" + kO1 + R"(","allowed":1)"),
                  "422 @/owner_id: given twice"},
        EventCase{"duplicate_time",
                  members(R"(,"time":"2026-01-01T00:00:00Z","allowed":1,"time":"2026-01-01T00:00:00Z")"),
                  "422 @/time: given twice"},
        EventCase{"name_in_other_case", R"({"Workspace_ID":")" + kW1 + R"(","owner_id":")" + kO1 + R"(","allowed":1})",
                  "422 @/workspace_id: missing"},
        EventCase{"uuid_without_dashes", event("11111111111141118111111111111111"), "422 @/workspace_id: not a UUID"},
        EventCase{"uuid_in_braces", event("{" + kW1 + "}"), "422 @/workspace_id: not a UUID"},
        EventCase{"uuid_urn", event("urn:uuid:" + kW1), "422 @/workspace_id: not a UUID"},
        EventCase{"uuid_short", event(kW1.substr(1)), "422 @/workspace_id: not a UUID"},
        EventCase{"uuid_long", event(kW1 + "1"), "422 @/workspace_id: not a UUID"},
        EventCase{"uuid_bad_digit", event("g" + kW1.substr(1)), "422 @/workspace_id: not a UUID"},
        EventCase{"uuid_empty", event(""), "422 @/workspace_id: not a UUID"},
        EventCase{"uuid_huge", event(std::string(10000, 'a')), "422 @/workspace_id: longer than 256 bytes"},
        EventCase{"uuid_number", R"({"workspace_id":1,"owner_id":")" + kO1 + R"(","allowed":1})",
                  "422 @/workspace_id: not a string"},
        EventCase{"several_problems", R"({"workspace_id":"x","allowed":-1})",
                  "422 @/workspace_id: not a UUID @/allowed: negative @/owner_id: missing"},
        EventCase{"empty_object", "{}",
                  "422 @/workspace_id: missing @/owner_id: missing @: one of allowed and denied must be there"},
        EventCase{"null", "null", "422 @: not an object"}, EventCase{"number", "1", "422 @: not an object"},
        EventCase{"text", "\"x\"", "422 @: not an object"}, EventCase{"boolean", "false", "422 @: not an object"},
        EventCase{"depth_8", members(",\"allowed\":1,\"a\":" + kDeep6), "202"},
        EventCase{"cut_off", members(R"(,"allowed":1)").substr(0, 80), "400"},
        EventCase{"trailing_comma", members(R"(,"allowed":1,)"), "400"},
        EventCase{"missing_comma", members(R"("allowed":1)"), "400"},
        EventCase{"single_quotes", "{'allowed':1}", "400"}, EventCase{"bare_name", "{allowed:1}", "400"},
        EventCase{"comment", members(R"(,"allowed":1/**/)"), "400"},
        EventCase{"trailing_brace", event(kW1) + "}", "400"}, EventCase{"two_values", event(kW1) + event(kW1), "400"},
        EventCase{"byte_order_mark", "\xef\xbb\xbf" + event(kW1), "400"},
        EventCase{"nul_byte", event(kW1) + std::string(1, '\0'), "400"},
        EventCase{"nul_in_text", members(",\"allowed\":1,\"a\":\"" + std::string(1, '\0') + "\""), "400"},
        EventCase{"tab_in_text", members(",\"allowed\":1,\"a\":\"\t\""), "400"},
        EventCase{"lone_high_surrogate", members(R"(,"a":"\ud800","allowed":1)"), "400"},
        EventCase{"lone_low_surrogate", members(R"(,"a":"\udc00","allowed":1)"), "400"},
        EventCase{"two_high_surrogates", members(R"(,"a":"\ud800\ud800","allowed":1)"), "400"},
        EventCase{"lone_surrogate_in_name", members(R"(,"\ud800":1,"allowed":1)"), "400"},
        EventCase{"bad_escape", members(R"(,"a":"\x","allowed":1)"), "400"},
        EventCase{"short_escape", members(R"(,"a":"\u12","allowed":1)"), "400"},
        EventCase{"raw_surrogate", members(",\"a\":\"\xed\xa0\x80\",\"allowed\":1"), "400"},
        EventCase{"overlong_utf8", members(",\"a\":\"\xc0\xaf\",\"allowed\":1"), "400"},
        EventCase{"overlong_utf8_of_four", members(",\"a\":\"\xf0\x80\x80\xaf\",\"allowed\":1"), "400"},
        EventCase{"beyond_unicode", members(",\"a\":\"\xf4\x90\x80\x80\",\"allowed\":1"), "400"},
        EventCase{"cut_utf8", members(",\"a\":\"\xe2\x82\",\"allowed\":1"), "400"},
        EventCase{"latin_1", members(",\"a\":\"\xe9\",\"allowed\":1"), "400"},
        EventCase{"bad_utf8_in_name", members(",\"\xff\":1,\"allowed\":1"), "400"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(BoundaryEvents, AreNotNestedDeeperThanEight) {
  const auto nested = [](int depth) {
    return members(",\"allowed\":1,\"a\":" + std::string(depth, '[') + std::string(depth, ']'));
  };
  EXPECT_EQ(verdict(json(nested(7))), "202 1");
  EXPECT_THAT(verdict(json(nested(8))), HasSubstr("nested deeper than 8"));
  EXPECT_EQ(verdict(ndjson(nested(7))), "202 1");
  EXPECT_THAT(verdict(ndjson(nested(8))), HasSubstr("nested deeper than 8"));
  EXPECT_EQ(verdict(json("[" + nested(6) + "]")), "202 1");
  EXPECT_THAT(verdict(json("[" + nested(7) + "]")), HasSubstr("nested deeper than 8"));
  EXPECT_THAT(verdict(json(std::string(8 << 20, '['))), StartsWith("400"));
}

TEST(BoundaryEvents, AreAllRefusedWhenOneIsBad) {
  EXPECT_EQ(verdict(json("[" + event(kW1) + "," + event("x") + "," + event(kW2, R"("allowed":-1)") + "]")),
            "422 /1/workspace_id: not a UUID /2/allowed: negative");
  EXPECT_EQ(verdict(ndjson(event(kW1) + "\n" + event("x") + "\n")), "422 /1/workspace_id: not a UUID");
}

TEST(BoundaryEvents, AreNotJsonAsSoonAsOneLineIsNot) {
  EXPECT_THAT(verdict(ndjson(event("x") + "\n{\n" + event(kW1))),
              AllOf(StartsWith("400 /0/workspace_id: not a UUID /1: not JSON: "), HasSubstr("at byte")));
}

TEST(BoundaryEvents, OffsetsCountFromTheStartOfTheBody) {
  EXPECT_EQ(verdict(ndjson(" \n{\"a\":?}\n")), "400 /1: not JSON: expected a value at byte 7");
  EXPECT_EQ(verdict(json("[{},]")).substr(0, 3), "400");
}

TEST(BoundaryEvents, MayNotHoldALineBreakInsideALine) {
  EXPECT_THAT(verdict(ndjson("{\n\"allowed\":1}")), StartsWith("400 /0: not JSON"));
  EXPECT_THAT(verdict(ndjson(event(kW1) + event(kW2))), StartsWith("400 /0: not JSON: something follows the value"));
}

TEST(BoundaryEvents, TellAHundredProblemsAtMost) {
  std::string body;
  for (int i = 0; i < 250; ++i) body += event("x") + "\n";
  Accepted accepted;
  auto refusal = read_boundary_events(ndjson(body), accepted);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->status, 422);
  EXPECT_EQ(refusal->errors.size(), 100u);
  EXPECT_THAT(refusal->detail, HasSubstr("the first 100 of 250"));
  body += "{";
  refusal = read_boundary_events(ndjson(body), accepted);
  EXPECT_EQ(refusal->status, 400) << "the problem that decides lies behind the hundredth";
}

TEST(BoundaryEvents, RefuseABodyOfNoBytesOrNoValue) {
  for (const auto& body : {"", " ", "\n", "[", "]", "[1", "[,]", "tru", "nul", "-"})
    EXPECT_THAT(verdict(json(body)), StartsWith("400")) << body;
  EXPECT_THAT(verdict(ndjson("")), StartsWith("400"));
  EXPECT_THAT(verdict(json("[] []")), StartsWith("400"));
}

TEST(BoundaryEvents, WithAKeyAreOneEffect) {
  OwnedRequest request = json("[" + event(kW1) + "," + event(kW2) + "]");
  request.idempotency_key = "once";
  Accepted accepted;
  ASSERT_FALSE(read_boundary_events(request, accepted));
  const auto found = effects(accepted);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].key, key_of(request));
  EXPECT_EQ(found[0].body, body_hash(request.body));
  EXPECT_EQ(found[0].increments.size(), 2u);
  EXPECT_EQ(accepted.events, 2u);
}

}  // namespace
}  // namespace tally::ingest
