#include "fixture.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

namespace tally::http::test {
namespace {

using namespace std::chrono_literals;
using Answered = boost::asio::awaitable<Response>;

Response text(std::string body) {
  Response response = json(Status::ok, std::move(body));
  response.content_type = "text/plain";
  return response;
}

Answered hello(Api&, Request&) {
  co_return json(Status::ok, R"({"hello":true})");
}
Answered echo(Api&, Request& request) {
  co_return text(std::string(request.body));
}
Answered echo_later(Api&, Request& request) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, 1ms);
  co_await timer.async_wait(boost::asio::use_awaitable);
  co_return text(std::string(request.body));
}
Answered captured(Api&, Request& request) {
  co_return text(std::string(request.captures[0]) + "|" + std::string(request.captures[1]) + "|" +
                 std::string(request.query));
}
Answered type(Api&, Request& request) {
  co_return text(std::to_string(request.accepted_type));
}
Answered id(Api&, Request& request) {
  co_return text(std::string(request.id));
}
Answered big(Api&, Request&) {
  co_return text(std::string(4 * 1024 * 1024, 'x'));
}
Answered throws(Api&, Request&) {
  throw std::runtime_error("coroutine trouble");
  co_return Response{};
}
Answered remove(Api&, Request&) {
  co_return no_content();
}
void direct(Api&, Request& request, Responder responder) {
  responder.answer(json(Status::accepted, R"({"bytes":)" + std::to_string(request.body.size()) + "}"));
}
void throws_directly(Api&, Request&, Responder) {
  throw std::runtime_error("direct trouble");
}
void drops(Api&, Request&, Responder responder) {
  std::thread([gone = std::move(responder)] {}).join();
}
void held(Api& api, Request&, Responder responder) {
  const std::lock_guard lock(api.mutex);
  api.held.push_back(std::move(responder));
}

/// As many pieces of the size as the path says: of 'a', 'b', 'c', ... Fails behind them if it says so, or throws.
class Pieces final : public BodySource {
 public:
  Pieces(Api& api, int count, std::size_t size, std::string end)
      : api_(api), count_(count), size_(size), end_(std::move(end)) {}
  boost::asio::awaitable<tracker::Result<std::string>> next() override {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, 1ms);
    co_await timer.async_wait(boost::asio::use_awaitable);
    ++api_.pieces;
    if (given_ < count_) co_return std::string(size_, static_cast<char>('a' + given_++ % 26));
    if (end_ == "fails") co_return make_error_code(tracker::Errc::store_unavailable);
    if (end_ == "throws") throw std::runtime_error("source trouble");
    co_return std::string();
  }

 private:
  Api& api_;
  int count_;
  std::size_t size_;
  std::string end_;
  int given_ = 0;
};

Answered pieces(Api& api, Request& request) {
  Response response = text({});
  response.source = std::make_shared<Pieces>(api, std::stoi(std::string(request.captures[0])),
                                             std::stoul(std::string(request.captures[1])), std::string(request.query));
  co_return response;
}

constexpr auto kOpen = Api::Permission::open;
constexpr auto kToken = Api::Permission::token;
constexpr std::string_view kTypes[] = {"application/json", "application/x-ndjson"};
constexpr Route<Api> kRows[] = {
    {Verb::get, "/hello", kOpen, &hello},
    {Verb::post, "/echo", kOpen, &echo, kTypes},
    {Verb::put, "/echo", kOpen, &echo, kTypes},
    {Verb::post, "/echo-later", kOpen, &echo_later, kTypes},
    {Verb::get, "/things/{id}/parts/{name}", kOpen, &captured},
    {Verb::get, "/things/all/parts/none", kOpen, &hello},
    {Verb::post, "/type", kOpen, &type, kTypes},
    {Verb::get, "/id", kOpen, &id},
    {Verb::get, "/big", kOpen, &big},
    {Verb::get, "/pieces/{count}/{bytes}", kOpen, &pieces},
    {Verb::get, "/throws", kOpen, &throws},
    {Verb::get, "/throws-directly", kOpen, &throws_directly},
    {Verb::get, "/drops", kOpen, &drops},
    {Verb::delete_, "/thing", kOpen, &remove},
    {Verb::post, "/direct", kOpen, &direct, kTypes},
    {Verb::post, "/held", kOpen, &held, kTypes},
    {Verb::get, "/secret", kToken, &hello},
    {Verb::post, "/secret", kToken, &echo, kTypes},
    {Verb::post, "/secret-direct", kToken, &direct, kTypes},
};

}  // namespace

