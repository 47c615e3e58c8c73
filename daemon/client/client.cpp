#include "daemon/client/client.hpp"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <optional>

namespace tally::daemon::client {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;

struct Client::Tls {
  ssl::context context{ssl::context::tls_client};
  Tls() {
    context.set_default_verify_paths();
    context.set_verify_mode(ssl::verify_peer);
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  }
};

namespace {

/// Outlives the coroutine that waits for it: a lookup cannot be stopped, only no longer waited for.
struct Lookup {
  explicit Lookup(const asio::any_io_executor& executor) : resolver(executor), over(executor) {}
  tcp::resolver resolver;
  asio::steady_timer over;
  bool done = false;
  error_code error;
  std::vector<tcp::endpoint> endpoints;
};

bool is_address(const std::string& host) {
  error_code error;
  asio::ip::make_address(host, error);
  return !error;
}

}  // namespace

/// One exchange. Every step notes in `out.problem` what went wrong and answers false.
class Client::Attempt {
 public:
  Attempt(Client& client, const Request& request, tracker::SteadyTime deadline)
      : client_(client), request_(request), deadline_(deadline), stream_(client.executor_) {}

  asio::awaitable<void> run() {
    std::string proxy_problem;
    proxy_ = choose_proxy(client_.proxies_, request_.url, proxy_problem);
    if (!proxy_problem.empty()) {
      out.problem = proxy_problem;
      co_return;
    }
    make_message();
    const bool connected = co_await connect();
    if (!connected) co_return;
    if (!request_.url.tls) {
      co_await exchange(stream_);
      co_return;
    }
    if (proxy_) {
      const bool through = co_await tunnel();
      if (!through) co_return;
    }
    co_await exchange_over_tls();
  }

  void cancel() {
    cancelled_ = true;
    if (lookup_) lookup_->over.cancel();
    stream_.close();
  }

  Exchange out;

 private:
  using Token = asio::use_awaitable_t<>;

  void make_message() {
    message_.version(11);
    message_.method(http::verb::post);
    const bool absolute = proxy_ && !request_.url.tls;
    message_.target(absolute ? "http://" + authority(request_.url) + request_.url.target : request_.url.target);
    message_.set(http::field::host, authority(request_.url));
    message_.set(http::field::user_agent, client_.user_agent_);
    message_.set(http::field::accept, "application/json");
    message_.set(http::field::content_type, "application/json");
    message_.set(http::field::connection, "close");
    if (absolute && !proxy_->authorization.empty())
      message_.set(http::field::proxy_authorization, proxy_->authorization);
    for (const auto& [name, value] : request_.headers) message_.set(name, value);
    message_.body() = request_.body;
    message_.prepare_payload();
  }

  void fail(const std::string& what, const error_code& error) {
    if (cancelled_)
      out.problem = what + ": stopped";
    else if (error == beast::error::timeout || client_.clock_.steady() >= deadline_)
      out.problem = what + ": not within its time";
    else if (error == http::error::body_limit)
      out.problem = "the answer's body is too large";
    else if (error == http::error::header_limit)
      out.problem = "the answer's head is too large";
    else
      out.problem = what + ": " + error.message();
  }

  asio::awaitable<bool> look_up(const std::string& host, std::uint16_t port) {
    error_code literal;
    const auto address = asio::ip::make_address(host, literal);
    lookup_ = std::make_shared<Lookup>(client_.executor_);
    if (!literal) {
      lookup_->endpoints.emplace_back(address, port);
      co_return true;
    }
    lookup_->over.expires_at(deadline_);
    lookup_->resolver.async_resolve(
        host, std::to_string(port), tcp::resolver::numeric_service,
        [lookup = lookup_](const error_code& error, const tcp::resolver::results_type& found) {
          lookup->done = true;
          lookup->error = error;
          for (const auto& entry : found) lookup->endpoints.push_back(entry.endpoint());
          lookup->over.cancel();
        });
    error_code ignored;
    co_await lookup_->over.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (lookup_->done && !lookup_->error && !lookup_->endpoints.empty()) co_return true;
    fail("looking up " + host, lookup_->done ? lookup_->error : error_code());
    co_return false;
  }

  /// Each address gets its share of the time that is left, so that a dead first one leaves some for the others.
  asio::awaitable<bool> connect() {
    const std::string host = proxy_ ? proxy_->host : request_.url.host;
    const bool found = co_await look_up(host, proxy_ ? proxy_->port : request_.url.port);
    if (!found) co_return false;
    error_code error;
    auto left = static_cast<int>(lookup_->endpoints.size());
    for (const tcp::endpoint& endpoint : lookup_->endpoints) {
      const auto now = client_.clock_.steady();
      if (cancelled_ || now >= deadline_) break;
      stream_.expires_at(now + (deadline_ - now) / left--);
      co_await stream_.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
      if (!error) {
        stream_.expires_at(deadline_);
        co_return !cancelled_;
      }
      if (!cancelled_) stream_.close();
    }
    fail(proxy_ ? "connecting to the proxy" : "connecting", error);
    co_return false;
  }

