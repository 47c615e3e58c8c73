// What a well-behaved client sees.
#include <gmock/gmock.h>
#include <zlib.h>

#include "fixture.hpp"

namespace tally::http::test {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

/// What a handler got must not depend on how the network cut the bytes into pieces.
std::string gzip(std::string_view text, int level = 6) {
  z_stream stream{};
  deflateInit2(&stream, level, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string chunked(std::string_view body, std::size_t chunk) {
  std::string out;
  while (!body.empty()) {
    const std::string_view piece = body.substr(0, chunk);
    char size[24];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    out += size;
    out += piece;
    out += "\r\n";
    body.remove_prefix(piece.size());
  }
  return out + "0\r\n\r\n";
}

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * 7 + i / 253) % 26);
  return text;
}

constexpr std::string_view kChunkedHead =
    "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST(HttpRequest, IsAnsweredAndTheConnectionStays) {
  TestServer server;
  Client client = server.client();
  for (int i = 0; i < 3; ++i) {
    const Answer answer = client.ask(get("/hello"));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, R"({"hello":true})");
    EXPECT_EQ(answer.header("content-type"), "application/json");
    EXPECT_EQ(answer.header("connection"), "");
    EXPECT_THAT(answer.header("date"), MatchesRegex("[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} 20[0-9]{2} [0-9:]{8} GMT"));
  }
}

TEST(HttpRequest, MayComeByteByByte) {
  TestServer server;
  Client client = server.client();
  for (const char c : post("/echo", R"({"a":1})", "X-Request-Id: abc\r\n")) client.send({&c, 1});
  const Answer answer = client.read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"a":1})");
  EXPECT_EQ(answer.header("x-request-id"), "abc");
}

TEST(HttpRequest, MayBePipelined) {
  TestServer server;
  Client client = server.client();
  std::string all;
  for (int i = 0; i < 100; ++i) {
    const std::string number = std::to_string(i);
    all += i % 3 == 0   ? post("/echo", number)
           : i % 3 == 1 ? std::string(kChunkedHead) + chunked(number, 1)
                        : post("/echo-later", number);
  }
  client.send(all);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(client.read().body, std::to_string(i));
}

