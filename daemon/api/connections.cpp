#include <fmt/format.h>

#include <charconv>

#include "daemon/api/connection_query.hpp"
#include "daemon/api/connection_render.hpp"
#include "daemon/api/context.hpp"
#include "daemon/api/render.hpp"
#include "daemon/api/rights.hpp"
#include "daemon/http/query.hpp"

namespace tally::daemon::api {
namespace {

using http::Response;
using http::Status;

constexpr std::int64_t kDefaultPage = 100;
constexpr std::int64_t kLargestPage = 1000;
constexpr std::int64_t kCountCap = 2000;
// What lies further back is reached with a cursor: an offset is walked over entry by entry.
constexpr std::int64_t kLargestOffset = 100'000;
constexpr std::string_view kNdjson = "application/x-ndjson";

std::optional<std::int64_t> number(std::string_view text, std::int64_t least, std::int64_t most) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) return std::nullopt;
  return value;
}

Response bad(std::string_view detail) {
  return http::problem(Status::bad_request, detail);
}

/// A client that wants all of it asks for lines.
bool wants_lines(const http::Request& request) {
  return request.header("Accept").value_or("").find(kNdjson) != std::string_view::npos;
}

/// Reads the query parameters; an answer if they are wrong.
std::optional<Response> read_parameters(const http::Request& request, db::ConnectionPageRequest& out) {
  std::string problem;
  const auto query = http::Query::parse(request.query, problem);
  if (!query) return bad(problem);
  if (const auto unknown = query->unknown({"q", "limit", "offset", "after"}))
    return bad(fmt::format("Unknown query parameter: {}", *unknown));
  out.limit = kDefaultPage;
  out.count_cap = kCountCap;
  if (wants_lines(request)) {
    if (query->find("limit") || query->find("offset"))
      return bad("an export has no limit or offset: it is all that q finds, behind after.");
    out.limit = kLargestPage;
    out.count_cap = 0;
  }
  if (const auto text = query->find("limit")) {
    const auto value = number(*text, 1, kLargestPage);
    if (!value) return bad(fmt::format("limit must be 1 to {}.", kLargestPage));
    out.limit = *value;
  }
  if (const auto text = query->find("offset")) {
    const auto value = number(*text, 0, kLargestOffset);
    if (!value)
      return bad(fmt::format("offset must be 0 to {}; what lies further back is reached with after.", kLargestOffset));
    out.offset = *value;
  }
  if (const auto text = query->find("after")) {
    out.after = read_cursor(*text);
    if (!out.after) return bad("after must be the `next` of an earlier page.");
    if (query->find("offset")) return bad("offset and after exclude each other.");
  }
  if (const auto text = query->find("q"))
    if (const auto wrong = read_connection_query(*text, out.filter)) return bad("q: " + *wrong);
  return std::nullopt;
}

std::string render(const db::ConnectionPage& page) {
  std::string text = R"({"connection_logs":[)";
  text.reserve(page.entries.size() * 640 + 128);
  for (std::size_t i = 0; i < page.entries.size(); ++i) {
    if (i > 0) text += ',';
    append_json(text, page.entries[i]);
  }
  text += fmt::format(R"(],"count":{},"count_cap":{})", page.count, kCountCap);
  if (page.next) text += fmt::format(R"(,"next":"{}")", to_cursor(*page.next));
  return text += '}';
}

/// Everything that is found, a line each; a page of it in memory at a time.
class ConnectionExport final : public http::BodySource {
 public:
  ConnectionExport(db::ConnectionLog& log, db::ConnectionPageRequest wanted, db::ConnectionPage first)
      : log_(log), wanted_(std::move(wanted)), page_(std::move(first)) {}

  boost::asio::awaitable<tracker::Result<std::string>> next() override {
    if (!begun_) {
      begun_ = true;
    } else if (page_.next) {
      wanted_.after = std::move(page_.next);
      auto following = co_await log_.page(wanted_);
      if (!following) co_return following.error();
      page_ = std::move(*following);
    } else {
      page_ = {};
    }
    std::string lines;
    for (const db::ConnectionShown& entry : page_.entries) {
      append_json(lines, entry);
      lines += '\n';
    }
    co_return lines;
  }

 private:
  db::ConnectionLog& log_;
  db::ConnectionPageRequest wanted_;
  db::ConnectionPage page_;
  bool begun_ = false;
};

}  // namespace

Answer get_connections(Context& context, http::Request& request) {
  const auto& caller = request.subject_as<Caller>();
  db::ConnectionPageRequest wanted;
  wanted.rights =
      db::ConnectionRights::of(authz::make_filter(caller.subject, authz::Action::read, authz::Type::connection_log));
  context.authz_metrics.decided(request.thread, !wanted.rights.none());
  if (wanted.rights.none()) co_return forbidden();
  if (auto refusal = read_parameters(request, wanted)) co_return std::move(*refusal);
  auto page = co_await context.connections.page(wanted);
  if (!page) co_return store_failure(page.error());
  if (wants_lines(request)) {
    Response answer;
    answer.content_type = kNdjson;
    answer.source = std::make_shared<ConnectionExport>(context.connections, std::move(wanted), std::move(*page));
    co_return answer;
  }
  co_return http::json(Status::ok, render(*page));
}

}  // namespace tally::daemon::api
