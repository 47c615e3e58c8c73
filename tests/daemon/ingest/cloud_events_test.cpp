#include <gmock/gmock.h>

#include "daemon/ingest/detail/cloud_event.hpp"
#include "tests/daemon/ingest/requests.hpp"

namespace tally::ingest {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string attributes(std::string_view id = "1", std::string_view more = "") {
  return R"("specversion":"1.0","type":"tallyd.boundary_usage.v1","source":"/boundary","id":")" + std::string(id) +
         "\"" + std::string(more);
}
std::string cloud_event(std::string_view id, const std::string& data, std::string_view more = "") {
  return "{" + attributes(id, more) + ",\"data\":" + data + "}";
}
OwnedRequest structured(std::string body) {
  return {"application/cloudevents+json", std::move(body)};
}
OwnedRequest batch(std::string body) {
  return {"application/cloudevents-batch+json; charset=utf-8", std::move(body)};
}

std::vector<Effect> taken(const Request& request) {
  Accepted accepted;
  const auto refusal = read_boundary_events(request, accepted);
  EXPECT_FALSE(refusal) << verdict(refusal, accepted);
  return refusal ? std::vector<Effect>{} : effects(accepted);
}

struct Headers {
  std::vector<std::pair<std::string, std::string>> list = {{"ce-specversion", "1.0"},
                                                           {"CE-Type", "tallyd.boundary_usage.v1"},
                                                           {"Ce-Source", "/boundary"},
                                                           {"ce-id", "1"},
                                                           {"content-length", "9"}};
  std::string verdict_with(std::string_view name, std::string_view value) {
    auto changed = list;
    bool found = false;
    for (auto& [n, v] : changed)
      if (n == name) {
        v = value;
        found = true;
      }
    if (!found) changed.emplace_back(name, value);
    return verdict_of(changed);
  }
  static std::string verdict_of(const std::vector<std::pair<std::string, std::string>>& list) {
    std::vector<Header> headers;
    for (const auto& [name, value] : list) headers.push_back({name, value});
    OwnedRequest request = json(event(kW1));
    request.headers = headers;
    Accepted accepted;
    const auto refusal = read_boundary_events(request, accepted);
    return verdict(refusal, accepted) + (refusal ? " " + refusal->detail : "");
  }
};

TEST(CloudEvents, AreTheSameEffectInEveryMode) {
  const auto one = taken(structured(cloud_event("1", event(kW1))));
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].increments, (std::vector<tracker::Increment>{{uuid(kW1), uuid(kO1), 2, 1}}));
  EXPECT_EQ(one[0].key, key_id(KeySubject::system("t"), "boundary-usage/events", {"/boundary", "1"}));
  EXPECT_EQ(taken(batch("[" + cloud_event("1", event(kW1)) + "]")), one);
  const Header headers[] = {{"ce-specversion", "1.0"},
                            {"ce-type", "tallyd.boundary_usage.v1"},
                            {"ce-source", "%2Fboundary"},
                            {"CE-ID", "\"1\""}};
  OwnedRequest binary = json(event(kW1));
  binary.headers = headers;
  EXPECT_EQ(taken(binary), one);
}

TEST(CloudEvents, AreTheSameEffectInAnotherSpelling) {
  const auto one = taken(structured(cloud_event("1", event(kW1, R"("allowed":2)"))));
  std::string upper = kW1;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  const std::string other = "{\"denied\":0,\"time\":\"2026-01-01T00:00:00Z\",\"x\":[], \"allowed\":2,\"owner_id\":\"" +
                            kO1 + "\",\"workspace_id\":\"" + upper + "\"}";
  EXPECT_EQ(taken(structured("{\"data\":" + other + ",\"time\":\"2026-01-01T00:00:00Z\",\"ext\":{\"a\":1}," +
                             attributes("\\u0031") + "}")),
            one);
  EXPECT_NE(taken(structured(cloud_event("1", event(kW1, R"("allowed":3)"))))[0].body, one[0].body);
  EXPECT_NE(taken(structured(cloud_event("2", event(kW1, R"("allowed":2)"))))[0].key, one[0].key);
}

TEST(CloudEvents, InABatchAreOneEffectEach) {
  const auto found = taken(batch("[" + cloud_event("1", event(kW1)) + "," + cloud_event("2", event(kW2)) + "," +
                                 cloud_event("1", event(kW1)) + "]"));
  ASSERT_EQ(found.size(), 3u) << "the tracker merges repeats";
  EXPECT_EQ(found[0], found[2]);
  EXPECT_EQ(found[1].increments[0].workspace, uuid(kW2));
}