std::span<const Route<Api>> api_rows() {
  return kRows;
}

bool Api::wait_for_held(std::size_t count) {
  const tracker::SystemClock clock;
  const auto patience = clock.steady() + 5s;
  for (;;) {
    {
      const std::lock_guard lock(mutex);
      if (held.size() >= count) return true;
    }
    if (clock.steady() > patience) return false;
    std::this_thread::yield();
  }
}

void Api::answer_held(std::size_t count) {
  if (!wait_for_held(count)) throw std::runtime_error("no request to answer");
  const std::lock_guard lock(mutex);
  for (Responder& responder : held) {
    const auto executor = responder.executor();
    boost::asio::post(executor,
                      [answer = std::move(responder)]() mutable { answer.answer(json(Status::accepted, "{}")); });
  }
  held.clear();
}

Admission TokenGate::admit(Request& request, const Api::Permission& permission) {
  if (permission == Api::Permission::open || request.authorization == "Bearer good") return Admission::admit();
  if (request.authorization.starts_with("Bearer slow-")) return Admission::ask();
  if (request.authorization == "Bearer trouble") throw std::runtime_error("gate trouble");
  return Admission::refuse(unauthorized("no token"));
}

boost::asio::awaitable<std::optional<Response>> TokenGate::admit_slowly(Request& request, const Api::Permission&) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, 1ms);
  co_await timer.async_wait(boost::asio::use_awaitable);
  if (request.authorization == "Bearer slow-good") co_return std::nullopt;
  if (request.authorization == "Bearer slow-trouble") throw std::runtime_error("slow gate trouble");
  co_return unauthorized("unknown token");
}

Deadlines short_deadlines() {
  Deadlines deadlines;
  deadlines.header = 60ms;
  deadlines.body = 120ms;
  deadlines.body_grace = 5'000ms;
  deadlines.idle = 90ms;
  deadlines.write = 120ms;
  deadlines.linger = 120ms;
  deadlines.tick = 5ms;
  return deadlines;
}

TestServer::TestServer(const Change& change, TlsContext tls, std::optional<Endpoint> at) {
  ServerOptions options;
  if (change) change(options);
  std::vector<metrics::HttpRow> rows;
  for (const Route<Api>& row : api_rows()) rows.push_back({metrics::HttpMethod::get, row.pattern});
  http_metrics = std::make_unique<metrics::HttpMetrics>(registry, rows, options.threads);
  server = std::make_unique<Server>(options, clock, *http_metrics);
  if (tls) server->use_tls(std::move(tls));
  endpoint = server->listen(at.value_or(Endpoint{.host = "127.0.0.1", .port = 0, .path = {}}), table).value();
  server->start();
}

TestServer::~TestServer() {
  api.held.clear();
  server->stop();
}

double TestServer::metric(const std::string& series) const {
  const std::string all = metrics::expose(registry.collect(), metrics::Format::text);
  const std::size_t at = all.find("\n" + series + " ");
  return at == std::string::npos ? -1 : std::stod(all.substr(at + series.size() + 2));
}

bool TestServer::wait_for_metric(const std::string& series, double value) const {
  const auto patience = clock.steady() + 5s;
  while (metric(series) != value) {
    if (clock.steady() > patience) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace tally::http::test