TEST(HttpRequest, MayBePipelinedBehindLargeChunkedBodies) {
  TestServer server;
  Client client = server.client();
  const std::string body = pattern(300'000);
  std::string all;
  for (int i = 0; i < 5; ++i) all += std::string(kChunkedHead) + chunked(body, 7'000) + get("/hello");
  client.send(all);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(client.read().body, body);
    ASSERT_EQ(client.read().body, R"({"hello":true})");
  }
}

TEST(HttpRequest, IsAnsweredAfterTheClientHasClosedItsSide) {
  TestServer server;
  Client client = server.client();
  client.send(post("/held", "{}"));
  client.half_close();
  server.api.answer_held(1);
  EXPECT_EQ(client.read().status, 202);
  EXPECT_TRUE(client.ended());
}

TEST(HttpRequest, OfHttp10GetsOneAnswerUnlessItAsksForMore) {
  TestServer server;
  Client once = server.client();
  EXPECT_EQ(once.ask("GET /hello HTTP/1.0\r\n\r\n").header("connection"), "close");
  EXPECT_TRUE(once.ended());
  Client more = server.client();
  EXPECT_EQ(more.ask("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").header("connection"), "keep-alive");
  EXPECT_EQ(more.ask("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").status, 200);
}

TEST(HttpRequest, MayAskForTheEndOfTheConnection) {
  TestServer server;
  Client client = server.client();
  EXPECT_EQ(client.ask(get("/hello", "Connection: close\r\n")).header("connection"), "close");
  EXPECT_TRUE(client.ended());
}

TEST(HttpRequest, MayNameItsTargetInFull) {
  TestServer server;
  Client client = server.client();
  EXPECT_EQ(client.ask("GET http://t:1/hello HTTP/1.1\r\nHost: t:1\r\n\r\n").status, 200);
  EXPECT_EQ(client.ask("GET ftp://t/hello HTTP/1.1\r\nHost: t\r\n\r\n").status, 400);
}

TEST(HttpRequest, MayBePrecededByEmptyLines) {
  TestServer server;
  Client client = server.client();
  EXPECT_EQ(client.ask("\r\n\r\n" + get("/hello")).status, 200);
  client.send("\r");
  EXPECT_EQ(client.ask("\n" + get("/hello")).status, 200);
}

TEST(HttpHead, GetsTheHeadersOfGetWithoutABody) {
  TestServer server;
  Client client = server.client();
  client.send("HEAD /hello HTTP/1.1\r\nHost: t\r\n\r\n");
  const Answer answer = client.read(true);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-length"), "14");
  EXPECT_EQ(client.ask(get("/hello")).body, R"({"hello":true})");
}

TEST(HttpRouting, NamesWhatIsOfferedInstead) {
  TestServer server;
  Client client = server.client();
  const Answer answer = client.ask("DELETE /echo HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.header("allow"), "POST, PUT");
  EXPECT_EQ(client.ask(post("/hello", "{}")).header("allow"), "GET, HEAD");
  EXPECT_EQ(client.ask("BREW /hello HTTP/1.1\r\nHost: t\r\n\r\n").status, 405);
  EXPECT_EQ(client.ask("OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n").status, 404);
}

TEST(HttpRouting, TellsUnknownPathsAsAProblem) {
  TestServer server;
  Client client = server.client();
  for (const char* path :
       {"/", "/hell", "/hello/", "/hello/x", "//hello", "/things//parts/b", "/things/a/parts", "/%68ello"}) {
    const Answer answer = client.ask(get(path));
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.header("content-type"), "application/problem+json");
    EXPECT_THAT(answer.body, HasSubstr(R"("title":"Not Found","status":404)"));
  }
}

TEST(HttpRouting, CapturesSegmentsAndPrefersLiterals) {
  TestServer server;
  Client client = server.client();
  EXPECT_EQ(client.ask(get("/things/a%20b/parts/c?x=1&y=%20")).body, "a%20b|c|x=1&y=%20");
  EXPECT_EQ(client.ask(get("/things/all/parts/none")).body, R"({"hello":true})");
}

TEST(HttpRequestId, IsTheClientsIfItIsSane) {
  TestServer server;
  Client client = server.client();
  const Answer answer = client.ask(get("/id", "x-request-ID: a.B_9-z\r\n"));
  EXPECT_EQ(answer.header("x-request-id"), "a.B_9-z");
  EXPECT_EQ(answer.body, "a.B_9-z");
  for (const std::string& bad :
       {std::string(129, 'a'), std::string("a b"), std::string("a/b"), std::string(), std::string("\xC3\xA4")}) {
    EXPECT_THAT(client.ask(get("/id", "X-Request-Id: " + bad + "\r\n")).header("x-request-id"),
                MatchesRegex("[0-9a-f]{16}"));
  }
}

TEST(HttpRequestId, IsOnEveryAnswerAndNewEachTime) {
  TestServer server;
  Client client = server.client();
  const std::string first = client.ask(get("/hello")).header("x-request-id");
  EXPECT_THAT(first, MatchesRegex("[0-9a-f]{16}"));
  EXPECT_NE(client.ask(get("/nothing")).header("x-request-id"), first);
  EXPECT_THAT(server.client().ask("rubbish\r\n\r\n").header("x-request-id"), MatchesRegex("[0-9a-f]{16}"));
}

TEST(HttpBody, MayBeChunked) {
  TestServer server;
  Client client = server.client();
  const std::string body = pattern(100'000);
  for (const std::size_t chunk : {1UL, 13UL, 4096UL, 100'000UL}) {
    ASSERT_EQ(client.ask(std::string(kChunkedHead) + chunked(body, chunk)).body, body) << chunk;
  }
  EXPECT_EQ(client.ask(std::string(kChunkedHead) + "3;name=\"v\"\r\nabc\r\n0\r\nTrailer: x\r\n\r\n").body, "abc");
  EXPECT_EQ(client.ask(std::string(kChunkedHead) + "0\r\n\r\n").status, 200);
}

TEST(HttpBody, MayBeAsLargeAsTheLimitAndNoLarger) {
  TestServer server([](ServerOptions& options) { options.limits.body = 100'000; });
  const std::string body = pattern(100'000);
  Client client = server.client();
  EXPECT_EQ(client.ask(post("/echo", body)).body, body);
  EXPECT_EQ(client.ask(std::string(kChunkedHead) + chunked(body, 9'999)).body, body);
  EXPECT_EQ(client.ask(post("/echo", gzip(body), "Content-Encoding: gzip\r\n")).body, body);
  EXPECT_EQ(client.ask(post("/echo", gzip(body + "x"), "Content-Encoding: gzip\r\n")).status, 413);
  EXPECT_EQ(client.ask(post("/echo", body + "x")).status, 413);
  EXPECT_EQ(server.client().ask(std::string(kChunkedHead) + chunked(body + "x", 9'999)).status, 413);
  EXPECT_EQ(server.metric("tallyd_http_limits_reached_total{limit=\"body\"}"), 3);
}

TEST(HttpBody, MayBeOfManySizesOverOneConnection) {
  TestServer server;
  Client client = server.client();
  for (const std::size_t size :
       {0UL, 1UL, 3'900UL, 4'096UL, 5'000UL, 65'535UL, 65'536UL, 65'537UL, 1'000'000UL, 10UL, 8'388'608UL, 7UL}) {
    const std::string body = pattern(size);
    ASSERT_EQ(client.ask(post("/echo", body)).body, body) << size;
  }
}

TEST(HttpBody, MayBeGzipped) {
  TestServer server;
  Client client = server.client();
  const std::string body = pattern(200'000);
  const std::string zipped = gzip(body);
  for (const char* name : {"gzip", "GZIP", "x-gzip"}) {
    EXPECT_EQ(client.ask(post("/echo", zipped, "Content-Encoding: " + std::string(name) + "\r\n")).body, body);
  }
  std::string head(kChunkedHead);
  head.insert(head.size() - 2, "Content-Encoding: gzip\r\n");
  EXPECT_EQ(client.ask(head + chunked(zipped, 100)).body, body);
  EXPECT_EQ(client.ask(post("/echo", gzip("two ") + gzip("members"), "Content-Encoding: gzip\r\n")).body,
            "two members");
  EXPECT_EQ(client.ask(post("/echo", gzip(""), "Content-Encoding: gzip\r\n")).body, "");
}

TEST(HttpBody, IsRefusedWhenItsGzipIsBroken) {
  TestServer server;
  Client client = server.client();
  const std::string zipped = gzip(pattern(5'000));
  std::string flipped = zipped;
  flipped[zipped.size() - 6] ^= 1;
  for (const std::string& bad :
       {zipped.substr(0, zipped.size() - 1), zipped.substr(0, 5), flipped, zipped + "x", std::string("plain")}) {
    const Answer answer = client.ask(post("/echo", bad, "Content-Encoding: gzip\r\n"));
    EXPECT_EQ(answer.status, 400);
    EXPECT_THAT(answer.body, HasSubstr("gzip"));
  }
  EXPECT_EQ(client.ask(get("/hello")).status, 200) << "what was refused was well framed: the connection stays";
}

TEST(HttpBody, OfAGzipBombIsNotUnpacked) {
  TestServer server;
  Client client = server.client();
  const std::string bomb = gzip(std::string(64 * 1024 * 1024, '\0'), 9);
  ASSERT_LT(bomb.size(), 100'000U);
  EXPECT_EQ(client.ask(post("/echo", bomb, "Content-Encoding: gzip\r\n")).status, 413);
  EXPECT_EQ(client.ask(get("/hello")).status, 200);
}

TEST(HttpBody, IsRefusedInACodingOrTypeThatTheRouteDoesNotTake) {
  TestServer server;
  Client client = server.client();
  const Answer answer = client.ask(post("/echo", "x", "Content-Encoding: br\r\n"));
  EXPECT_EQ(answer.status, 415);
  EXPECT_EQ(answer.header("accept-encoding"), "gzip");
  EXPECT_EQ(client.ask(post("/echo", "x", {}, "text/plain")).status, 415);
  EXPECT_EQ(client.ask(post("/echo", "x", {}, "application/json; charset=latin-1")).status, 415);
  EXPECT_EQ(client.ask(post("/echo", "x", {}, "application/jsonx")).status, 415);
}

TEST(HttpBody, TellsTheHandlerWhichTypeItHas) {
  TestServer server;
  Client client = server.client();
  EXPECT_EQ(client.ask(post("/type", "x", {}, "application/json")).body, "0");
  EXPECT_EQ(client.ask(post("/type", "x", {}, "Application/X-NDJSON ; charset=\"UTF-8\"")).body, "1");
  EXPECT_EQ(client.ask("POST /type HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx").body, "0");
}

TEST(HttpExpect, IsContinuedWhenTheBodyIsWanted) {
  TestServer server;
  Client client = server.client();
  const std::string request = post("/echo", "hello", "Expect: 100-continue\r\n");
  client.send(request.substr(0, request.size() - 5));
  EXPECT_EQ(client.read().status, 100);
  client.send("hello");
  EXPECT_EQ(client.read().body, "hello");
  EXPECT_EQ(client.ask(request).body, "hello") << "who sends the body at once needs no go-ahead";
}

TEST(HttpExpect, IsAnsweredAtOnceWhenTheBodyIsNotWanted) {
  TestServer server;
  Client client = server.client();
  EXPECT_EQ(client.ask("POST /secret HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").status,
            401);
  Client other = server.client();
  EXPECT_EQ(other.ask(post("/echo", "x", "Expect: the-unexpected\r\n")).status, 417);
}

TEST(HttpGate, AdmitsAtOnceOrAfterAsking) {
  TestServer server;
  Client client = server.client();
  EXPECT_EQ(client.ask(get("/secret", "Authorization: Bearer good\r\n")).status, 200);
  EXPECT_EQ(client.ask(get("/secret", "Authorization: Bearer slow-good\r\n")).status, 200);
  EXPECT_EQ(client.ask(post("/secret", pattern(50'000), "Authorization: Bearer slow-good\r\n")).body, pattern(50'000));
}

TEST(HttpGate, ThatHadToAskMayBeFollowedByAnAnswerAtOnceAndAFarewell) {
  TestServer server;
  Client bystander = server.client();
  ASSERT_EQ(bystander.ask(get("/hello")).status, 200);
  for (int i = 0; i < 20; ++i) {
    Client client = server.client();
    client.send(post("/secret-direct", "{}", "Authorization: Bearer slow-good\r\n") +
                get("/hello", "Connection: close\r\n"));
    ASSERT_EQ(client.read().status, 202);
    ASSERT_EQ(client.read().status, 200);
    ASSERT_TRUE(client.ended());
  }
  EXPECT_EQ(bystander.ask(get("/hello")).status, 200);
}

TEST(HttpGate, RefusesAndTheConnectionStaysIfNothingIsLeftUnread) {
  TestServer server;
  Client client = server.client();
  const Answer answer = client.ask(get("/secret"));
  EXPECT_EQ(answer.status, 401);
  EXPECT_EQ(answer.header("www-authenticate"), "Bearer");
  EXPECT_EQ(client.ask(get("/secret", "Authorization: Bearer slow-bad\r\n")).status, 401);
  EXPECT_EQ(client.ask(post("/secret", "small")).status, 401);
  EXPECT_EQ(client.ask(get("/hello")).status, 200);
}

TEST(HttpGate, ThatFailsAnswers500) {
  TestServer server;
  Client client = server.client();
  EXPECT_EQ(client.ask(get("/secret", "Authorization: Bearer trouble\r\n")).status, 500);
  EXPECT_EQ(client.ask(get("/secret", "Authorization: Bearer slow-trouble\r\n")).status, 500);
  EXPECT_EQ(client.ask(get("/hello")).status, 200);
}

class HttpHandlerFailure : public testing::TestWithParam<const char*> {};

TEST_P(HttpHandlerFailure, IsAnsweredWith500AndLoggedOnce) {
  testing::internal::CaptureStderr();
  {
    TestServer server;
    Client client = server.client();
    const Answer answer = client.ask(get(GetParam()));
    EXPECT_EQ(answer.status, 500);
    EXPECT_THAT(answer.body, Not(HasSubstr("trouble")));
    EXPECT_EQ(client.ask(get("/hello")).status, 200);
    EXPECT_EQ(server.metric("tallyd_http_requests_total{route=\"" + std::string(GetParam()) +
                            "\",method=\"GET\",code=\"500\"}"),
              1);
  }
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::ranges::count(log, '\n'), 1) << log;
  EXPECT_THAT(log, HasSubstr(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Http, HttpHandlerFailure, testing::Values("/throws", "/throws-directly", "/drops"),
                         [](const auto& tested) {
                           std::string name = tested.param + 1;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(HttpAnswer, MayBeLargerThanTheSocketTakesAtOnce) {
  TestServer server;
  Client client = server.client();
  for (int i = 0; i < 3; ++i) {
    const Answer answer = client.ask(get("/big"));
    ASSERT_EQ(answer.body.size(), 4U * 1024 * 1024);
  }
}

TEST(HttpAnswer, WithoutContentHasNoLength) {
  TestServer server;
  Client client = server.client();
  const Answer answer = client.ask("DELETE /thing HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.headers.count("content-length"), 0U);
  EXPECT_EQ(client.ask(get("/hello")).status, 200);
}

TEST(HttpAnswer, IsCountedByRouteMethodAndCode) {
  TestServer server;
  Client client = server.client();
  client.ask(post("/direct", "{}"));
  client.ask(post("/direct", "{}"));
  client.ask(get("/nothing/here"));
  client.ask("rubbish\r\n\r\n");
  EXPECT_EQ(server.metric("tallyd_http_requests_total{route=\"/direct\",method=\"POST\",code=\"202\"}"), 2);
  EXPECT_EQ(server.metric("tallyd_http_request_duration_seconds_count{route=\"/direct\"}"), 2);
  EXPECT_EQ(server.metric("tallyd_http_requests_total{route=\"none\",method=\"GET\",code=\"404\"}"), 1);
  EXPECT_EQ(server.metric("tallyd_http_requests_total{route=\"none\",method=\"other\",code=\"400\"}"), 1);
}

}  // namespace
}  // namespace tally::http::test
