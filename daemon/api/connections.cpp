#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "daemon/api/connection_cursor.hpp"
#include "daemon/api/connection_query.hpp"
#include "daemon/api/connection_render.hpp"
#include "daemon/api/context.hpp"
#include "daemon/api/render.hpp"
#include "daemon/api/rights.hpp"
#include "daemon/http/accept.hpp"
#include "daemon/http/query.hpp"

namespace tally::daemon::api {
namespace {

using http::Response;
using http::Status;
using Problem = std::optional<std::string>;

constexpr std::int64_t kDefaultPage = 100;
constexpr std::int64_t kLargestPage = 1000;
constexpr std::int64_t kEverything = INT64_MAX;
constexpr std::int64_t kCountCap = 2000;
// Counting walks over an index, entry by entry: this much of it takes tens of milliseconds.
constexpr std::int64_t kLargestCountCap = 100'000;
// What lies further back is reached with a cursor: an offset is walked over entry by entry.
constexpr std::int64_t kLargestOffset = 100'000;
constexpr std::string_view kNdjson = "application/x-ndjson";

std::optional<std::int64_t> number(std::string_view text, std::int64_t least, std::int64_t most) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) return std::nullopt;
  return value;
}

/// What a client asks for: a page, or lines without an end of their own.
struct Asked {
  db::ConnectionPageRequest first;  ///< its first page
  bool lines = false;
  std::int64_t limit = kDefaultPage;  ///< of all pages together
};

Problem read_numbers(const http::Query& query, Asked& out) {
  const std::int64_t largest = out.lines ? kEverything : kLargestPage;
  if (const auto text = query.find("limit")) {
    const auto value = number(*text, 1, largest);
    if (!value)
      return out.lines ? "limit must be a number from 1." : fmt::format("limit must be 1 to {}.", kLargestPage);
    out.limit = *value;
  }
  if (const auto text = query.find("offset")) {
    const auto value = number(*text, 0, kLargestOffset);
    if (!value)
      return fmt::format("offset must be 0 to {}; what lies further back is reached with after.", kLargestOffset);
    out.first.offset = *value;
  }
  if (const auto text = query.find("count_cap")) {
    const auto value = number(*text, 0, kLargestCountCap);
    if (!value) return fmt::format("count_cap must be 0 to {}.", kLargestCountCap);
    out.first.count_cap = *value;
  }
  return std::nullopt;
}

/// Reads the query parameters; says what is wrong with them.
Problem read_parameters(const http::Request& request, Asked& out) {
  std::string problem;
  const auto query = http::Query::parse(request.query, problem);
  if (!query) return problem;
  if (const auto unknown = query->unknown({"q", "limit", "offset", "after", "count_cap"}))
    return fmt::format("Unknown query parameter: {}", *unknown);
  out.lines = http::prefers(request.fields, kNdjson, http::kJson);
  if (out.lines) out.limit = kEverything;
  out.first.count_cap = kCountCap;
  if (auto wrong = read_numbers(*query, out)) return wrong;
  if (out.lines) out.first.count_cap = 0;
  out.first.limit = std::min(out.limit, kLargestPage);
  if (const auto text = query->find("after")) {
    out.first.after = read_cursor(*text);
    if (!out.first.after) return "after must be the `next` of an earlier page.";
    if (query->find("offset")) return "offset and after exclude each other.";
  }
  if (const auto text = query->find("q"))
    if (const auto wrong = read_connection_query(*text, out.first.filter)) return "q: " + *wrong;
  return std::nullopt;
}

std::string render(const db::ConnectionPage& page, std::int64_t count_cap) {
  std::string text = R"({"connection_logs":[)";
  text.reserve(page.entries.size() * 640 + 128);
  for (std::size_t i = 0; i < page.entries.size(); ++i) {
    if (i > 0) text += ',';
    append_json(text, page.entries[i]);
  }
  text += fmt::format(R"(],"count":{},"count_cap":{})", page.count, count_cap);
  if (page.next) text += fmt::format(R"(,"next":"{}")", to_cursor(*page.next));
  return text += '}';
}

/// What is found, a line each. There is a page of it in memory at a time, and it is asked for when the client has taken
/// the one before: a slow client keeps nothing of the database waiting.
class ConnectionExport final : public http::BodySource {
 public:
  ConnectionExport(db::ConnectionLog& log, Asked asked, db::ConnectionPage first)
      : log_(log), wanted_(std::move(asked.first)), left_(asked.limit), page_(std::move(first)) {
    wanted_.offset = 0;
  }

  boost::asio::awaitable<tracker::Result<std::string>> next() override {
    if (begun_) {
      const auto failed = co_await turn_page();
      if (failed) co_return failed;
    }
    begun_ = true;
    left_ -= static_cast<std::int64_t>(page_.entries.size());
    co_return lines();
  }

 private:
  boost::asio::awaitable<boost::system::error_code> turn_page() {
    page_.entries.clear();
    if (!page_.next || left_ <= 0) co_return boost::system::error_code();
    wanted_.after = std::move(page_.next);
    wanted_.limit = std::min(left_, kLargestPage);
    auto following = co_await log_.page(wanted_);
    if (!following) co_return following.error();
    page_ = std::move(*following);
    co_return boost::system::error_code();
  }

  std::string lines() const {
    std::string text;
    for (const db::ConnectionShown& entry : page_.entries) {
      append_json(text, entry);
      text += '\n';
    }
    return text;
  }

  db::ConnectionLog& log_;
  db::ConnectionPageRequest wanted_;
  std::int64_t left_;
  db::ConnectionPage page_;
  bool begun_ = false;
};

}  // namespace

Answer get_connections(Context& context, http::Request& request) {
  const auto& caller = request.subject_as<Caller>();
  Asked asked;
  asked.first.rights =
      db::ConnectionRights::of(authz::make_filter(caller.subject, authz::Action::read, authz::Type::connection_log));
  context.authz_metrics.decided(request.thread, !asked.first.rights.none());
  if (asked.first.rights.none()) co_return forbidden();
  if (const auto wrong = read_parameters(request, asked)) co_return http::problem(Status::bad_request, *wrong);
  auto page = co_await context.connections.page(asked.first);
  if (!page) co_return store_failure(page.error());
  if (asked.lines) {
    Response answer;
    answer.content_type = kNdjson;
    answer.source = std::make_shared<ConnectionExport>(context.connections, std::move(asked), std::move(*page));
    co_return answer;
  }
  co_return http::json(Status::ok, render(*page, asked.first.count_cap));
}

}  // namespace tally::daemon::api
