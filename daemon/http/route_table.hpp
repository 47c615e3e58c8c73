#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <concepts>
#include <span>
#include <string>
#include <vector>

#include "daemon/http/service.hpp"

namespace tally::http {

/// A column that a row cannot leave out: there is no default to fall back on.
template <class T>
struct Required {
  template <class... Args>
  requires std::constructible_from<T, Args...> &&(sizeof...(Args) > 0) constexpr Required(Args... args)
      : value(args...) {}
  T value;
};

/// How a row is answered: by a coroutine, or (for the hottest rows) by a plain function that keeps the responder until
/// it can answer. Both run on the request's http thread; `Request&` is valid until the answer.
template <class Context>
class Handler {
 public:
  using Coroutine = boost::asio::awaitable<Response> (*)(Context&, Request&);
  using Direct = void (*)(Context&, Request&, Responder);
  constexpr Handler(Coroutine coroutine) : coroutine_(coroutine) {}
  constexpr Handler(Direct direct) : direct_(direct) {}
  constexpr Direct direct() const { return direct_; }
  constexpr Coroutine coroutine() const { return coroutine_; }

 private:
  Coroutine coroutine_ = nullptr;
  Direct direct_ = nullptr;
};

/// One row of the API. `Context` is the daemon's: handlers get it, and `Context::Permission` is the permission column.
/// `pattern` is a path whose segments are literal or `{name}`; at most `kMaxCaptures` of the latter.
template <class Context>
struct Route {
  Verb method;
  std::string_view pattern;
  Required<typename Context::Permission> permission;
  Required<Handler<Context>> handler;
  std::span<const std::string_view> accepts = {};
};

namespace detail {

/// Finds the row of a method and a path. Literal paths are found in a map and win over patterns.
class PathIndex {
 public:
  explicit PathIndex(std::span<const RouteInfo> routes);
  Match match(Verb method, std::string_view path, std::array<std::string_view, kMaxCaptures>& captures) const noexcept;

 private:
  struct Resource {
    std::string_view pattern;
    std::vector<std::string_view> segments;
    std::vector<std::pair<Verb, std::size_t>> rows;
    std::string allow;
  };
  static Match pick(const Resource& resource, Verb method) noexcept;
  static bool fits(const Resource& resource, std::string_view path,
                   std::array<std::string_view, kMaxCaptures>& captures) noexcept;

  std::vector<Resource> literals_;
  std::vector<Resource> patterns_;
  boost::unordered_flat_map<std::string_view, std::size_t> by_path_;
};

/// Runs a handler's coroutine on the current http thread and gives its outcome to the responder.
void run_handler(boost::asio::awaitable<Response> work, Responder responder);

}  // namespace detail

/// The API as a table, behind the gate. `rows` is constant and outlives the table, as do `context` and `gate`.
template <class Context>
class RouteTable final : public Service {
 public:
  using Permission = typename Context::Permission;

  RouteTable(std::span<const Route<Context>> rows, Context& context, Gate<Permission>& gate)
      : rows_(rows), infos_(describe(rows)), index_(infos_), context_(context), gate_(gate) {}

  std::span<const RouteInfo> routes() const noexcept override { return infos_; }

  Match match(Verb method, std::string_view path,
              std::array<std::string_view, kMaxCaptures>& captures) const noexcept override {
    return index_.match(method, path, captures);
  }

  Admission admit(std::size_t route, Request& request) override {
    return gate_.admit(request, rows_[route].permission.value);
  }

  boost::asio::awaitable<std::optional<Response>> admit_slowly(std::size_t route, Request& request) override {
    return gate_.admit_slowly(request, rows_[route].permission.value);
  }

  void handle(std::size_t route, Request& request, Responder responder) override {
    const Handler<Context>& handler = rows_[route].handler.value;
    if (handler.direct()) return handler.direct()(context_, request, std::move(responder));
    detail::run_handler(handler.coroutine()(context_, request), std::move(responder));
  }

 private:
  static std::vector<RouteInfo> describe(std::span<const Route<Context>> rows) {
    std::vector<RouteInfo> infos;
    for (const Route<Context>& row : rows) infos.push_back({row.method, row.pattern, row.accepts});
    return infos;
  }

  std::span<const Route<Context>> rows_;
  std::vector<RouteInfo> infos_;
  detail::PathIndex index_;
  Context& context_;
  Gate<Permission>& gate_;
};

}  // namespace tally::http
