#include <gmock/gmock.h>

#include "daemon/ingest/connections.hpp"
#include "daemon/ingest/detail/connection_event.hpp"
#include "tests/daemon/ingest/requests.hpp"
#include "tracker/connection.hpp"

namespace tally::ingest {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using tracker::ConnectionEvent;
using tracker::ConnectionStatus;

const std::string kOrg = "33333333-3333-4333-8333-33333333333d";
const std::string kConnection = "44444444-4444-4444-8444-44444444444e";

std::string with(const std::string& more, std::string_view status = "connected",
                 std::string_view time = "2026-01-02T03:04:05.678901Z") {
  return R"({"time":")" + std::string(time) + R"(","status":")" + std::string(status) + R"(","organization_id":")" +
         kOrg + R"(","workspace_owner_id":")" + kO1 + R"(","workspace_id":")" + kW1 +
         R"(","workspace_name":"dev","agent_name":"main","type":"ssh")" + (more.empty() ? "" : "," + more) + "}";
}
std::string session(const std::string& more = "", std::string_view status = "connected") {
  return with("\"connection_id\":\"" + kConnection + "\"" + (more.empty() ? "" : "," + more), status);
}

struct Taken {
  std::vector<ConnectionEvent> events;
  std::vector<tracker::GroupKey> keys;
};

Taken read(const Request& request) {
  Accepted accepted;
  const auto refusal = read_connection_events(request, accepted);
  EXPECT_FALSE(refusal) << verdict(refusal, accepted);
  Taken taken;
  if (refusal || !accepted.needs_record()) return taken;
  EXPECT_EQ(accepted.type, tracker::RecordType::connection);
  EXPECT_TRUE(tracker::for_each_connection(
      std::as_bytes(std::span(accepted.payload)),
      [&](const std::optional<tracker::GroupKey>& key, std::uint32_t) {
        if (key) taken.keys.push_back(*key);
      },
      [&](const ConnectionEvent& event) { taken.events.push_back(event); }));
  EXPECT_EQ(accepted.events, taken.events.size());
  return taken;
}

ConnectionEvent one(const std::string& body) {
  const Taken taken = read(json(body));
  EXPECT_EQ(taken.events.size(), 1u);
  return taken.events.empty() ? ConnectionEvent{} : taken.events.front();
}

std::string verdict_of(const std::string& body) {
  Accepted accepted;
  const auto request = json(body);
  return verdict(read_connection_events(request, accepted), accepted);
}

TEST(ConnectionEvents, AreTakenWithAllTheySay) {
  const auto event = one(session(R"("id":"55555555-5555-4555-8555-555555555555","ip":"192.0.2.7","user_agent":"ssh",)"
                                 R"("user_id":"66666666-6666-4666-8666-666666666666","slug_or_port":"8080","code":0,)"
                                 R"("reason":"bye","unknown":[1,{"x":2}])",
                                 "disconnected"));
  EXPECT_EQ(event.time_us, 1767323045678901);
  EXPECT_EQ(event.status, ConnectionStatus::disconnected);
  EXPECT_EQ(event.organization, uuid(kOrg));
  EXPECT_EQ(event.owner, uuid(kO1));
  EXPECT_EQ(event.workspace, uuid(kW1));
  EXPECT_EQ(event.connection, uuid(kConnection));
  EXPECT_EQ(event.workspace_name, "dev");
  EXPECT_EQ(event.agent_name, "main");
  EXPECT_EQ(event.type, "ssh");
  EXPECT_EQ(event.ip, "192.0.2.7");
  EXPECT_EQ(event.user_agent, "ssh");
  EXPECT_EQ(event.user, uuid("66666666-6666-4666-8666-666666666666"));
  EXPECT_EQ(event.slug_or_port, "8080");
  EXPECT_EQ(event.code, 0);  // CL-10
  EXPECT_EQ(event.reason, "bye");
}

TEST(ConnectionEvents, WhatIsNotSaidOrNullIsNothing) {  // CL-09
  const auto event =
      one(session(R"("id":null,"ip":null,"user_agent":null,"user_id":null,"slug_or_port":null,"code":null,)"
                  R"("reason":null)"));
  EXPECT_FALSE(event.ip || event.user_agent || event.user || event.slug_or_port || event.code || event.reason);
  EXPECT_EQ(event.entry, one(session()).entry);
  EXPECT_EQ(event.hash, one(session()).hash);
}

