#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "daemon/ingest/detail/boundary_event.hpp"
#include "tests/daemon/ingest/differential.hpp"
#include "tests/daemon/ingest/requests.hpp"

namespace tally::ingest {
namespace {

template <bool kLines>
bool scanner_takes(const std::string& text) {
  tracker::Increment out;
  return detail::BoundaryScanner().scan<kLines>(text.data(), text.data() + text.size(), out) ==
         text.data() + text.size();
}

// Otherwise the tests that compare both readers would compare the strict one with itself.
TEST(Scanner, TakesTheUsualShapes) {
  const std::string spaced = "{\"workspace_id\": \"" + kW1 + "\", \"owner_id\": \"" + kO1 +
                             "\", \"allowed\": 1, \"time\": \"2026-01-01T00:00:00.5+01:00\"}";
  const std::string extra = "{\"agent\":\"main\",\"n\":-1.5e3,\"ok\":true,\"no\":false,\"x\":null,\"owner_id\":\"" +
                            kO1 + "\",\"denied\":9007199254740991,\"workspace_id\":\"" + kW1 + "\"}";
  const std::string nested = event(kW1, R"("allowed":1,"a":{"b":[1,{"c":"\u00e9\n"},[]],"\u007a":{}},"s":")"
                                        "\xe2\x82\xac\"");
  for (const std::string& text : {event(kW1), event(kW1, R"("denied":0)"), spaced, extra}) {
    EXPECT_TRUE(scanner_takes<true>(text)) << text;
    EXPECT_TRUE(scanner_takes<false>(text)) << text;
  }
  const std::string broken = "{\n" + event(kW1).substr(1);
  EXPECT_FALSE(scanner_takes<true>(broken));
  EXPECT_TRUE(scanner_takes<false>(broken));
}

std::uint32_t seed() {
  const char* given = std::getenv("TALLY_TEST_SEED");
  return given != nullptr ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10)) : 20260101;
}

TEST(Scanner, AgreesWithTheStrictReaderOnMutatedRequests) {
  const std::string plain = event(kW1);
  const std::string timed = event(kW2, R"("denied":7,"time":"2026-01-01T00:00:00Z")");
  const std::string spaced =
      "{ \"owner_id\": \"" + kO1 + "\",\t\"allowed\" : 12345678, \"workspace_id\": \"" + kW2 + "\" }";
  const std::string extra = event(kW1, R"("allowed":3,"a":["x\n\u00e9\ud83d\ude00",{"b":-1.5e3,"c":[]},null],"s":")"
                                       "\xc3\xa9\"");
  const std::string attributes =
      R"({"specversion":"1.0","type":"tallyd.boundary_usage.v1","source":"s","id":"i","data":)";
  const std::vector<std::string> seeds = {
      std::string(1, '\0') + plain,
      std::string(1, '\0') + "[" + plain + "," + timed + "]",
      "\1" + plain + "\n" + plain + "\n" + plain + "\n" + plain,
      "\1" + timed + "\n" + timed + "\n" + timed + "\n" + timed,
      std::string(1, '\0') + "[" + spaced + "," + spaced + "," + spaced + "]",
      "\1" + extra + "\n" + extra + "\n" + extra,
      "\1" + plain + "\n" + timed + "\r\n\n" + plain,
      "\2" + attributes + plain + "}",
      "\3[" + attributes + plain + "}," + attributes + timed + "}]",
      "\4" + plain,
      "\5" + timed + "\n" + plain,
      "\10" + timed,
      "\20" +
          (R"({"workspace_id":")" + kW1 + R"(","owner_id":")" + kO1 +
           R"(","session_id":"s","logs":[{"allowed":true,"time":"2026-01-01T00:00:00Z","sequence_number":1,"http_request":{}}]})")};
  std::mt19937 random(seed());
  std::map<int, int> seen;
  for (int round = 0; round < 60'000; ++round) {
    std::string input = seeds[random() % seeds.size()];
    input.replace(1, input.size() - 1, mutate(input.substr(1), random));
    ASSERT_NO_THROW(++seen[check_request(input).status])
        << "TALLY_TEST_SEED=" << seed() << " round " << round << ": " << testing::PrintToString(input);
  }
  for (const int status : {202, 400, 422}) EXPECT_GT(seen[status], 2000) << status;
}