TEST(CloudEvents, InABatchMayNotContradictEachOther) {
  EXPECT_EQ(verdict(batch("[" + cloud_event("1", event(kW1)) + "," + cloud_event("2", event(kW1)) + "," +
                          cloud_event("1", event(kW2)) + "]")),
            "422 /2/id: an earlier event has this source and id and other data");
}

TEST(CloudEvents, AreAtMostAThousandInABatch) {
  const auto of = [](int count) {
    std::string body = "[";
    for (int i = 0; i < count; ++i) body += (i > 0 ? "," : "") + cloud_event(std::to_string(i), event(kW1));
    return body + "]";
  };
  EXPECT_EQ(verdict(batch(of(1000))), "202 1000");
  EXPECT_EQ(verdict(batch(of(1001))), "413");
  EXPECT_EQ(verdict(batch("[]")), "202 0");
}

struct AttributeCase {
  std::string_view name;
  std::string text;
  std::string verdict;
};
class CloudEvent : public testing::TestWithParam<AttributeCase> {};

TEST_P(CloudEvent, IsJudgedByItsAttributes) {
  const auto& c = GetParam();
  EXPECT_EQ(verdict(structured(c.text)), c.verdict) << c.text;
}

const std::string kData = ",\"data\":" + event(kW1);

INSTANTIATE_TEST_SUITE_P(
    Attributes, CloudEvent,
    testing::Values(
        AttributeCase{
            "all_optional",
            cloud_event(
                "1", event(kW1),
                R"(,"time":"2026-01-01T00:00:00+01:00","datacontenttype":"application/json; charset=utf-8","subject":"s","dataschema":"x")"),
            "202 1"},
        AttributeCase{"null_means_absent",
                      cloud_event("1", event(kW1), R"(,"time":null,"datacontenttype":null,"data_base64":null)"),
                      "202 1"},
        AttributeCase{"json_suffix", cloud_event("1", event(kW1), R"(,"datacontenttype":"application/x+json")"),
                      "202 1"},
        AttributeCase{"other_content", cloud_event("1", event(kW1), R"(,"datacontenttype":"text/xml")"),
                      "422 /datacontenttype: not JSON in UTF-8"},
        AttributeCase{"base64", "{" + attributes("1", R"(,"data_base64":"e30=")") + "}",
                      "422 /data_base64: the event must be JSON in `data` /data: missing"},
        AttributeCase{"bad_time", cloud_event("1", event(kW1), R"(,"time":"today")"),
                      "422 /time: not an RFC 3339 time"},
        AttributeCase{"nothing", "{}",
                      "422 /specversion: missing /type: missing /source: missing /id: missing /data: missing"},
        AttributeCase{"null_id",
                      R"({"specversion":"1.0","type":"tallyd.boundary_usage.v1","source":"s","id":null)" + kData + "}",
                      "422 /id: missing"},
        AttributeCase{"empty_id", cloud_event("", event(kW1)), "422 /id: empty"},
        AttributeCase{"number_id",
                      R"({"specversion":"1.0","type":"tallyd.boundary_usage.v1","source":"s","id":1)" + kData + "}",
                      "422 /id: not a string"},
        AttributeCase{"long_id", cloud_event(std::string(257, 'i'), event(kW1)), "422 /id: longer than 256 bytes"},
        AttributeCase{"longest_id", cloud_event(std::string(256, 'i'), event(kW1)), "202 1"},
        AttributeCase{"control_character", cloud_event("a\\u0000b", event(kW1)), "422 /id: holds a control character"},
        AttributeCase{"c1_control_character", cloud_event("a\\u0085b", event(kW1)),
                      "422 /id: holds a control character"},
        AttributeCase{"unicode_id", cloud_event("\xe2\x82\xac", event(kW1)), "202 1"},
        AttributeCase{"twice", "{" + attributes("1", R"(,"id":"2")") + kData + "}", "422 /id: given twice"},
        AttributeCase{"data_twice", "{" + attributes() + kData + kData + "}", "422 /data: given twice"},
        AttributeCase{"version_0_3",
                      R"({"specversion":"0.3","type":"tallyd.boundary_usage.v1","source":"s","id":"1")" + kData + "}",
                      "422 /specversion: not 1.0"},
        AttributeCase{"other_type",
                      R"({"specversion":"1.0","type":"tallyd.connection.v1","source":"s","id":"1")" + kData + "}",
                      "422 /type: not the type of event that this route takes"},
        AttributeCase{"bad_data", cloud_event("1", event("x")), "422 /data/workspace_id: not a UUID"},
        AttributeCase{"null_data", cloud_event("1", "null"), "422 /data: not an object"},
        AttributeCase{"array", "[" + cloud_event("1", event(kW1)) + "]", "422 : not an object"},
        AttributeCase{"cut_off", "{" + attributes(), "400 : not JSON: expected ',' or '}' at byte 84"},
        AttributeCase{"trailing", cloud_event("1", event(kW1)) + "x",
                      "400 : not JSON: something follows the value at byte 221"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(CloudEvents, InABatchPointToTheirIndex) {
  EXPECT_EQ(verdict(batch("[" + cloud_event("1", event(kW1)) + "," + cloud_event("2", event("x")) + "]")),
            "422 /1/data/workspace_id: not a UUID");
  EXPECT_EQ(verdict(batch(cloud_event("1", event(kW1)))), "422 : not an array");
}

TEST(CloudEventHeaders, AreChecked) {
  Headers headers;
  EXPECT_EQ(headers.verdict_with("ce-time", "2026-01-01T00:00:00Z"), "202 1");
  EXPECT_EQ(headers.verdict_with("ce-extension", "%%%"), "202 1") << "extensions are not read";
  EXPECT_EQ(headers.verdict_with("ce-id", "a%20b%E2%82%AC"), "202 1");
  for (const auto& [name, value, why] :
       std::vector<std::array<std::string, 3>>{{"ce-id", "", "ce-id: empty"},
                                               {"ce-id", "%2", "ce-id: not percent-encoded"},
                                               {"ce-id", "%zz", "ce-id: not percent-encoded"},
                                               {"ce-id", "%ff", "ce-id: not percent-encoded UTF-8"},
                                               {"ce-id", "\xff", "ce-id: not percent-encoded UTF-8"},
                                               {"ce-id", "%00", "ce-id: holds a control character"},
                                               {"ce-id", "\"open", "ce-id: not percent-encoded"},
                                               {"ce-id", "\"a\"b", "ce-id: not percent-encoded"},
                                               {"ce-id", std::string(257, 'i'), "ce-id: longer"},
                                               {"ce-time", "now", "ce-time: not an RFC 3339 time"},
                                               {"ce-specversion", "1.1", "ce-specversion: not 1.0"},
                                               {"CE-Type", "x", "ce-type: not the type"},
                                               {"CE-ID", "again", "ce-id: given twice"}})
    EXPECT_THAT(headers.verdict_with(name, value), AllOf(StartsWith("400"), HasSubstr(why))) << value;
}

TEST(CloudEventHeaders, AreRequired) {
  for (const std::size_t left_out : {0u, 1u, 2u, 3u}) {
    Headers headers;
    headers.list.erase(headers.list.begin() + left_out);
    EXPECT_THAT(Headers::verdict_of(headers.list), AllOf(StartsWith("400"), HasSubstr("missing"))) << left_out;
  }
}

TEST(CloudEventHeaders, AreDecodedOnce) {
  using detail::decode_header_value;
  EXPECT_EQ(decode_header_value("a%25zz"), "a%zz");
  EXPECT_EQ(decode_header_value("\"a \\\"b\\\\ c\""), "a \"b\\ c");
  EXPECT_EQ(decode_header_value("Euro %E2%82%AC"), "Euro \xe2\x82\xac");
  EXPECT_EQ(decode_header_value("\"a\\"), std::nullopt);
}

TEST(CloudEventHeaders, MayNotStandBesideLines) {
  const Header headers[] = {{"ce-id", "1"}};
  OwnedRequest request = ndjson(event(kW1));
  request.headers = headers;
  EXPECT_EQ(verdict(request), "415");
}

TEST(CloudEventHeaders, CarryOneEvent) {
  Headers headers;
  std::vector<Header> list;
  for (const auto& [name, value] : headers.list) list.push_back({name, value});
  OwnedRequest request = json("[" + event(kW1) + "]");
  request.headers = list;
  EXPECT_EQ(verdict(request), "422 : not an object");
}

}  // namespace
}  // namespace tally::ingest
