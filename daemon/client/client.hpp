#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/client/proxy.hpp"
#include "daemon/client/url.hpp"
#include "tracker/clock.hpp"

namespace tally::daemon::client {

struct Request {
  Url url;
  std::vector<std::pair<std::string, std::string>> headers;  ///< besides those that every request has
  std::string body;                                          ///< JSON
};

/// How an exchange ended.
struct Exchange {
  unsigned status = 0;    ///< 0: not even the head of an answer came
  bool sent = false;      ///< bytes of the request may have left; false: certainly none did
  bool complete = false;  ///< the whole answer came, within its bounds
  std::string body;       ///< what came of it
  std::string retry_after;
  std::string date;
  std::string problem;  ///< for people; empty exactly when `complete`
};

struct ClientLimits {
  std::size_t head_bytes = 16 * 1024;
  std::size_t body_bytes = 1024 * 1024;
};

/// Posts JSON, one exchange at a time, each over a connection of its own. TLS 1.2 or later; the certificate must lead
/// to an authority that OpenSSL trusts by default and name the host. Redirects are answers like others. One executor.
class Client {
 public:
  /// `user_agent` without line ends.
  Client(boost::asio::any_io_executor executor, const tracker::Clock& clock, ProxySettings proxies,
         std::string user_agent, ClientLimits limits = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Ends at `deadline` at the latest. Bytes may have reached the other side whenever no complete answer came.
  boost::asio::awaitable<Exchange> post(Request request, tracker::SteadyTime deadline);
  /// Ends the exchange in progress, and any later one at once.
  void cancel();

 private:
  class Attempt;
  boost::asio::any_io_executor executor_;
  const tracker::Clock& clock_;
  ProxySettings proxies_;
  std::string user_agent_;
  ClientLimits limits_;
  struct Tls;
  std::unique_ptr<Tls> tls_;
  std::function<void()> cancel_current_;
  bool cancelled_ = false;
};

}  // namespace tally::daemon::client