// The second of two events is compared with the first, so it is the one that is changed.
TEST(Scanner, AgreesOnEveryChangeBehindAnEventOfThatShape) {
  const std::string first = event(kW1, R"("denied":7,"time":"2026-01-01T00:00:00Z","a":1)") + "\n";
  const std::string padding = "\n" + event(kW2);
  for (std::size_t i = 0; i + 1 < first.size(); ++i) {
    ASSERT_NO_THROW(check_request("\1" + first + first.substr(0, i) + padding)) << i;
    ASSERT_NO_THROW(check_request("\1" + first + first.substr(0, i) + first.substr(i + 1) + padding)) << i;
    for (int byte = 0; byte < 256; ++byte) {
      std::string second = first;
      second[i] = static_cast<char>(byte);
      ASSERT_NO_THROW(check_request("\1" + first + second + padding)) << i << " " << byte;
    }
  }
}

TEST(Scanner, ForgetsWhatTheLastEventHeld) {
  // The second has no `denied`, the third no `allowed`: nothing may be left of the event before.
  const auto request = ndjson(event(kW1, R"("allowed":5,"denied":6)") + "\n" + event(kW1, R"("allowed":7)") + "\n" +
                              event(kW1, R"("denied":8)") + "\n" + event(kW1, R"("denied":9)") + "\n\n" + event(kW2));
  Accepted accepted;
  ASSERT_FALSE(read_boundary_events(request, accepted));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> counts;
  for (const auto& increment : increments(accepted)) counts.emplace_back(increment.allowed, increment.denied);
  EXPECT_EQ(counts, (std::vector<std::pair<std::uint64_t, std::uint64_t>>{{5, 6}, {7, 0}, {0, 8}, {0, 9}, {2, 1}}));
}

TEST(Scanner, ReadsCountsOfEveryLength) {
  std::string body;
  std::vector<tracker::Increment> expected;
  for (std::uint64_t count = 1; count < tracker::kLargestCount; count = count * 10 + count % 10 + 1) {
    body += event(kW1, "\"allowed\":" + std::to_string(count) + ",\"denied\":" + std::to_string(count - 1)) + "\n";
    expected.push_back({uuid(kW1), uuid(kO1), count, count - 1});
  }
  Accepted accepted;
  ASSERT_FALSE(read_boundary_events(ndjson(body), accepted));
  EXPECT_EQ(increments(accepted), expected);
}

TEST(Scanner, TakesShapesThatAreTooLongToRemember) {
  std::string many;
  for (int i = 0; i < 20; ++i) many += ",\"m" + std::to_string(i) + "\":" + std::to_string(i);
  const std::string line = event(kW1, R"("allowed":1)" + many + ",\"" + std::string(100, 'n') + "\":1") + "\n";
  EXPECT_EQ(verdict(ndjson(line + line + event(kW2) + "\n" + event(kW2))), "202 4");
}

TEST(Scanner, AgreesOnEveryCutAndEveryByte) {
  const std::string text = "\1" + event(kW1, R"("denied":7,"time":"2026-01-01T00:00:00Z","a":1)");
  for (std::size_t i = 1; i < text.size(); ++i) {
    ASSERT_NO_THROW(check_request(text.substr(0, i))) << i;
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = text;
      changed[i] = static_cast<char>(byte);
      ASSERT_NO_THROW(check_request(changed)) << i << " " << byte;
    }
  }
}

}  // namespace
}  // namespace tally::ingest
