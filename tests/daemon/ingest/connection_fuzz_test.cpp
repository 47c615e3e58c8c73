#include <gtest/gtest.h>

#include <map>

#include "tests/daemon/ingest/connection_differential.hpp"
#include "tests/daemon/ingest/requests.hpp"
#include "tests/support/connections.hpp"

namespace tally::ingest {
namespace {

std::uint32_t seed() {
  const char* chosen = std::getenv("TALLY_TEST_SEED");
  return chosen ? static_cast<std::uint32_t>(std::strtoul(chosen, nullptr, 10)) : 20261122;
}

std::string session(std::string_view status, std::string_view more) {
  return R"({"time":"2026-01-02T03:04:05.678Z","status":")" + std::string(status) + R"(","organization_id":")" + kO1 +
         R"(","workspace_owner_id":")" + kO1 + R"(","workspace_id":")" + kW1 +
         R"(","workspace_name":"dev","agent_name":"main","type":"ssh")" + std::string(more) + "}";
}

const std::string kShort = session("connected", "");
const std::string kBegun = session("connected", ",\"connection_id\":\"" + kW2 + "\",\"ip\":\"2001:DB8::1\"");
const std::string kOver =
    session("disconnected", ",\"connection_id\":\"" + kW2 + "\",\"code\":-1,\"reason\":\"\\u00fcber \\ud83d\\ude00\"");
const std::string kPoint =
    session("connected",
            ",\"id\":\"" + kO1 + "\",\"user_agent\":\"Mozilla\",\"user_id\":null,\"slug_or_port\":\"8080\",\"x\":[{}]");

TEST(ConnectionEvents, HoldTogetherWhateverIsSent) {
  const std::string attributes = R"({"specversion":"1.0","type":"tallyd.connection.v1","source":"s","id":"i","data":)";
  const std::vector<std::string> seeds = {std::string(1, '\0') + kShort,
                                          std::string(1, '\0') + "[" + kBegun + "," + kOver + "," + kPoint + "]",
                                          "\1" + kBegun + "\n" + kOver + "\r\n\n" + kPoint,
                                          "\2" + attributes + kOver + "}",
                                          "\3[" + attributes + kBegun + "}," + attributes + kPoint + "}]",
                                          "\4[" + kShort + "," + kShort + "]",
                                          "\5" + kPoint + "\n" + kShort,
                                          "\10" + kBegun};
  std::mt19937 random(seed());
  std::map<int, int> seen;
  for (int round = 0; round < 20'000; ++round) {
    std::string input = seeds[random() % seeds.size()];
    input.replace(1, input.size() - 1, mutate(input.substr(1), random));
    ASSERT_NO_THROW(++seen[check_connection_request(input).status])
        << "TALLY_TEST_SEED=" << seed() << " round " << round << ": " << testing::PrintToString(input);
  }
  for (const int status : {202, 400, 422}) EXPECT_GT(seen[status], 500) << status;
}

TEST(ConnectionEvents, HoldTogetherWithEveryByteOfOneChanged) {
  const std::string text = std::string(1, '\0') + kOver;
  for (std::size_t i = 1; i < text.size(); ++i)
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = text;
      changed[i] = static_cast<char>(byte);
      ASSERT_NO_THROW(check_connection_request(changed)) << i << " " << byte;
    }
}

TEST(ConnectionRecord, WithEveryByteChangedIsRefusedOrWhatItsEventsEncodeTo) {
  std::mt19937_64 random(seed());
  const auto one = test::random_connection_event(random), other = test::random_connection_event(random);
  int refused = 0, taken = 0;
  for (const std::string& payload :
       {test::connection_payload({one, other}), test::keyed_connection_payload(test::id(1), 7, {one, other})})
    for (std::size_t i = 0; i < payload.size(); ++i)
      for (int byte = 0; byte < 256; ++byte) {
        std::string changed = payload;
        changed[i] = static_cast<char>(byte);
        ASSERT_NO_THROW(++(check_connection_payload(changed) ? taken : refused)) << i << " " << byte;
      }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(taken, 1000);
}

}  // namespace
}  // namespace tally::ingest
