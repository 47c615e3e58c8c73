#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "daemon/http/gate.hpp"
#include "daemon/http/request.hpp"
#include "daemon/http/responder.hpp"

namespace tally::http {

/// What the server itself must know of a route.
struct RouteInfo {
  Verb method;
  std::string_view pattern;
  std::span<const std::string_view> accepts;  ///< media types of the body; empty: any, and it is ignored
};

struct Match {
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t route = kNone;
  std::string_view allow;  ///< when no route matched: the methods offered at this path; empty if there is no such path
};

/// What a listener serves. `RouteTable` is the one implementation; the server sees it through this so that it need not
/// know the daemon's types. All calls come from http threads, several at a time.
class Service {
 public:
  virtual ~Service() = default;
  virtual std::span<const RouteInfo> routes() const noexcept = 0;
  /// Fills `captures` when a pattern with `{...}` matches.
  virtual Match match(Verb method, std::string_view path,
                      std::array<std::string_view, kMaxCaptures>& captures) const noexcept = 0;
  virtual Admission admit(std::size_t route, Request& request) = 0;
  virtual boost::asio::awaitable<std::optional<Response>> admit_slowly(std::size_t route, Request& request) = 0;
  /// `request` lives until the responder has answered. An exception is answered with 500 and logged.
  virtual void handle(std::size_t route, Request& request, Responder responder) = 0;
};

}  // namespace tally::http
