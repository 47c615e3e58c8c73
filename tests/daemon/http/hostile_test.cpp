// What a broken or hostile client gets, and that nobody else notices.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include "fixture.hpp"

namespace tally::http::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

struct Refused {
  std::string_view name;
  std::string bytes;
  int status = 400;
};
std::ostream& operator<<(std::ostream& out, const Refused& refused) {
  return out << refused.name;
}

std::string head(std::string_view fields) {
  return "POST /direct HTTP/1.1\r\nHost: t\r\n" + std::string(fields) + "\r\n";
}

class HttpMalformed : public testing::TestWithParam<Refused> {};

TEST_P(HttpMalformed, IsRefusedOnceAndTheConnectionEnds) {
  TestServer server;
  Client bystander = server.client();
  Client client = server.client();
  // What follows must not be taken for a request of its own: that is what smuggling is.
  client.send(GetParam().bytes + get("/hello"));
  client.half_close();
  const Answer answer = client.read();
  EXPECT_EQ(answer.status, GetParam().status);
  EXPECT_EQ(answer.header("content-type"), "application/problem+json");
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_TRUE(client.ended()) << "answered more than once";
  EXPECT_EQ(bystander.ask(get("/hello")).status, 200);
  EXPECT_EQ(server.metric("tallyd_http_requests_total{route=\"/direct\",method=\"POST\",code=\"202\"}"), -1);
}

