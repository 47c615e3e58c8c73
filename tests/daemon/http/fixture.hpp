#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "client.hpp"
#include "daemon/http/route_table.hpp"
#include "daemon/http/server.hpp"
#include "metrics/http_metrics.hpp"
#include "metrics/registry.hpp"

namespace tally::http::test {

/// What the handlers of the fixture's routes have.
struct Api {
  enum class Permission { open, token };

  std::mutex mutex;
  std::vector<Responder> held;  ///< requests of /held that wait for the test to answer them
  std::atomic<int> pieces{0};   ///< that a source of /pieces was asked for

  /// False after five seconds without that many.
  bool wait_for_held(std::size_t count);
  /// Waits for `count` held requests, then answers each on its own thread.
  void answer_held(std::size_t count);
};

std::span<const Route<Api>> api_rows();

/// Admits "Bearer good" at once and "Bearer slow-good" after asking.
class TokenGate final : public Gate<Api::Permission> {
 public:
  Admission admit(Request& request, const Api::Permission& permission) override;
  boost::asio::awaitable<std::optional<Response>> admit_slowly(Request& request,
                                                               const Api::Permission& permission) override;
};

/// Deadlines that let a test of them end in tens of milliseconds.
Deadlines short_deadlines();

/// A server with the fixture's routes on a loopback port of its own.
class TestServer {
 public:
  using Change = std::function<void(ServerOptions&)>;
  explicit TestServer(const Change& change = {}, TlsContext tls = nullptr, std::optional<Endpoint> at = std::nullopt);
  ~TestServer();

  Client client() const { return Client(endpoint); }
  /// Value of a sample in the text exposition, e.g. `tallyd_http_connections`.
  double metric(const std::string& series) const;
  /// Waits until the sample has this value; false after five seconds.
  bool wait_for_metric(const std::string& series, double value) const;

  Api api;
  TokenGate gate;
  RouteTable<Api> table{api_rows(), api, gate};
  tracker::SystemClock clock;
  metrics::Registry registry;
  std::unique_ptr<metrics::HttpMetrics> http_metrics;
  std::unique_ptr<Server> server;
  Endpoint endpoint;
};

}  // namespace tally::http::test
