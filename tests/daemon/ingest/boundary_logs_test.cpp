#include "tests/daemon/ingest/requests.hpp"

namespace tally::ingest {
namespace {

std::string log(bool allowed, std::string_view more = "") {
  return std::string(R"({"allowed":)") + (allowed ? "true" : "false") + R"(,"time":"2026-01-01T00:00:00Z")" +
         std::string(more) + R"(,"http_request":{"method":"GET","url":")" + std::string(3000, 'u') +
         R"(","matched_rule":null}})";
}
std::string numbered(bool allowed, std::uint64_t number) {
  return log(allowed, ",\"sequence_number\":" + std::to_string(number));
}
std::string body(const std::string& logs, std::string_view more = "") {
  return R"({"workspace_id":")" + kW1 + R"(","owner_id":")" + kO1 + "\"" + std::string(more) + ",\"logs\":[" + logs +
         "]}";
}
const std::string kSession = R"(,"session_id":"s1")";
const std::string kSkipped = R"({"allowed":true,"time":"2026-01-01T00:00:00Z"})";

struct Taken {
  std::string verdict;
  Accepted accepted;
  LogBatch batch;
};
Taken take(const Request& request) {
  Taken taken;
  const auto refusal = read_boundary_logs(request, taken.accepted, taken.batch);
  taken.verdict = verdict(refusal, taken.accepted);
  return taken;
}

TEST(BoundaryLogs, AreOneIncrement) {
  const Taken taken = take(json(body(log(true) + "," + log(false) + "," + log(true))));
  EXPECT_EQ(taken.verdict, "202 3");
  EXPECT_EQ(taken.accepted.type, tracker::RecordType::boundary);
  EXPECT_EQ(increments(taken.accepted), (std::vector<tracker::Increment>{{uuid(kW1), uuid(kO1), 2, 1}}));
  EXPECT_FALSE(taken.batch.numbered);
}

TEST(BoundaryLogs, WithoutARequestAreSkipped) {
  const Taken taken = take(json(
      body(kSkipped + "," + log(true) + R"(,{"allowed":false,"time":"2026-01-01T00:00:00Z","http_request":null})")));
  EXPECT_EQ(taken.verdict, "202 1");
  EXPECT_EQ(taken.batch.skipped, 2u);
}

TEST(BoundaryLogs, OfWhichNoneCountsNeedNoRecord) {
  for (const std::string& logs : {std::string(), kSkipped}) {
    const Taken taken = take(json(body(logs)));
    EXPECT_EQ(taken.verdict, "202 0");
    EXPECT_FALSE(taken.accepted.needs_record());
    EXPECT_EQ(taken.batch.workspace, uuid(kW1)) << "rights are checked all the same";
    EXPECT_EQ(taken.batch.owner, uuid(kO1));
  }
}

TEST(BoundaryLogs, WithASessionAndNumbersHaveTheirOwnKey) {
  const Taken taken =
      take(json(body(numbered(true, 7) + "," + numbered(false, 9) + "," + numbered(true, 12), kSession)));
  EXPECT_EQ(taken.verdict, "202 3");
  EXPECT_TRUE(taken.batch.numbered);
  EXPECT_EQ(taken.batch.first, 7u);
  EXPECT_EQ(taken.batch.last, 12u);
  EXPECT_EQ(taken.batch.missing, 3u);
  const auto found = effects(taken.accepted);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].key, key_id(KeySubject::system("t"), "boundary-usage/logs", {"s1", "7", "12"}));
  EXPECT_EQ(found[0].increments.size(), 1u);
}

TEST(BoundaryLogs, SentAgainAreTheSameEffect) {
  const auto first = take(json(
      body(numbered(true, 1) + "," + numbered(false, 2), R"(,"session_id":"ABCDEFAB-0000-4000-8000-000000000001")")));
  OwnedRequest again = json(body(numbered(false, 2) + " , " + numbered(true, 1),
                                 R"(,"x":1,"session_id":"abcdefab-0000-4000-8000-000000000001")"));
  again.idempotency_key = "another-for-each-attempt";
  EXPECT_EQ(effects(take(again).accepted), effects(first.accepted));
  const auto other = take(json(
      body(numbered(true, 1) + "," + numbered(true, 2), R"(,"session_id":"abcdefab-0000-4000-8000-000000000001")")));
  EXPECT_EQ(effects(other.accepted)[0].key, effects(first.accepted)[0].key);
  EXPECT_NE(effects(other.accepted)[0].body, effects(first.accepted)[0].body);
}

