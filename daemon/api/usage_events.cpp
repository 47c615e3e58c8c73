#include <fmt/format.h>

#include <charconv>

#include "daemon/api/context.hpp"
#include "daemon/api/render.hpp"
#include "daemon/http/query.hpp"

namespace tally::daemon::api {
namespace {

using http::Status;

constexpr std::int64_t kDefaultPage = 100;
constexpr std::int64_t kLargestPage = 1000;

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// False: `problem` says what is wrong with the query.
bool read_filter(const http::Query& query, db::UsageFilter& filter, std::string& problem) {
  if (const auto unknown = query.unknown({"status", "limit", "before"}))
    problem = fmt::format("Unknown query parameter: {}", *unknown);
  filter.limit = kDefaultPage;
  if (const auto text = query.find("limit")) {
    const auto limit = number(*text);
    if (!limit || *limit < 1 || *limit > kLargestPage)
      problem = fmt::format("limit must be 1 to {}.", kLargestPage);
    else
      filter.limit = *limit;
  }
  if (const auto text = query.find("before")) {
    filter.before = number(*text);
    if (!filter.before) problem = "before must be the next_before of an earlier page.";
  }
  if (const auto text = query.find("status")) {
    filter.status = db::usage_status(*text);
    if (!filter.status) problem = "status must be pending, sending, published, rejected, expired or held.";
  }
  return problem.empty();
}

}  // namespace

Answer get_usage_events(Context& context, http::Request& request) {
  std::string problem;
  const auto query = http::Query::parse(request.query, problem);
  if (!query) co_return http::problem(Status::bad_request, problem);
  db::UsageFilter filter;
  if (!read_filter(*query, filter, problem)) co_return http::problem(Status::bad_request, problem);
  const auto page = co_await context.usage_events.list(filter);
  if (!page) co_return store_failure(page.error());
  std::string text = R"({"usage_events":[)";
  for (const db::UsageEventRow& event : page->events) {
    if (text.back() == '}') text += ',';
    text += to_json(event);
  }
  text += ']';
  if (page->more) text += fmt::format(R"(,"next_before":{})", page->events.back().number);
  co_return http::json(Status::ok, text + "}");
}

}  // namespace tally::daemon::api
