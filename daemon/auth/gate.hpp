#pragma once
#include <array>
#include <atomic>

#include "authz/decision.hpp"
#include "daemon/auth/rights_sync.hpp"
#include "daemon/auth/token_book.hpp"
#include "daemon/counting/disk_thread.hpp"
#include "daemon/http/gate.hpp"
#include "metrics/authz_metrics.hpp"

namespace tally::daemon {

/// The permission column of the route table.
struct Permission {
  enum class Kind : std::uint8_t {
    open,                     ///< no token
    check,                    ///< all of `actions` on `type`
    ingest,                   ///< the same, or an agent token, which is then checked event by event
    ingest_in_organizations,  ///< as `ingest`, and the right in one organization is enough: the handler checks each
                              ///< event
    signed_in,                ///< any good token: about the caller itself
    object,                   ///< the handler decides, about the object that it finds: one of `actions` on it
  };
  Kind kind;
  authz::Type type = authz::Type::any;
  std::array<authz::Action, 2> actions{authz::Action::any, authz::Action::any};  ///< `any`: unused

  static constexpr Permission open() { return {Kind::open}; }
  static constexpr Permission signed_in() { return {Kind::signed_in}; }
  static constexpr Permission check(authz::Type type, authz::Action action) {
    return {Kind::check, type, {action, authz::Action::any}};
  }
  static constexpr Permission check(authz::Type type, authz::Action one, authz::Action two) {
    return {Kind::check, type, {one, two}};
  }
  static constexpr Permission object(authz::Type type, authz::Action action) {
    return {Kind::object, type, {action, authz::Action::any}};
  }
  static constexpr Permission object(authz::Type type, authz::Action one, authz::Action two) {
    return {Kind::object, type, {one, two}};
  }
  static constexpr Permission ingest(authz::Type type, authz::Action action) {
    return {Kind::ingest, type, {action, authz::Action::any}};
  }
  static constexpr Permission ingest_in_organizations(authz::Type type, authz::Action action) {
    return {Kind::ingest_in_organizations, type, {action, authz::Action::any}};
  }
};

/// Authenticates with the token book, authorizes with `authz`. Fills `request.subject` with a `Caller`.
class TokenGate final : public http::Gate<Permission> {
 public:
  /// `rate_limit_per_second`: of one caller on this replica; 0: none. All must outlive it.
  TokenGate(TokenBook& book, RightsSync& rights, db::TokenStore& tokens, db::Directory& directory,
            const tracker::Clock& clock, metrics::AuthzMetrics& metrics, DiskThread& disk,
            std::uint32_t rate_limit_per_second);

  /// Thread-safe.
  void limit_rate(std::uint32_t per_second) noexcept {
    nanoseconds_per_request_.store(per_second == 0 ? 0 : 1'000'000'000LL / per_second, std::memory_order_relaxed);
  }

  http::Admission admit(http::Request& request, const Permission& permission) override;
  boost::asio::awaitable<std::optional<http::Response>> admit_slowly(http::Request& request,
                                                                     const Permission& permission) override;

 private:
  boost::asio::awaitable<tracker::Result<bool>> fetch(std::string id);
  std::optional<http::Response> authorize(http::Request& request, const Permission& permission,
                                          std::shared_ptr<const Caller> caller);
  boost::asio::awaitable<std::optional<http::Response>> look_up(http::Request& request, Bearer bearer);
  static bool within_rate(const Caller& caller, tracker::SteadyTime now, std::int64_t nanoseconds_per_request);

  TokenBook& book_;
  RightsSync& rights_;
  db::TokenStore& tokens_;
  db::Directory& directory_;
  const tracker::Clock& clock_;
  metrics::AuthzMetrics& metrics_;
  DiskThread& disk_;
  std::atomic<std::int64_t> nanoseconds_per_request_{0};
  std::atomic<int> lookups_{0};
};

/// An agent may report for its own workspace and owner only: its allow list must admit both.
bool admits_event(const Caller& caller, const tracker::Uuid& workspace, const tracker::Uuid& owner);

}  // namespace tally::daemon