// CL-13: an address that is none costs nobody the event.
TEST(ConnectionEvents, ABadIpIsNothingAndLocalhostAnAddress) {
  for (const char* bad : {R"("no address")", R"("")", "5", "true", "[]", "{}", R"("10.0.0.0/8")", R"("1.2.3")",
                          R"("192.0.2.7:80")", R"("fe80::1%eth0")", R"("1.2.3.4\u0000")"})
    EXPECT_FALSE(one(session(std::string("\"ip\":") + bad)).ip) << bad;
  EXPECT_FALSE(one(session("\"ip\":\"" + std::string(100'000, '1') + "\"")).ip);
  EXPECT_EQ(one(session(R"("ip":"localhost")")).ip, "127.0.0.1");
  EXPECT_EQ(one(session(R"("ip":"LocalHost")")).ip, "127.0.0.1");
  EXPECT_EQ(one(session(R"("ip":"2001:DB8:0::1")")).ip, "2001:db8::1");
}

TEST(ConnectionEvents, BelongToOneEntryByTheFullKey) {  // CL-05
  const auto entry = one(session()).entry;
  EXPECT_EQ(one(session(R"("ip":"192.0.2.7")", "disconnected")).entry, entry);
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string body = session();
    body.replace(body.find(from), from.size(), to);
    return one(body).entry;
  };
  EXPECT_NE(changed(kW1, kW2), entry);
  EXPECT_NE(changed(kOrg, kW2), entry);
  EXPECT_NE(changed(R"("agent_name":"main")", R"("agent_name":"Main")"), entry);
  EXPECT_NE(changed(kConnection, kW2), entry);
  EXPECT_EQ(changed(R"("workspace_name":"dev")", R"("workspace_name":"other")"), entry);
  const auto [first, last] = tracker::entries_of(uuid(kConnection));
  for (const auto& made : {entry, changed(kW1, kW2)}) EXPECT_TRUE(first <= made && made <= last);
}

TEST(ConnectionEvents, APointInTimeIsToldApartByItsId) {  // CL-25
  const std::string id = "77777777-7777-4777-8777-777777777777";
  const auto first = one(with("\"id\":\"" + id + "\""));
  EXPECT_EQ(first.id, uuid(id));
  EXPECT_EQ(one(with("\"id\":\"" + id + "\",\"ip\":\"192.0.2.7\"")).entry, first.entry);
  EXPECT_NE(one(with("")).entry, one(with("")).entry) << "without an id every one is another";
  std::string elsewhere = with("\"id\":\"" + id + "\"");
  elsewhere.replace(elsewhere.find(kW1), kW1.size(), kW2);
  EXPECT_NE(one(elsewhere).entry, first.entry) << "another workspace cannot take an id away";
}

TEST(ConnectionEvents, APointHasNoNilId) {  // CL-25
  const std::string nil = R"("id":"00000000-0000-0000-0000-000000000000")";
  EXPECT_EQ(verdict_of(with(nil)), "422 /id: the nil UUID: leave it out, or give an id");
  EXPECT_EQ(one(session(nil)).entry, one(session()).entry) << "of a session it means nothing";
}

TEST(ConnectionEvents, APointUnderAKeyIsTheSameEachTime) {
  const std::string key = "k-1";
  auto request = json("[" + with("") + "," + with("") + "]");
  request.idempotency_key = key;
  const auto first = read(request);
  const auto second = read(request);
  ASSERT_EQ(first.events.size(), 2u);
  EXPECT_EQ(first.keys.size(), 1u);
  EXPECT_EQ(first.events, second.events);
  EXPECT_NE(first.events[0].entry, first.events[1].entry);
}

TEST(ConnectionEvents, AreRefusedForWhatIsWrongWithThem) {
  EXPECT_EQ(verdict_of(session("\"code\":1.5")), "422 /code: not an integer written with digits only");
  EXPECT_EQ(verdict_of(session("\"code\":-9007199254740992")), "422 /code: below -9007199254740991");
  EXPECT_EQ(verdict_of(session("\"code\":9007199254740992")), "422 /code: above 9007199254740991");
  EXPECT_EQ(one(session("\"code\":-1")).code, -1);
  EXPECT_EQ(one(session("\"code\":4294967295")).code, 4294967295);
  EXPECT_EQ(verdict_of(session("\"user_id\":\"x\"")), "422 /user_id: not a UUID");
  EXPECT_EQ(verdict_of(session("\"reason\":\"a\\u0000b\"")), "422 /reason: holds a NUL");
  EXPECT_EQ(verdict_of(session("\"slug_or_port\":\"a\\u0000b\"")), "422 /slug_or_port: holds a NUL");
  EXPECT_EQ(verdict_of(session("\"agent_name\":\"again\"")), "422 /agent_name: given twice");
  EXPECT_EQ(verdict_of(with("", "closed")), "422 /status: not connected or disconnected");
  EXPECT_EQ(verdict_of(with("", "connected", "yesterday")), "422 /time: not an RFC 3339 time");
  EXPECT_EQ(verdict_of(with("", "connected", "0000-12-31T23:59:59Z")), "422 /time: not in the years 1 to 9999");
  EXPECT_EQ(verdict_of(with("", "connected", "9999-12-31T23:59:59-01:00")), "422 /time: not in the years 1 to 9999");
  EXPECT_THAT(verdict_of("{}"), StartsWith("422 /time: missing /status: missing /organization_id: missing"));
  EXPECT_THAT(verdict_of("[" + with("") + ",5]"), HasSubstr("422 /1: not an object"));
  EXPECT_THAT(verdict_of(""), StartsWith("400"));
  EXPECT_THAT(verdict_of("{"), StartsWith("400"));
}

TEST(ConnectionEvents, TheTypeIsOpenText) {  // CL-19
  const auto typed = [](const std::string& type) {
    std::string body = session();
    body.replace(body.find("\"ssh\""), 5, "\"" + type + "\"");
    return verdict_of(body);
  };
  EXPECT_EQ(typed("cursor"), "202 1");
  EXPECT_EQ(typed(std::string(64, 'a')), "202 1");
  for (const std::string& bad : {std::string(), std::string(65, 'a'), std::string("SSH"), std::string("a-b")})
    EXPECT_EQ(typed(bad), "422 /type: not 1 to 64 of a-z, 0-9 and _");
}

TEST(ConnectionEvents, ATwoMebibyteFieldIsCutBetweenCharacters) {  // CL-24
  std::string agent;
  for (int i = 0; i < 700'000; ++i) agent += "\xE2\x82\xAC";
  const auto event = one(session("\"user_agent\":\"" + agent + "\",\"reason\":\"" + agent + "\""));
  ASSERT_TRUE(event.user_agent);
  EXPECT_EQ(event.user_agent->size(), 1023u);
  EXPECT_EQ(event.reason->size(), 1023u);
  EXPECT_EQ(verdict_of(session("\"slug_or_port\":\"" + std::string(257, 'x') + "\"")),
            "422 /slug_or_port: longer than 256 bytes");
}

TEST(ConnectionEvents, ComeAsLinesToo) {
  const auto request = ndjson(session() + "\n\n" + session("", "disconnected") + "\r\n");
  EXPECT_EQ(read(request).events.size(), 2u);
}

TEST(ConnectionEvents, ComeAsCloudEventsEachUnderItsKey) {
  const auto cloud_event = [](const std::string& id, const std::string& data) {
    return R"({"specversion":"1.0","type":"tallyd.connection.v1","source":"/proxy","id":")" + id +
           "\",\"data\":" + data + "}";
  };
  const OwnedRequest batch("application/cloudevents-batch+json",
                           "[" + cloud_event("1", session()) + "," + cloud_event("2", with("")) + "]");
  const Taken first = read(batch);
  EXPECT_EQ(first.keys.size(), 2u);
  EXPECT_EQ(read(batch).events, first.events) << "the point without an id has its key's";
  Accepted accepted;
  std::string wrong = cloud_event("1", session());
  wrong.replace(wrong.find("tallyd.connection.v1"), 20, "tallyd.boundary_use.1");
  const OwnedRequest other("application/cloudevents+json", wrong);
  EXPECT_THAT(verdict(read_connection_events(other, accepted), accepted), HasSubstr("422 /type"));
}

}  // namespace
}  // namespace tally::ingest