  asio::awaitable<bool> tunnel() {
    http::request<http::empty_body> ask;
    ask.version(11);
    ask.method(http::verb::connect);
    const std::string host =
        request_.url.host.find(':') == std::string::npos ? request_.url.host : "[" + request_.url.host + "]";
    const std::string to = host + ":" + std::to_string(request_.url.port);
    ask.target(to);
    ask.set(http::field::host, to);
    ask.set(http::field::user_agent, client_.user_agent_);
    if (!proxy_->authorization.empty()) ask.set(http::field::proxy_authorization, proxy_->authorization);
    error_code error;
    co_await http::async_write(stream_, ask, asio::redirect_error(asio::use_awaitable, error));
    if (error) {
      fail("asking the proxy", error);
      co_return false;
    }
    http::response_parser<http::empty_body> answer;
    answer.skip(true);
    answer.header_limit(static_cast<std::uint32_t>(client_.limits_.head_bytes));
    beast::flat_buffer buffer(client_.limits_.head_bytes);
    co_await http::async_read_header(stream_, buffer, answer, asio::redirect_error(asio::use_awaitable, error));
    if (error) {
      fail("asking the proxy", error);
      co_return false;
    }
    if (answer.get().result_int() / 100 != 2) {
      out.problem = "the proxy answered " + std::to_string(answer.get().result_int());
      co_return false;
    }
    if (buffer.size() != 0) {
      out.problem = "the proxy sent more than its answer";
      co_return false;
    }
    co_return true;
  }

  asio::awaitable<void> exchange_over_tls() {
    if (!client_.tls_) client_.tls_ = std::make_unique<Tls>();
    ssl::stream<beast::tcp_stream&> secure(stream_, client_.tls_->context);
    const std::string& host = request_.url.host;
    if (!is_address(host)) SSL_set_tlsext_host_name(secure.native_handle(), host.c_str());
    secure.set_verify_callback(ssl::host_name_verification(host));
    error_code error;
    co_await secure.async_handshake(ssl::stream_base::client, asio::redirect_error(asio::use_awaitable, error));
    if (error) {
      const long verdict = SSL_get_verify_result(secure.native_handle());
      fail(verdict == X509_V_OK ? "TLS" : std::string("TLS (") + X509_verify_cert_error_string(verdict) + ")", error);
      co_return;
    }
    co_await exchange(secure);
  }

  template <class Stream>
  asio::awaitable<void> exchange(Stream& stream) {
    error_code error;
    out.sent = true;
    co_await http::async_write(stream, message_, asio::redirect_error(asio::use_awaitable, error));
    // Whoever refuses early may stop reading and answer all the same.
    const error_code written = error;
    beast::flat_buffer buffer(client_.limits_.head_bytes + client_.limits_.body_bytes);
    std::optional<http::response_parser<http::string_body>> answer;
    do {
      answer.emplace();
      answer->header_limit(static_cast<std::uint32_t>(client_.limits_.head_bytes));
      answer->body_limit(client_.limits_.body_bytes);
      co_await http::async_read_header(stream, buffer, *answer, asio::redirect_error(asio::use_awaitable, error));
    } while (!error && answer->get().result_int() / 100 == 1);
    if (error) {
      fail(written ? "sending" : "waiting for the answer", written ? written : error);
      co_return;
    }
    out.status = answer->get().result_int();
    out.retry_after = answer->get()[http::field::retry_after];
    out.date = answer->get()[http::field::date];
    co_await http::async_read(stream, buffer, *answer, asio::redirect_error(asio::use_awaitable, error));
    out.body = std::move(answer->get().body());
    if (error)
      fail("reading the answer", error);
    else
      out.complete = true;
  }

  Client& client_;
  const Request& request_;
  const tracker::SteadyTime deadline_;
  std::optional<Proxy> proxy_;
  std::shared_ptr<Lookup> lookup_;
  beast::tcp_stream stream_;
  http::request<http::string_body> message_;
  bool cancelled_ = false;
};

Client::Client(asio::any_io_executor executor, const tracker::Clock& clock, ProxySettings proxies,
               std::string user_agent, ClientLimits limits)
    : executor_(std::move(executor)),
      clock_(clock),
      proxies_(std::move(proxies)),
      user_agent_(std::move(user_agent)),
      limits_(limits) {}

Client::~Client() = default;

asio::awaitable<Exchange> Client::post(Request request, tracker::SteadyTime deadline) {
  Exchange ended;
  if (cancelled_) {
    ended.problem = "stopped";
    co_return ended;
  }
  Attempt attempt(*this, request, deadline);
  cancel_current_ = [&attempt] { attempt.cancel(); };
  co_await attempt.run();
  cancel_current_ = nullptr;
  ended = std::move(attempt.out);
  co_return ended;
}

void Client::cancel() {
  cancelled_ = true;
  if (cancel_current_) cancel_current_();
}

}  // namespace tally::daemon::client
