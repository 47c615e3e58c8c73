// Listening, handing over, draining and stopping.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <cstring>
#include <filesystem>
#include <thread>

#include "fixture.hpp"

namespace tally::http::test {
namespace {

using namespace std::chrono_literals;

/// A directory that goes with the test.
struct TemporaryDirectory {
  TemporaryDirectory() {
    char name[] = "/tmp/tally_http_XXXXXX";
    path = mkdtemp(name);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
  std::string path;
};

struct EndpointCase {
  std::string_view name;
  std::string_view text;
  std::string_view shown;  ///< empty: refused
};
class EndpointText : public testing::TestWithParam<EndpointCase> {};

TEST_P(EndpointText, IsReadAndShown) {
  const auto endpoint = Endpoint::parse(GetParam().text);
  ASSERT_EQ(endpoint.has_value(), !GetParam().shown.empty());
  if (endpoint) {
    EXPECT_EQ(endpoint->to_string(), GetParam().shown);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Http, EndpointText,
    testing::Values(EndpointCase{"v4", "127.0.0.1:7290", "127.0.0.1:7290"}, EndpointCase{"v6", "[::1]:80", "[::1]:80"},
                    EndpointCase{"localhost", "localhost:1", "127.0.0.1:1"},
                    EndpointCase{"everywhere", "*:7290", "[::]:7290"},
                    EndpointCase{"unix_socket", "unix:/run/a.sock", "unix:/run/a.sock"},
                    EndpointCase{"no_port", "127.0.0.1", ""}, EndpointCase{"empty_port", "127.0.0.1:", ""},
                    EndpointCase{"large_port", "127.0.0.1:65536", ""},
                    EndpointCase{"port_with_text", "127.0.0.1:80x", ""}, EndpointCase{"name", "example.com:80", ""},
                    EndpointCase{"bare_v6", "::1:80", ""}, EndpointCase{"relative_path", "unix:a.sock", ""},
                    EndpointCase{"no_path", "unix:", ""}, EndpointCase{"empty", "", ""}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(HttpListen, RefusesPlainHttpBeyondLoopbackUnlessToldSo) {
  TestServer server;
  const Endpoint everywhere = Endpoint::parse("0.0.0.0:0").value();
  const auto refused = server.server->listen(everywhere, server.table);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error(), boost::system::errc::permission_denied);
  TestServer insecure([](ServerOptions& options) { options.insecure_http = true; }, nullptr, everywhere);
  EXPECT_NE(insecure.endpoint.port, 0);
}

TEST(HttpListen, RefusesAPortThatSomebodyHas) {
  TestServer server;
  TestServer other;
  const auto refused = other.server->listen(server.endpoint, other.table);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error(), boost::system::errc::address_in_use);
}

TEST(HttpListen, ServesSeveralThreadsFromOnePort) {
  TestServer server([](ServerOptions& options) { options.threads = 3; });
  std::vector<std::thread> clients;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      for (int j = 0; j < 20; ++j) {
        Client client = server.client();
        for (int k = 0; k < 5; ++k) good += client.ask(post("/echo", "{}")).status == 200;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 800);
}

TEST(HttpListen, ServesAUnixSocketAndTakesTheFileAway) {
  const TemporaryDirectory directory;
  const Endpoint endpoint = Endpoint::parse("unix:" + directory.path + "/s").value();
  {
    TestServer server([](ServerOptions& options) { options.limits.connections_per_peer = 1; }, nullptr, endpoint);
    Client first = server.client();
    Client second = server.client();
    EXPECT_EQ(first.ask(get("/hello")).status, 200);
    EXPECT_EQ(second.ask(get("/hello")).status, 200) << "Unix sockets have no limit per peer";
  }
  EXPECT_FALSE(std::filesystem::exists(endpoint.path));
}

TEST(HttpListen, TakesOverADeadUnixSocketAndNothingElse) {
  const TemporaryDirectory directory;
  const Endpoint endpoint = Endpoint::parse("unix:" + directory.path + "/s").value();
  TestServer server({}, nullptr, endpoint);
  TestServer other;
  EXPECT_EQ(other.server->listen(endpoint, other.table).error(), boost::system::errc::address_in_use);
  std::filesystem::rename(endpoint.path, directory.path + "/alive");
  close(open(endpoint.path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_EQ(other.server->listen(endpoint, other.table).error(), boost::system::errc::file_exists);
  std::filesystem::remove(endpoint.path);
  {
    // What a killed server leaves behind.
    const int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, endpoint.path.c_str());
    ASSERT_EQ(bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(dead, 1), 0);
    close(dead);
  }
  EXPECT_TRUE(other.server->listen(endpoint, other.table).has_value());
}

TEST(HttpListen, AdoptsASocketThatListensAlready) {
  const int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listening, 16), 0);
  Api api;
  TokenGate gate;
  RouteTable<Api> table(api_rows(), api, gate);
  const tracker::SystemClock clock;
  metrics::Registry registry;
  metrics::HttpMetrics http_metrics(registry, {}, 2);
  ServerOptions options;
  options.threads = 2;
  Server server(options, clock, http_metrics);
  const Endpoint endpoint = server.adopt(listening, table).value();
  // Before the server starts, the kernel holds connections for it: a restart refuses none.
  Client early(endpoint);
  early.send(get("/hello"));
  server.start();
  EXPECT_EQ(early.read().status, 200);
  EXPECT_EQ(Client(endpoint).ask(get("/hello")).status, 200);
  server.stop();
}

TEST(HttpDrain, LetsRequestsEndAndEndsIdleConnections) {
  TestServer server;
  Client idle = server.client();
  ASSERT_EQ(idle.ask(get("/hello")).status, 200);
  Client busy = server.client();
  busy.send(post("/held", "{}"));
  Client halfway = server.client();
  const std::string request = post("/echo", "hello");
  halfway.send(request.substr(0, request.size() - 2));
  ASSERT_TRUE(server.wait_for_metric("tallyd_http_connections", 3));
  server.server->stop_accepting();
  EXPECT_TRUE(idle.ended());
  EXPECT_THROW(server.client(), std::runtime_error);
  EXPECT_FALSE(server.server->drain(1ms));
  server.api.answer_held(1);
  const Answer answer = busy.read();
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.header("connection"), "close");
  halfway.send("lo");
  EXPECT_EQ(halfway.read().body, "hello");
  EXPECT_TRUE(halfway.ended());
  EXPECT_TRUE(server.server->drain(5s));
}

TEST(HttpDrain, AnswersWhomTheKernelHasLetIn) {
  for (int round = 0; round < 20; ++round) {
    TestServer server;
    std::vector<Client> clients;
    for (int i = 0; i < 10; ++i) {
      clients.push_back(server.client());
      clients.back().send(get("/hello"));
    }
    server.server->stop_accepting();
    for (Client& client : clients) ASSERT_EQ(client.read().status, 200) << round;
    EXPECT_TRUE(server.server->drain(5s));
  }
}

TEST(HttpStop, CutsWhatIsLeft) {
  TestServer server;
  Client busy = server.client();
  busy.send(post("/held", "{}"));
  Client slow = server.client();
  slow.send(post("/echo-later", "{}"));
  ASSERT_TRUE(server.wait_for_metric("tallyd_http_connections", 2));
  server.server->stop_accepting();
  EXPECT_FALSE(server.server->drain(1ms));
  server.server->stop();
  EXPECT_EQ(busy.read().status, 0);
}

TEST(HttpThreads, ShowThatTheyTurn) {
  TestServer server([](ServerOptions& options) {
    options.threads = 2;
    options.deadlines.tick = 1ms;
  });
  for (std::uint32_t thread = 0; thread < 2; ++thread) {
    const std::uint64_t before = server.server->ticks(thread);
    const auto patience = server.clock.steady() + 5s;
    while (server.server->ticks(thread) == before && server.clock.steady() < patience) std::this_thread::yield();
    EXPECT_GT(server.server->ticks(thread), before);
  }
}

TEST(HttpThreads, RunWhatOthersPost) {
  TestServer server([](ServerOptions& options) { options.threads = 2; });
  std::atomic<int> ran{0};
  for (std::uint32_t thread = 0; thread < 2; ++thread)
    boost::asio::post(server.server->executor(thread), [&] { ++ran; });
  const auto patience = server.clock.steady() + 5s;
  while (ran < 2 && server.clock.steady() < patience) std::this_thread::yield();
  EXPECT_EQ(ran, 2);
}

}  // namespace
}  // namespace tally::http::test
