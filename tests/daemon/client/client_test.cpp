#include "daemon/client/client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <thread>

namespace tally::daemon::client {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

/// Answers connections one after the other with fixed bytes, and keeps the heads that it was sent.
class RawServer {
 public:
  explicit RawServer(std::vector<std::string> answers, bool keep_open = false)
      : answers_(std::move(answers)), keep_open_(keep_open), thread_([this] { serve(); }) {}
  ~RawServer() { thread_.join(); }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  std::string url(const std::string& path = "/") const { return "http://127.0.0.1:" + std::to_string(port()) + path; }
  /// After every answer was given.
  const std::vector<std::string>& heads() {
    if (thread_.joinable()) thread_.join();
    thread_ = std::thread([] {});
    return heads_;
  }

 private:
  void serve() {
    for (const std::string& answer : answers_) {
      tcp::socket socket(context_);
      acceptor_.accept(socket);
      std::string head;
      boost::system::error_code error;
      asio::read_until(socket, asio::dynamic_buffer(head), "\r\n\r\n", error);
      heads_.push_back(head);
      asio::write(socket, asio::buffer(answer), error);
      if (keep_open_) {
        char byte;
        while (socket.read_some(asio::buffer(&byte, 1), error) > 0) {
        }
      }
    }
  }

  asio::io_context context_;
  tcp::acceptor acceptor_{context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::vector<std::string> answers_;
  const bool keep_open_;
  std::vector<std::string> heads_;
  std::thread thread_;
};

class ClientTest : public testing::Test {
 protected:
  Exchange post(const std::string& url, std::chrono::milliseconds patience = 5s, ProxySettings proxies = {},
                ClientLimits limits = {}) {
    Client client(context.get_executor(), clock, std::move(proxies), "tallyd/test", limits);
    return post(client, url, patience);
  }
  Exchange post(Client& client, const std::string& url, std::chrono::milliseconds patience) {
    Request request;
    request.url = *parse_url(url);
    request.headers.emplace_back("Idempotency-Key", "c/1");
    request.body = "{}";
    auto done = asio::co_spawn(context, client.post(std::move(request), clock.steady() + patience), asio::use_future);
    context.restart();
    context.run();
    return done.get();
  }

  asio::io_context context;
  tracker::SystemClock clock;
};

TEST_F(ClientTest, PostsWithALengthAndAnswersWhatCame) {
  RawServer server({"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nRetry-After: 3\r\n\r\ndone"});
  const Exchange exchange = post(server.url("/r?x=1"));
  EXPECT_EQ(exchange.status, 200u);
  EXPECT_TRUE(exchange.complete);
  EXPECT_EQ(exchange.body, "done");
  EXPECT_EQ(exchange.retry_after, "3");
  EXPECT_EQ(exchange.problem, "");
  const std::string head = server.heads().front();
  EXPECT_THAT(head, StartsWith("POST /r?x=1 HTTP/1.1\r\n"));
  EXPECT_THAT(head, HasSubstr("Content-Length: 2\r\n"));
  EXPECT_THAT(head, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(head, HasSubstr("Idempotency-Key: c/1\r\n"));
  EXPECT_THAT(head, HasSubstr("Host: 127.0.0.1:"));
}

TEST_F(ClientTest, PassesOverInterimAnswers) {
  RawServer server({"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"});
  EXPECT_EQ(post(server.url()).status, 204u);
}

TEST_F(ClientTest, SaysThatAnAnswerBrokeOff) {
  RawServer server({"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nhalf", "HTTP/1.1 20", ""});
  const Exchange half = post(server.url());
  EXPECT_EQ(half.status, 200u);
  EXPECT_FALSE(half.complete);
  EXPECT_EQ(half.body, "half");
  EXPECT_THAT(half.problem, HasSubstr("reading the answer"));
  EXPECT_EQ(post(server.url()).status, 0u);
  EXPECT_THAT(post(server.url()).problem, HasSubstr("waiting for the answer"));
}

TEST_F(ClientTest, TakesNoMoreThanItsBounds) {
  RawServer server({"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + std::string(5000, 'x'),
                    "HTTP/1.1 200 OK\r\nX: " + std::string(5000, 'x') + "\r\n\r\n"});
  const ClientLimits limits{.head_bytes = 1024, .body_bytes = 1024};
  const Exchange body = post(server.url(), 5s, {}, limits);
  EXPECT_EQ(body.problem, "the answer's body is too large");
  EXPECT_LE(body.body.size(), 1024u);
  EXPECT_EQ(post(server.url(), 5s, {}, limits).problem, "the answer's head is too large");
}

TEST_F(ClientTest, EndsAtItsDeadlineWhereNobodyAnswers) {
  RawServer server({""}, true);
  const auto before = clock.steady();
  const Exchange exchange = post(server.url(), 150ms);
  EXPECT_EQ(exchange.problem, "waiting for the answer: not within its time");
  EXPECT_LT(clock.steady() - before, 5s);
}

TEST_F(ClientTest, StopsWhenItIsCancelledAndSendsNoMore) {
  RawServer server({""}, true);
  Client client(context.get_executor(), clock, {}, "tallyd/test");
  asio::steady_timer timer(context, 50ms);
  timer.async_wait([&](boost::system::error_code) { client.cancel(); });
  EXPECT_EQ(post(client, server.url(), 30s).problem, "waiting for the answer: stopped");
  EXPECT_EQ(post(client, server.url(), 30s).problem, "stopped");
}

TEST_F(ClientTest, SaysThatNobodyListensOrThatANameIsUnknown) {
  tcp::acceptor gone(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  const auto port = gone.local_endpoint().port();
  gone.close();
  EXPECT_THAT(post("http://127.0.0.1:" + std::to_string(port)).problem, StartsWith("connecting: "));
  EXPECT_THAT(post("http://no-such-name.invalid/", 20s).problem, StartsWith("looking up no-such-name.invalid: "));
}

TEST_F(ClientTest, AsksAProxyForAPlainUrlByItsWholeName) {
  RawServer proxy({"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"});
  const ProxySettings settings{
      .http = "http://u:p@127.0.0.1:" + std::to_string(proxy.port()), .https = "", .no_proxy = ""};
  EXPECT_EQ(post("http://c.example/r", 5s, settings).status, 200u);
  const std::string head = proxy.heads().front();
  EXPECT_THAT(head, StartsWith("POST http://c.example/r HTTP/1.1\r\n"));
  EXPECT_THAT(head, HasSubstr("Host: c.example\r\n"));
  EXPECT_THAT(head, HasSubstr("Proxy-Authorization: Basic dTpw\r\n"));
}

TEST_F(ClientTest, AsksAProxyForATunnelToATlsUrlAndNeverSendsWithoutTls) {
  RawServer proxy({"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"});
  const ProxySettings settings{.http = "", .https = "127.0.0.1:" + std::to_string(proxy.port()), .no_proxy = ""};
  EXPECT_EQ(post("https://c.example/r", 5s, settings).problem, "the proxy answered 403");
  EXPECT_THAT(post("https://c.example/r", 5s, settings).problem, StartsWith("TLS"));
  for (const std::string& head : proxy.heads()) {
    EXPECT_THAT(head, StartsWith("CONNECT c.example:443 HTTP/1.1\r\n"));
    EXPECT_THAT(head, testing::Not(HasSubstr("Idempotency-Key")));
  }
}

}  // namespace
}  // namespace tally::daemon::client