INSTANTIATE_TEST_SUITE_P(
    Http, HttpMalformed,
    testing::Values(
        // Two ways to frame one message.
        Refused{"length_and_chunked", head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n"},
        Refused{"chunked_and_length", head("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") + "0\r\n\r\n"},
        Refused{"two_lengths", head("Content-Length: 5\r\nContent-Length: 6\r\n") + "hello"},
        Refused{"the_same_length_twice", head("Content-Length: 5\r\nContent-Length: 5\r\n") + "hello"},
        Refused{"list_of_lengths", head("Content-Length: 5, 5\r\n") + "hello"},
        Refused{"signed_length", head("Content-Length: +5\r\n") + "hello"},
        Refused{"negative_length", head("Content-Length: -1\r\n")},
        Refused{"hexadecimal_length", head("Content-Length: 0x5\r\n") + "hello"},
        Refused{"length_with_blank_inside", head("Content-Length: 1 0\r\n") + "hello"},
        Refused{"empty_length", head("Content-Length:\r\n")},
        Refused{"huge_length", head("Content-Length: 99999999999999999999999\r\n")},
        Refused{"length_of_2_to_the_64", head("Content-Length: 18446744073709551616\r\n")},
        Refused{"chunked_is_not_last", head("Transfer-Encoding: chunked, identity\r\n") + "0\r\n\r\n"},
        Refused{"chunked_behind_gzip", head("Transfer-Encoding: gzip, chunked\r\n") + "0\r\n\r\n"},
        Refused{"other_transfer_encoding", head("Transfer-Encoding: gzip\r\n")},
        Refused{"identity_transfer_encoding", head("Transfer-Encoding: identity\r\n")},
        Refused{"almost_chunked", head("Transfer-Encoding: xchunked\r\n") + "0\r\n\r\n"},
        Refused{"chunked_with_vertical_tab", head("Transfer-Encoding: \vchunked\r\n") + "0\r\n\r\n"},
        Refused{"chunked_twice", head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n"},
        Refused{"chunked_twice_in_a_line", head("Transfer-Encoding: chunked, chunked\r\n") + "0\r\n\r\n"},
        Refused{"blank_before_colon", head("Transfer-Encoding : chunked\r\n") + "0\r\n\r\n"},
        Refused{"blank_before_name", "POST /direct HTTP/1.1\r\n Content-Length: 5\r\nHost: t\r\n\r\nhello"},
        Refused{"folded_line", head("X-A: b\r\n Content-Length: 5\r\n") + "hello"},
        Refused{"folded_with_tab", head("Transfer-Encoding:\r\n\tchunked\r\n") + "0\r\n\r\n"},
        Refused{"line_feeds_only", "POST /direct HTTP/1.1\nHost: t\nContent-Length: 0\n\n"},
        Refused{"one_line_feed_only", head("X-A: b\nContent-Length: 5\r\n") + "hello"},
        Refused{"line_feeds_at_the_end", "POST /direct HTTP/1.1\r\nHost: t\r\nX-A: b\n\n\r\n\r\n"},
        Refused{"carriage_return_only", head("X-A: b\rContent-Length: 5\r\n") + "hello"},
        Refused{"nul_in_value", head(std::string_view("X-A: b\0c\r\n", 10))},
        Refused{"nul_in_name", head(std::string_view("X-\0A: b\r\n", 9))}, Refused{"no_colon", head("X-A\r\n")},
        Refused{"empty_name", head(": b\r\n")}, Refused{"name_with_blank", head("X A: b\r\n")},
        Refused{"chunked_in_http_1_0", "POST /direct HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        // Chunks.
        Refused{"chunk_without_size", head("Transfer-Encoding: chunked\r\n") + "\r\n\r\n"},
        Refused{"chunk_of_negative_size", head("Transfer-Encoding: chunked\r\n") + "-1\r\n\r\n"},
        Refused{"chunk_of_hex_prefix", head("Transfer-Encoding: chunked\r\n") + "0x5\r\nhello\r\n0\r\n\r\n"},
        Refused{"chunk_size_with_blank", head("Transfer-Encoding: chunked\r\n") + "5 \r\nhello\r\n0\r\n\r\n"},
        Refused{"chunk_size_with_line_feed", head("Transfer-Encoding: chunked\r\n") + "5\nhello\r\n0\r\n\r\n"},
        Refused{"chunk_size_overflow",
                head("Transfer-Encoding: chunked\r\n") + "10000000000000005\r\nhello\r\n0\r\n\r\n"},
        Refused{"chunk_longer_than_said", head("Transfer-Encoding: chunked\r\n") + "4\r\nhello\r\n0\r\n\r\n"},
        Refused{"chunk_end_with_line_feed", head("Transfer-Encoding: chunked\r\n") + "5\r\nhello\n0\r\n\r\n"},
        Refused{"chunk_extension_with_line_feed",
                head("Transfer-Encoding: chunked\r\n") + "5;a\nb\r\nhello\r\n0\r\n\r\n"},
        Refused{"endless_chunk_extension",
                head("Transfer-Encoding: chunked\r\n") + "5;" + std::string(20'000, 'a') + "\r\nhello\r\n0\r\n\r\n"},
        Refused{"endless_trailers",
                head("Transfer-Encoding: chunked\r\n") + "0\r\n" + std::string(20'000, 'a') + "\r\n\r\n"},
        Refused{"folded_trailer", head("Transfer-Encoding: chunked\r\n") + "0\r\nA: b\r\n c\r\n\r\n"},
        Refused{"chunked_body_that_ends_early", head("Transfer-Encoding: chunked\r\n") + "5000\r\nhello"},
        Refused{"body_that_ends_early", head("Content-Length: 5000\r\n") + "hello"},
        // Request lines.
        Refused{"no_version", "GET /hello\r\n\r\n"}, Refused{"http_0_9", "GET /hello HTTP/0.9\r\n\r\n"},
        Refused{"http_2_preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
        Refused{"http_1_2", "GET /hello HTTP/1.2\r\nHost: t\r\n\r\n"},
        Refused{"lower_case_protocol", "GET /hello http/1.1\r\nHost: t\r\n\r\n"},
        Refused{"two_blanks", "GET  /hello HTTP/1.1\r\nHost: t\r\n\r\n"},
        Refused{"blank_in_target", "GET /hel lo HTTP/1.1\r\nHost: t\r\n\r\n"},
        Refused{"blank_before_method", " GET /hello HTTP/1.1\r\nHost: t\r\n\r\n"},
        Refused{"blank_behind_version", "GET /hello HTTP/1.1 \r\nHost: t\r\n\r\n"},
        Refused{"nul_in_target", std::string("GET /a\0b HTTP/1.1\r\nHost: t\r\n\r\n", 31)},
        Refused{"target_without_slash", "GET hello HTTP/1.1\r\nHost: t\r\n\r\n"},
        Refused{"fragment", "GET /hello#x HTTP/1.1\r\nHost: t\r\n\r\n"},
        Refused{"connect", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n"},
        Refused{"no_host", "GET /hello HTTP/1.1\r\n\r\n"},
        Refused{"two_hosts", "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
        Refused{"two_content_types", head("Content-Type: application/json\r\nContent-Type: text/plain\r\n")},
        Refused{"two_authorizations", head("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n")},
        // Not HTTP at all: known from the first bytes, without waiting for more.
        Refused{"tls_hello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)},
        Refused{"zeros", std::string(100, '\0')}, Refused{"ssh", "SSH-2.0-OpenSSH_9.2\r\n"},
        Refused{"json", "{\"a\": 1}"}, Refused{"one_line_of_text", "hello there\r\n"},
        Refused{"high_bytes", "\xff\xfe\xfd"},
        // Limits.
        Refused{"long_target", "GET /" + std::string(5'000, 'a') + " HTTP/1.1\r\nHost: t\r\n\r\n", 414},
        Refused{"endless_target", "GET /" + std::string(50'000, 'a'), 414},
        Refused{"many_fields", head([] {
                  std::string fields;
                  for (int i = 0; i < 64; ++i) fields += "X-" + std::to_string(i) + ": 1\r\n";
                  return fields;
                }()),
                431},
        Refused{"long_field", head("X-A: " + std::string(17'000, 'a') + "\r\n"), 431},
        Refused{"endless_field", head("X-A: " + std::string(50'000, 'a')), 431},
        Refused{"endless_method", std::string(50'000, 'A'), 414}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(HttpLimits, AdmitWhatJustFits) {
  TestServer server;
  Client client = server.client();
  std::string fields;
  for (int i = 0; i < 63; ++i) fields += "X-" + std::to_string(i) + ": 1\r\n";
  EXPECT_EQ(client.ask(get("/hello", fields)).status, 200);
  EXPECT_EQ(client.ask(get("/things/" + std::string(4'000, 'a') + "/parts/b")).status, 200);
  EXPECT_EQ(client.ask(get("/hello", "X-A: " + std::string(16'000, 'a') + "\r\n")).status, 200);
  EXPECT_EQ(client.ask(get("/hello")).status, 200);
}

TEST(HttpLimits, AreCountedWhenReached) {
  TestServer server;
  server.client().ask("GET /" + std::string(5'000, 'a') + " HTTP/1.1\r\nHost: t\r\n\r\n");
  server.client().ask(get("/hello", "X-A: " + std::string(17'000, 'a') + "\r\n"));
  std::string fields;
  for (int i = 0; i < 64; ++i) fields += "X-" + std::to_string(i) + ": 1\r\n";
  server.client().ask(get("/hello", fields));
  for (const char* limit : {"request_line", "header_section", "header_fields"}) {
    EXPECT_EQ(server.metric("tallyd_http_limits_reached_total{limit=\"" + std::string(limit) + "\"}"), 1) << limit;
  }
}

TEST(HttpLimits, HoldForAllBodiesTogether) {
  TestServer server([](ServerOptions& options) { options.limits.bodies = 1'000'000; });
  const std::string body(600'000, 'x');
  Client first = server.client();
  first.send(post("/held", body));
  ASSERT_TRUE(server.api.wait_for_held(1));
  const Answer refused = server.client().ask(post("/held", body));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("retry-after"), "1");
  EXPECT_EQ(server.metric("tallyd_http_limits_reached_total{limit=\"bodies\"}"), 1);
  server.api.answer_held(1);
  EXPECT_EQ(first.read().status, 202);
  EXPECT_EQ(first.ask(get("/hello")).status, 200);
  EXPECT_EQ(server.client().ask(post("/echo", body)).status, 200) << "what was taken has been given back";
}

// Early errors: the answer must arrive although the client is still sending.

TEST(HttpEarlyError, IsReadableWhileTheClientStillSends) {
  TestServer server;
  for (const std::string fields : {"Content-Length: 10000000\r\n", "Transfer-Encoding: chunked\r\n"}) {
    Client client = server.client();
    ASSERT_TRUE(client.send("POST /secret HTTP/1.1\r\nHost: t\r\n" + fields + "\r\n"));
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.send(std::string(65'536, 'x'))) << "reset while sending";
    const Answer answer = client.read();
    EXPECT_EQ(answer.status, 401);
    EXPECT_EQ(answer.header("connection"), "close");
    EXPECT_TRUE(client.ended());
  }
}

TEST(HttpEarlyError, OfATooLargeBodyIsReadableBehindAllOfIt) {
  TestServer server;
  Client client = server.client();
  ASSERT_TRUE(client.send(post("/echo", std::string(9 * 1024 * 1024, 'x'))));
  EXPECT_EQ(client.read().status, 413);
  EXPECT_TRUE(client.ended());
}

TEST(HttpEarlyError, StopsReadingAfterSoManyBytes) {
  TestServer server([](ServerOptions& options) { options.limits.linger = 1024 * 1024; });
  Client client = server.client();
  client.send("POST /secret HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999\r\n\r\n");
  bool cut = false;
  for (int i = 0; i < 1000 && !cut; ++i) cut = !client.send(std::string(65'536, 'x'));
  EXPECT_TRUE(cut);
}

TEST(HttpEarlyError, StopsWaitingAfterAWhile) {
  TestServer server([](ServerOptions& options) { options.deadlines = short_deadlines(); });
  Client client = server.client();
  EXPECT_EQ(client.ask("POST /secret HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999\r\n\r\n").status, 401);
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(server.wait_for_metric("tallyd_http_connections", 0));
}

// Deadlines.

TEST(HttpDeadline, EndsAConnectionThatSaysNothing) {
  TestServer server([](ServerOptions& options) { options.deadlines = short_deadlines(); });
  Client client = server.client();
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(server.metric("tallyd_http_limits_reached_total{limit=\"idle\"}"), 1);
}

TEST(HttpDeadline, EndsAConnectionThatIsIdleAfterARequest) {
  TestServer server([](ServerOptions& options) { options.deadlines = short_deadlines(); });
  Client client = server.client();
  EXPECT_EQ(client.ask(get("/hello")).status, 200);
  EXPECT_TRUE(client.ended());
}

TEST(HttpDeadline, OfTheHeaderSectionCannotBePutOffByTrickling) {
  TestServer server([](ServerOptions& options) {
    options.deadlines = short_deadlines();
    options.deadlines.idle = 60s;
  });
  Client client = server.client();
  client.send("GET /hello HTTP/1.1\r\n");
  const auto start = server.clock.steady();
  while (client.silent()) client.send("X-A: b\r\n");
  const auto took = server.clock.steady() - start;
  const Answer answer = client.read();
  EXPECT_TRUE(answer.status == 408 || answer.status == 431) << answer.status;
  EXPECT_LT(took, 2s);
  if (answer.status == 408) {
    EXPECT_EQ(server.metric("tallyd_http_limits_reached_total{limit=\"header_deadline\"}"), 1);
  }
}

TEST(HttpDeadline, OfTheHeaderSectionAnswers408) {
  TestServer server([](ServerOptions& options) { options.deadlines = short_deadlines(); });
  Client client = server.client();
  EXPECT_EQ(client.ask("GET /hello HTTP/1.1\r\nHost:").status, 408);
  EXPECT_TRUE(client.ended());
}

TEST(HttpDeadline, OfTheBodyCannotBePutOffByTrickling) {
  TestServer server([](ServerOptions& options) { options.deadlines = short_deadlines(); });
  for (const char* fields : {"Content-Length: 8000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n7A1200\r\n"}) {
    Client client = server.client();
    client.send(std::string("POST /echo HTTP/1.1\r\nHost: t\r\n") + fields);
    while (client.silent()) client.send("x");
    EXPECT_EQ(client.read().status, 408);
    EXPECT_TRUE(client.ended());
  }
  EXPECT_EQ(server.metric("tallyd_http_limits_reached_total{limit=\"body_deadline\"}"), 2);
}

TEST(HttpDeadline, CutsABodyThatComesTooSlowly) {
  TestServer server([](ServerOptions& options) {
    options.deadlines = short_deadlines();
    options.deadlines.body = 60s;
    options.deadlines.body_grace = 50ms;
    options.deadlines.body_bytes_per_second = 1'000'000;
  });
  Client client = server.client();
  const std::string request = post("/echo", std::string(100'000, 'x'));
  client.send(request.substr(0, 1'000));
  EXPECT_EQ(client.read().status, 408);
  Client fast = server.client();
  EXPECT_EQ(fast.ask(request).status, 200);
}

TEST(HttpDeadline, DoesNotHoldForAHandler) {
  TestServer server([](ServerOptions& options) { options.deadlines = short_deadlines(); });
  Client client = server.client();
  client.send(post("/held", "{}"));
  const auto until = server.clock.steady() + 300ms;
  while (server.clock.steady() < until) ASSERT_TRUE(client.silent());
  server.api.answer_held(1);
  EXPECT_EQ(client.read().status, 202);
}

TEST(HttpDeadline, CutsAClientThatDoesNotReadItsAnswer) {
  TestServer server([](ServerOptions& options) { options.deadlines = short_deadlines(); });
  Client client = server.client();
  for (int i = 0; i < 10; ++i) client.send(get("/big"));
  EXPECT_TRUE(server.wait_for_metric("tallyd_http_limits_reached_total{limit=\"write_deadline\"}", 1));
  EXPECT_TRUE(server.wait_for_metric("tallyd_http_connections", 0));
}

// Others.

TEST(HttpSlowloris, LeavesHonestClientsAlone) {
  TestServer server([](ServerOptions& options) { options.deadlines.tick = 5ms; });
  std::vector<Client> slow;
  for (int i = 0; i < 300; ++i) {
    slow.push_back(server.client());
    slow.back().send("POST /direct HTTP/1.1\r\nHost: t\r\nContent-Le");
  }
  Client honest = server.client();
  for (int i = 0; i < 100; ++i) ASSERT_EQ(honest.ask(post("/direct", "{}")).status, 202);
  EXPECT_EQ(server.server->connections(), 301U);
  slow.clear();
  EXPECT_TRUE(server.wait_for_metric("tallyd_http_connections", 1));
}

TEST(HttpClient, MayVanishAtAnyMoment) {
  TestServer server;
  const std::string request = post("/held", std::string(10'000, 'x'));
  for (std::size_t cut = 0; cut < request.size(); cut += request.size() / 40) {
    Client client = server.client();
    client.send(request.substr(0, cut));
    client.reset();
  }
  Client answered = server.client();
  answered.send(request);
  Client vanished = server.client();
  vanished.send(request);
  vanished.reset();
  server.api.answer_held(2);
  EXPECT_EQ(answered.read().status, 202);
  EXPECT_TRUE(server.wait_for_metric("tallyd_http_connections", 1));
}

TEST(HttpConnections, BeyondTheLimitAreTurnedAway) {
  TestServer server([](ServerOptions& options) { options.limits.connections = 3; });
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(server.client());
    ASSERT_EQ(clients.back().ask(get("/hello")).status, 200);
  }
  Client fourth = server.client();
  const Answer answer = fourth.ask(get("/hello"));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.header("retry-after"), "1");
  EXPECT_TRUE(fourth.ended());
  EXPECT_EQ(server.metric("tallyd_http_limits_reached_total{limit=\"connections\"}"), 1);
  fourth.close();
  clients.pop_back();
  ASSERT_TRUE(server.wait_for_metric("tallyd_http_connections", 2));
  EXPECT_EQ(server.client().ask(get("/hello")).status, 200);
}

TEST(HttpConnections, OfOnePeerAreLimitedButNotThoseOfAUnixSocket) {
  TestServer server([](ServerOptions& options) { options.limits.connections_per_peer = 2; });
  Client first = server.client();
  Client second = server.client();
  ASSERT_EQ(first.ask(get("/hello")).status, 200);
  ASSERT_EQ(second.ask(get("/hello")).status, 200);
  EXPECT_EQ(server.client().ask(get("/hello")).status, 503);
  EXPECT_EQ(server.metric("tallyd_http_limits_reached_total{limit=\"connections_per_peer\"}"), 1);
  first.close();
  ASSERT_TRUE(server.wait_for_metric("tallyd_http_connections", 1));
  EXPECT_EQ(server.client().ask(get("/hello")).status, 200);
}

TEST(HttpConnections, AreAcceptedAgainAfterDescriptorsRanOut) {
  testing::internal::CaptureStderr();
  {
    TestServer server;
    Client first = server.client();
    ASSERT_EQ(first.ask(get("/hello")).status, 200);
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    std::vector<Client> waiting;
    for (int i = 0; i < 3; ++i) waiting.push_back(server.client());
    ASSERT_TRUE(server.wait_for_metric("tallyd_http_connections", 4));
    // The client's own socket exists already when no further one can be accepted.
    const int next = dup(0);
    close(next);
    rlimit none = before;
    none.rlim_cur = static_cast<rlim_t>(next) + 1;
    setrlimit(RLIMIT_NOFILE, &none);
    waiting.push_back(server.client());
    EXPECT_TRUE(server.wait_for_metric("tallyd_http_limits_reached_total{limit=\"descriptors\"}", 1));
    EXPECT_EQ(first.ask(get("/hello")).status, 200);
    setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(waiting.back().ask(get("/hello")).status, 200);
  }
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("cannot accept connections"));
}

TEST(HttpConnections, AreFewerWhenDescriptorsAreShort) {
  testing::internal::CaptureStderr();
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit few = before;
  few.rlim_cur = 64;
  setrlimit(RLIMIT_NOFILE, &few);
  std::optional<TestServer> server(std::in_place);
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("fewer connections than configured"));
  std::vector<Client> clients;
  for (int i = 0; i < 60; ++i) clients.push_back(server->client());
  EXPECT_EQ(clients.front().ask(get("/hello")).status, 200);
  EXPECT_TRUE(clients.back().ended()) << "few are told why: the descriptors are needed elsewhere";
  const auto told = std::count_if(clients.begin(), clients.end(), [](Client& client) {
    return client.send(get("/hello")) && client.read().status == 503;
  });
  EXPECT_GE(told, 1);
  EXPECT_LE(told, 60 / 4);
}

}  // namespace
}  // namespace tally::http::test
