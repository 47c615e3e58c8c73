#include "daemon/auth/gate.hpp"

#include "daemon/log.hpp"

namespace tally::daemon {

using http::Admission;
using http::Response;
using http::Status;

namespace {

// Look-ups of unknown tokens that may wait for the database at one time: strangers must not keep callers from it.
constexpr int kMaxLookups = 64;
// A caller that was quiet may use up what it saved, at most this long.
constexpr std::int64_t kBurstNanoseconds = 1'000'000'000;

constexpr std::string_view kNoToken = "A bearer token is needed: Authorization: Bearer tly_<id>_<secret>.";
constexpr std::string_view kBadToken = "The token is malformed, unknown, expired or revoked.";

bool entry_admits(const authz::AllowEntry& entry, std::string_view type, std::string_view id) {
  return (entry.type == "*" || entry.type == type) && (entry.id == "*" || entry.id == id);
}

}  // namespace

bool admits_event(const Caller& caller, const tracker::Uuid& workspace, const tracker::Uuid& owner) {
  if (!caller.token.agent || workspace != caller.token.agent->workspace || owner != caller.token.agent->owner)
    return false;
  bool workspace_admitted = false;
  bool owner_admitted = false;
  const std::string workspace_id = workspace.to_string();
  const std::string owner_id = owner.to_string();
  for (const auto& entry : caller.scope.allow_list) {
    workspace_admitted = workspace_admitted || entry_admits(entry, "workspace", workspace_id);
    owner_admitted = owner_admitted || entry_admits(entry, "user", owner_id);
  }
  return workspace_admitted && owner_admitted;
}

TokenGate::TokenGate(TokenBook& book, RightsSync& rights, db::TokenStore& tokens, db::Directory& directory,
                     const tracker::Clock& clock, metrics::AuthzMetrics& metrics, DiskThread& disk,
                     std::uint32_t rate_limit_per_second)
    : book_(book),
      rights_(rights),
      tokens_(tokens),
      directory_(directory),
      clock_(clock),
      metrics_(metrics),
      disk_(disk) {
  limit_rate(rate_limit_per_second);
}

Admission TokenGate::admit(http::Request& request, const Permission& permission) {
  if (permission.kind == Permission::Kind::open) return Admission::admit();
  if (request.authorization.empty()) {
    metrics_.looked_up(request.thread, metrics::TokenLookup::unknown);
    return Admission::refuse(http::unauthorized(kNoToken));
  }
  const auto bearer = parse_bearer(request.authorization);
  if (!bearer) {
    metrics_.looked_up(request.thread, metrics::TokenLookup::unknown);
    return Admission::refuse(http::unauthorized(kBadToken));
  }
  TokenBook::Answer answer = book_.check(*bearer);
  switch (answer.verdict) {
    case TokenBook::Verdict::unknown:
      return Admission::ask();
    case TokenBook::Verdict::refused:
      metrics_.looked_up(request.thread, metrics::TokenLookup::unknown);
      return Admission::refuse(http::unauthorized(kBadToken));
    case TokenBook::Verdict::good:
      if (!answer.kept) return Admission::ask();
      break;
  }
  metrics_.looked_up(request.thread, metrics::TokenLookup::known);
  auto refusal = authorize(request, permission, std::move(answer.caller));
  if (refusal) return Admission::refuse(std::move(*refusal));
  return Admission::admit();
}

/// A token is used only once the state directory holds its hash: what was answered under it is answered after a kill
/// and with the database away too.
boost::asio::awaitable<std::optional<Response>> TokenGate::admit_slowly(http::Request& request,
                                                                        const Permission& permission) {
  const auto bearer = *parse_bearer(request.authorization);
  TokenBook::Answer answer = book_.check(bearer);
  const bool known = answer.verdict != TokenBook::Verdict::unknown;
  if (!known) {
    auto refusal = co_await look_up(request, bearer);
    if (refusal) co_return refusal;
    answer = book_.check(bearer);
  }
  if (answer.verdict != TokenBook::Verdict::good) {
    metrics_.looked_up(request.thread, metrics::TokenLookup::unknown);
    co_return http::unauthorized(kBadToken);
  }
  metrics_.looked_up(request.thread, known ? metrics::TokenLookup::known : metrics::TokenLookup::fetched);
  if (!answer.kept) {
    const auto keep = [this, learnt = answer.learnt] {
      book_.keep(learnt);
      return true;
    };
    co_await disk_.run(keep);
  }
  co_return authorize(request, permission, std::move(answer.caller));
}

/// Asks the database for a token that this replica never heard of, and puts it into the book.
boost::asio::awaitable<std::optional<Response>> TokenGate::look_up(http::Request& request, Bearer bearer) {
  using namespace std::chrono_literals;
  struct Counted {
    std::atomic<int>& count;
    int before = count.fetch_add(1);
    ~Counted() { count.fetch_sub(1); }
  } counted{lookups_};
  if (counted.before >= kMaxLookups)
    co_return http::retry_later(Status::service_unavailable, "Too many unknown tokens are being looked up.", 1s);

  const auto known = co_await fetch(std::string(bearer.id));
  if (!known) {
    metrics_.looked_up(request.thread, metrics::TokenLookup::unavailable);
    co_return http::retry_later(Status::service_unavailable,
                                "The token is not known here and the database cannot be asked.", 5s);
  }
  if (!*known) {
    metrics_.looked_up(request.thread, metrics::TokenLookup::unknown);
    co_return http::unauthorized(kBadToken);
  }
  co_return std::nullopt;
}

/// True: the book knows the token now, with the rights that it has in the database.
boost::asio::awaitable<tracker::Result<bool>> TokenGate::fetch(std::string id) {
  const auto found = co_await tokens_.find(id);
  if (!found) co_return tracker::Result<bool>(boost::system::in_place_error, found.error());
  if (!*found) co_return false;
  // With everything that changed up to the token, so that its user and roles are known as well.
  const bool reached = co_await rights_.reach((*found)->version);
  if (reached && book_.knows(id)) co_return true;
  std::optional<db::User> user;
  if (const tracker::Uuid* acting_for = acts_for(**found)) {
    auto owner = co_await directory_.find_user(*acting_for);
    if (!owner) co_return tracker::Result<bool>(boost::system::in_place_error, owner.error());
    user = std::move(*owner);
  }
  book_.learn(**found, user);
  co_return true;
}

bool TokenGate::within_rate(const Caller& caller, tracker::SteadyTime now, std::int64_t nanoseconds_per_request) {
  // GCRA: the time at which the caller's allowance is used up moves on with each request.
  const std::int64_t now_ns = now.time_since_epoch().count();
  std::int64_t used_up_at = caller.used_up_at_ns.load(std::memory_order_relaxed);
  while (true) {
    const std::int64_t next = std::max(used_up_at, now_ns) + nanoseconds_per_request;
    if (next - now_ns > kBurstNanoseconds + nanoseconds_per_request) return false;
    if (caller.used_up_at_ns.compare_exchange_weak(used_up_at, next, std::memory_order_relaxed)) return true;
  }
}

std::optional<Response> TokenGate::authorize(http::Request& request, const Permission& permission,
                                             std::shared_ptr<const Caller> caller) {
  const std::int64_t nanoseconds_per_request = nanoseconds_per_request_.load(std::memory_order_relaxed);
  if (nanoseconds_per_request > 0 && !within_rate(*caller, request.received_at, nanoseconds_per_request))
    return http::retry_later(Status::too_many_requests, "Over the caller's rate limit.", std::chrono::seconds(1));

  using Kind = Permission::Kind;
  if (permission.kind == Kind::signed_in || permission.kind == Kind::object) {
    request.subject = std::move(caller);
    return std::nullopt;
  }
  bool allowed = true;
  const bool in_organizations = permission.kind == Kind::ingest_in_organizations;
  const bool agent_ingest = (permission.kind == Kind::ingest || in_organizations) && caller->token.agent.has_value();
  if (!agent_ingest)
    for (const authz::Action action : permission.actions) {
      if (action == authz::Action::any) continue;
      authz::Object object{.type = permission.type};
      object.any_org = in_organizations;
      const authz::Decision decision = authz::decide(caller->subject, action, object);
      allowed = allowed && decision.allowed;
      if (!decision.allowed && log::enabled(LogLevel::debug))
        log::debug("denied", {{"by", caller->name()},
                              {"action", authz::name(action)},
                              {"type", authz::name(permission.type)},
                              {"reason", authz::word(decision.reason)},
                              {"request_id", request.id}});
    }
  metrics_.decided(request.thread, allowed);
  if (!allowed) return http::problem(Status::forbidden, "The token does not give the right to do this.");
  request.subject = std::move(caller);
  return std::nullopt;
}

}  // namespace tally::daemon
