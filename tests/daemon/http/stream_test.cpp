// Bodies that are made while they are sent.
#include <gmock/gmock.h>

#include "fixture.hpp"

namespace tally::http::test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kEnd = "0\r\n\r\n";

std::string asked(TestServer& server, std::string_view target, std::string_view headers = "Connection: close\r\n") {
  Client client = server.client();
  client.send(get(target, headers));
  return client.read_to_end();
}

TEST(Stream, SendsEachPieceAsAChunk) {
  TestServer server;
  const std::string all = asked(server, "/pieces/3/5");
  EXPECT_THAT(all, HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(all, HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(all, HasSubstr("Content-Type: text/plain\r\n"));
  EXPECT_THAT(all, Not(HasSubstr("Content-Length")));
  EXPECT_THAT(all, EndsWith("\r\n\r\n5\r\naaaaa\r\n5\r\nbbbbb\r\n5\r\nccccc\r\n0\r\n\r\n"));
}

TEST(Stream, MayBeEmpty) {
  TestServer server;
  EXPECT_THAT(asked(server, "/pieces/0/5"), EndsWith("\r\n\r\n0\r\n\r\n"));
}

TEST(Stream, TheConnectionGoesOnBehindIt) {
  TestServer server;
  Client client = server.client();
  client.send(get("/pieces/2/100000") + get("/hello"));
  client.half_close();
  const std::string all = client.read_to_end();
  EXPECT_THAT(all, HasSubstr(std::string(kEnd) + "HTTP/1.1 200"));
  EXPECT_THAT(all, EndsWith(R"({"hello":true})"));
}

TEST(Stream, ToHttp10ItEndsWithTheConnection) {
  TestServer server;
  Client client = server.client();
  client.send("GET /pieces/2/3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const std::string all = client.read_to_end();
  EXPECT_THAT(all, Not(HasSubstr("Transfer-Encoding")));
  EXPECT_THAT(all, EndsWith("\r\n\r\naaabbb"));
}

TEST(Stream, ToHeadThereIsNoBody) {
  TestServer server;
  Client client = server.client();
  client.send("HEAD /pieces/2/3 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.read_to_end(), EndsWith("\r\n\r\n"));
  EXPECT_EQ(server.api.pieces, 0);
}

TEST(Stream, WhatGoesWrongInTheMiddleCutsTheConnectionWithoutAnEnd) {
  for (const char* end : {"?fails", "?throws"}) {
    TestServer server;
    const std::string all = asked(server, std::string("/pieces/2/3") + end, "");
    EXPECT_THAT(all, HasSubstr("bbb")) << end;
    EXPECT_THAT(all, Not(HasSubstr(kEnd))) << end;
  }
}

TEST(Stream, AClientThatDoesNotReadIsNotGatheredFor) {
  TestServer server;
  Client client = server.client();
  client.send(get("/pieces/10000/1000000"));
  // The kernel takes some megabytes; then nothing more is asked for.
  int before = -1;
  for (int quiet = 0; quiet < 300; ++quiet) {
    const int now = server.api.pieces;
    if (now != before) quiet = 0;
    before = now;
    EXPECT_TRUE(server.wait_for_metric("tallyd_http_connections", 1));
  }
  EXPECT_LT(server.api.pieces, 1000);
  client.reset();
  EXPECT_TRUE(server.wait_for_metric("tallyd_http_connections", 0));
}

TEST(Stream, AClientThatGoesAwayEndsIt) {
  TestServer server;
  Client client = server.client();
  client.send(get("/pieces/100000/1000"));
  client.close();
  EXPECT_TRUE(server.wait_for_metric("tallyd_http_connections", 0));
}

TEST(Stream, AServerThatStopsDoesNotWaitForItsEnd) {
  auto server = std::make_unique<TestServer>();
  Client client = server->client();
  client.send(get("/pieces/1000000/10"));
  EXPECT_TRUE(server->wait_for_metric("tallyd_http_connections", 1));
  server.reset();
  EXPECT_THAT(client.read_to_end(), Not(HasSubstr(kEnd)));
}

}  // namespace
}  // namespace tally::http::test
