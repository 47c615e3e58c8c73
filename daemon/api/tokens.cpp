#include <fmt/format.h>

#include "authz/scope.hpp"
#include "authz/system_subject.hpp"
#include "daemon/api/render.hpp"
#include "daemon/api/rights.hpp"
#include "daemon/auth/token_secret.hpp"
#include "daemon/ingest/rfc3339.hpp"
#include "daemon/log.hpp"

namespace tally::daemon::api {
namespace {

using authz::Action;
using authz::Type;
using http::Response;
using http::Status;
using tracker::Errc;

constexpr std::size_t kMostScopes = 128;
constexpr std::size_t kLongestWord = 128;
// Every replica keeps every good token in memory.
constexpr std::int64_t kMostTokensOfOwner = 1000;

/// The user that a token acts for; empty for the platform's own parts.
std::string owner_of(const db::Token& token) {
  if (token.user_id) return token.user_id->to_string();
  if (token.agent) return token.agent->owner.to_string();
  return {};
}

bool may_with(Context& context, const http::Request& request, Action action, const db::Token& token) {
  const std::string owner = owner_of(token);
  return may(context, request, action, authz::Object{Type::api_key, token.id, owner});
}

/// Never with the secret, which is not kept.
boost::json::object as_json(const db::Token& token) {
  boost::json::object object{{"id", token.id}, {"name", token.name}};
  switch (token.kind) {
    case db::SubjectKind::user:
      object["kind"] = "user";
      object["user_id"] = token.user_id->to_string();
      break;
    case db::SubjectKind::agent:
      object["kind"] = "agent";
      object["workspace_id"] = token.agent->workspace.to_string();
      object["owner_id"] = token.agent->owner.to_string();
      break;
    case db::SubjectKind::system:
      object["kind"] = "system";
      const auto* subject = authz::find_system_subject(token.system_subject);
      object["subject"] = subject ? authz::flag(*subject) : token.system_subject;
      break;
  }
  object["scopes"] = to_array(token.scopes);
  object["allow_list"] = to_array(token.allow_list);
  object["created_by"] = token.created_by;
  object["created_at"] = rfc3339(token.created_at_us);
  if (token.expires_at_us) object["expires_at"] = rfc3339(*token.expires_at_us);
  if (token.revoked_at_us) object["revoked_at"] = rfc3339(*token.revoked_at_us);
  if (token.last_used_at_us) object["last_used_at"] = rfc3339(*token.last_used_at_us);
  return object;
}

void read_rights(const JsonNode& body, db::Token& token) {
  if (const JsonNode scopes = body.member("scopes"); scopes.present()) {
    for (const JsonNode& each : scopes.elements(kMostScopes)) {
      token.scopes.push_back(each.text(kLongestWord));
      if (!authz::expand_scope(authz::resolve_scope_alias(token.scopes.back()))) each.refuse("there is no such scope");
    }
  }
  if (const JsonNode list = body.member("allow_list"); list.present()) {
    for (const JsonNode& each : list.elements(authz::kMaxAllowEntries)) {
      token.allow_list.push_back(each.text(kLongestWord));
      if (!authz::parse_allow_entry(token.allow_list.back())) each.refuse("must be TYPE:ID, TYPE:* or *:*");
    }
    if (token.allow_list.empty()) list.refuse("an empty list admits nothing; leave it out for everything");
  }
}

/// What the body asks for; what is wrong with it is noted in the body.
db::Token read_token(const JsonNode& body, const Caller& maker, std::int64_t now_us) {
  db::Token token;
  token.kind = maker.token.kind;
  token.user_id = maker.token.user_id;
  token.system_subject = maker.token.system_subject;
  if (const JsonNode name = body.member("name"); name.present()) token.name = name.text(kLongestName);
  read_rights(body, token);
  if (const JsonNode expires = body.member("expires_at"); expires.present()) {
    const auto at = ingest::parse_rfc3339(expires.text(kLongestWord));
    if (!at)
      expires.refuse("must be a time as in RFC 3339");
    else if (at->time_since_epoch().count() <= now_us)
      expires.refuse("must lie ahead");
    else
      token.expires_at_us = at->time_since_epoch().count();
  } else {
    token.expires_at_us = maker.token.expires_at_us;
  }
  return token;
}

/// A token can never be given more than its maker has: its subject, its scope and its time.
std::optional<Response> check_rights(const Caller& maker, const JsonNode& body, const db::Token& token) {
  if (const JsonNode user = body.member("user_id"); user.present()) {
    const std::string text = user.text(kLongestWord);
    const auto id = tracker::Uuid::parse(text);
    if (text != "me" && (!id || id != maker.token.user_id))
      return refused(Status::forbidden, "a token is made for its maker alone", "/user_id");
  }
  for (const char* other : {"subject", "agent"})
    if (body.member(other).present())
      return refused(Status::forbidden, "tokens of other subjects are made with `tallyd token create`",
                     fmt::format("/{}", other));
  const auto scope = scope_of(token);
  if (!scope || !authz::covers(maker.scope, *scope))
    return http::problem(Status::forbidden, "A token can never be given more than its maker's token has.");
  if (maker.token.expires_at_us && *token.expires_at_us > *maker.token.expires_at_us)
    return refused(Status::forbidden, "a token cannot outlive the token that makes it", "/expires_at");
  return std::nullopt;
}

Grant grant_on(Context& context, const http::Request& request, Action action, const db::Token& token) {
  const std::string owner = owner_of(token);
  return grant(context, request, action, authz::Object{Type::api_key, token.id, owner});
}

void log_token(std::string_view what, const http::Request& request, const db::Token& token, const Grant& granted,
               std::string_view detail) {
  log::audit(what, {{"token", token.id},
                    {"owner", owner_of(token)},
                    {"name", token.name},
                    {"by", granted.by.actor},
                    {"allowed_by", granted.allowed_by},
                    {"detail", log::Json{detail}},
                    {"request_id", request.id}});
}

}  // namespace

Answer post_token(Context& context, http::Request& request) {
  const Caller& maker = request.subject_as<Caller>();
  // An agent's token is bound to its workspace; nothing can be derived from it.
  db::Token fresh;
  fresh.user_id = maker.token.user_id;
  if (maker.token.agent || !may_with(context, request, Action::create, fresh)) co_return forbidden();
  JsonBody body(request.body);
  const JsonNode root = body.root();
  const auto now_us =
      std::chrono::duration_cast<std::chrono::microseconds>(context.clock.wall().time_since_epoch()).count();
  db::Token token = read_token(root, maker, now_us);
  if (auto refusal = body.refusal()) co_return std::move(*refusal);
  auto too_much = check_rights(maker, root, token);
  if (auto refusal = body.refusal()) co_return std::move(*refusal);
  context.authz_metrics.decided(request.thread, !too_much);
  if (too_much) co_return std::move(*too_much);

  const TokenSecret secret = make_token_secret();
  token.id = secret.id;
  token.secret_sha256 = secret.secret_sha256;
  // The right was asked for before there was an id.
  const Grant granted = grant_on(context, request, Action::create, fresh);
  auto creating = context.tokens.create(token, granted.by, kMostTokensOfOwner);
  const auto made = co_await std::move(creating);
  if (!made && made.error() == Errc::overloaded)
    co_return http::problem(Status::conflict, fmt::format("You have {} tokens; revoke some.", kMostTokensOfOwner));
  if (!made && made.error() == Errc::not_found) co_return forbidden();  // the user was deleted just now
  if (!made) co_return store_failure(made.error());
  log_token("token created", request, made->token, granted, made->detail);
  co_await settle(context, made->token.version);
  boost::json::object answer = as_json(made->token);
  answer["token"] = secret.text();
  Response response = put_answer(true, answer);
  response.add_header("Location", "/api/v1/tokens/" + made->token.id);
  response.add_header("Cache-Control", "no-store");
  co_return response;
}

Answer get_tokens(Context& context, http::Request& request) {
  PageQuery query = read_page(request);
  if (query.refusal) co_return std::move(*query.refusal);
  auto condition = visible(context, request, Type::api_key, db::kTokenTable);
  if (!condition) co_return forbidden();
  if (!query.after.empty() && !is_token_id(query.after))
    co_return http::problem(Status::bad_request, "after must be the next of a page.");
  db::TokenPage page;
  page.visible = std::move(*condition);
  page.limit = query.limit + 1;
  page.after = query.after;
  auto listing = context.tokens.list(std::move(page));
  const auto tokens = co_await std::move(listing);
  if (!tokens) co_return store_failure(tokens.error());
  co_return page_of("tokens", *tokens, query.limit, as_json, [](const db::Token& token) { return token.id; });
}

namespace {

/// A token by the id in the path, if the caller may do this to it. An id that is not there is looked at like a token of
/// nobody's, so that only who may see all learns so.
struct Found {
  std::optional<db::Token> token;
  std::optional<Response> refusal;
};

boost::asio::awaitable<Found> find_token(Context& context, http::Request& request, Action action) {
  Found found;
  const std::string id(request.captures[0]);
  if (is_token_id(id)) {
    auto token = co_await context.tokens.find(id);
    if (!token) {
      found.refusal = store_failure(token.error());
      co_return found;
    }
    found.token = std::move(*token);
  }
  const db::Token nobodys;
  if (!may_with(context, request, action, found.token ? *found.token : nobodys))
    found.refusal = forbidden();
  else if (!found.token)
    found.refusal = not_found("token");
  co_return found;
}

}  // namespace

Answer get_token(Context& context, http::Request& request) {
  Found found = co_await find_token(context, request, Action::read);
  if (found.refusal) co_return std::move(*found.refusal);
  co_return put_answer(false, as_json(*found.token));
}

Answer delete_token(Context& context, http::Request& request) {
  Found found = co_await find_token(context, request, Action::delete_);
  if (found.refusal) co_return std::move(*found.refusal);
  if (found.token->revoked_at_us) co_return http::no_content();
  const std::string id = found.token->id;
  const Grant granted = grant_on(context, request, Action::delete_, *found.token);
  auto revoking = context.tokens.revoke(id, granted.by);
  const auto revoked = co_await std::move(revoking);
  if (!revoked) co_return store_failure(revoked.error());
  const auto now_us =
      std::chrono::duration_cast<std::chrono::microseconds>(context.clock.wall().time_since_epoch()).count();
  context.book.forget(*found.token, now_us);
  if (!revoked->empty()) log_token("token revoked", request, *found.token, granted, *revoked);
  co_return http::no_content();
}

}  // namespace tally::daemon::api