TEST(BoundaryLogs, WithoutNumbersUseTheIdempotencyKey) {
  OwnedRequest request = json(body(log(true), kSession));
  request.idempotency_key = "k";
  const auto found = effects(take(request).accepted);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].key, key_id(KeySubject::system("t"), "boundary-usage/logs", {"k"}));
  EXPECT_EQ(found[0].body, body_hash(request.body));
}

TEST(BoundaryLogs, WithEveryNumberUpToTheLargestAreTaken) {
  const Taken taken = take(json(body(numbered(true, 0) + "," + numbered(true, tracker::kLargestCount), kSession)));
  EXPECT_EQ(taken.verdict, "202 2");
  EXPECT_EQ(taken.batch.missing, tracker::kLargestCount - 1);
}

struct LogsCase {
  std::string_view name;
  std::string text;
  std::string verdict;
};
class BadLogs : public testing::TestWithParam<LogsCase> {};

TEST_P(BadLogs, AreRefused) {
  EXPECT_EQ(take(json(GetParam().text)).verdict, GetParam().verdict);
}

INSTANTIATE_TEST_SUITE_P(
    BoundaryLogs, BadLogs,
    testing::Values(
        LogsCase{"array", "[]", "422 : not an object"}, LogsCase{"empty", "", "400"},
        LogsCase{"nothing", "{}", "422 /workspace_id: missing /owner_id: missing /logs: missing"},
        LogsCase{"logs_null", R"({"workspace_id":")" + kW1 + R"(","owner_id":")" + kO1 + R"(","logs":null})",
                 "422 /logs: not an array"},
        LogsCase{"log_number", body("1"), "422 /logs/0: not an object"},
        LogsCase{"log_empty", body("{}"), "422 /logs/0/allowed: missing /logs/0/time: missing"},
        LogsCase{"allowed_text", body(R"({"allowed":"true","time":"2026-01-01T00:00:00Z"})"),
                 "422 /logs/0/allowed: not true or false"},
        LogsCase{"bad_time", body(kSkipped + R"(,{"allowed":true,"time":"x"})"),
                 "422 /logs/1/time: not an RFC 3339 time"},
        LogsCase{"request_text", body(R"({"allowed":true,"time":"2026-01-01T00:00:00Z","http_request":"GET /"})"),
                 "422 /logs/0/http_request: not an object"},
        LogsCase{"url_number", body(R"({"allowed":true,"time":"2026-01-01T00:00:00Z","http_request":{"url":1}})"),
                 "422 /logs/0/http_request/url: not a string"},
        LogsCase{"negative_number", body(log(true, ",\"sequence_number\":-1"), kSession),
                 "422 /logs/0/sequence_number: negative"},
        LogsCase{"some_numbers", body(numbered(true, 1) + "," + log(true), kSession),
                 "422 /logs: with a session, all logs have a sequence_number or none has"},
        LogsCase{"same_number", body(numbered(true, 1) + "," + numbered(true, 2) + "," + numbered(true, 1), kSession),
                 "422 /logs: a sequence_number is given twice"},
        LogsCase{"empty_session", body(log(true), R"(,"session_id":"")"), "422 /session_id: empty"},
        LogsCase{"null_session", body(log(true), R"(,"session_id":null)"), "422 /session_id: not a string"},
        LogsCase{"logs_twice", body("", R"(,"logs":[])"), "422 /logs: given twice"},
        LogsCase{"cut_off", R"({"logs":[)", "400 : not JSON: expected ',' or ']' at byte 9"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(BoundaryLogs, AreJsonOnly) {
  OwnedRequest request = json(body(log(true)));
  for (const char* type :
       {"application/x-ndjson", "application/cloudevents+json", "text/plain", "application/json; charset=latin1"}) {
    request.content_type = type;
    EXPECT_EQ(take(request).verdict, "415") << type;
  }
  request.content_type = "application/json; charset=utf-8";
  request.idempotency_key = "";
  EXPECT_EQ(take(request).verdict, "400");
}

}  // namespace
}  // namespace tally::ingest
