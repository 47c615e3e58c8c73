#include "daemon/http/route_table.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <stdexcept>

namespace tally::http::detail {
namespace {

bool is_capture(std::string_view segment) {
  return segment.starts_with('{') && segment.ends_with('}');
}

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return segments;
}

std::string allow_list(const std::vector<std::pair<Verb, std::size_t>>& rows) {
  std::string allow;
  for (const auto& [verb, row] : rows) {
    if (!allow.empty()) allow += ", ";
    allow += boost::beast::http::to_string(verb);
    if (verb == Verb::get) allow += ", HEAD";
  }
  return allow;
}

}  // namespace

PathIndex::PathIndex(std::span<const RouteInfo> routes) {
  std::vector<Resource> resources;
  for (std::size_t row = 0; row < routes.size(); ++row) {
    const std::string_view pattern = routes[row].pattern;
    if (!pattern.starts_with('/')) throw std::logic_error("a route's pattern must start with '/'");
    auto found = std::ranges::find(resources, pattern, &Resource::pattern);
    if (found == resources.end()) found = resources.insert(found, {pattern, split(pattern), {}, {}});
    found->rows.emplace_back(routes[row].method, row);
  }
  for (Resource& resource : resources) {
    resource.allow = allow_list(resource.rows);
    const auto captures = std::ranges::count_if(resource.segments, is_capture);
    if (captures > static_cast<long>(kMaxCaptures)) throw std::logic_error("a route has too many captures");
    (captures == 0 ? literals_ : patterns_).push_back(std::move(resource));
  }
  for (std::size_t i = 0; i < literals_.size(); ++i) by_path_.emplace(literals_[i].pattern, i);
}

Match PathIndex::match(Verb method, std::string_view path,
                       std::array<std::string_view, kMaxCaptures>& captures) const noexcept {
  if (const auto literal = by_path_.find(path); literal != by_path_.end()) {
    return pick(literals_[literal->second], method);
  }
  for (const Resource& resource : patterns_) {
    if (fits(resource, path, captures)) return pick(resource, method);
  }
  return {};
}

Match PathIndex::pick(const Resource& resource, Verb method) noexcept {
  const Verb wanted = method == Verb::head ? Verb::get : method;
  for (const auto& [verb, row] : resource.rows) {
    if (verb == wanted) return {row, {}};
  }
  return {Match::kNone, resource.allow};
}

bool PathIndex::fits(const Resource& resource, std::string_view path,
                     std::array<std::string_view, kMaxCaptures>& captures) noexcept {
  std::size_t captured = 0;
  for (const std::string_view segment : resource.segments) {
    if (!path.starts_with('/')) return false;
    path.remove_prefix(1);
    const std::string_view here = path.substr(0, path.find('/'));
    if (is_capture(segment)) {
      if (here.empty()) return false;
      captures[captured++] = here;
    } else if (here != segment) {
      return false;
    }
    path.remove_prefix(here.size());
  }
  return path.empty();
}

void run_handler(boost::asio::awaitable<Response> work, Responder responder) {
  const auto executor = responder.executor();
  boost::asio::co_spawn(executor, std::move(work),
                        [responder = std::move(responder)](std::exception_ptr failure, Response response) mutable {
                          if (failure) return responder.fail(std::move(failure));
                          responder.answer(std::move(response));
                        });
}

}  // namespace tally::http::detail
