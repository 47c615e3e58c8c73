#pragma once
#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "authz/custom_role.hpp"
#include "authz/scope.hpp"
#include "authz/subject.hpp"
#include "daemon/ingest/request.hpp"
#include "db/token_store.hpp"

namespace tally::daemon {

/// Who asks, made ready for decisions: what `http::Request::subject` holds. Immutable but for its rate.
struct Caller {
  Caller(db::Token which, std::optional<db::User> who, authz::PreparedSubject prepared, authz::Scope narrowed)
      : subject(std::move(prepared)), token(std::move(which)), user(std::move(who)), scope(std::move(narrowed)) {}

  authz::PreparedSubject subject;
  /// Rate limit: until when the caller has used up its allowance (steady clock, ns).
  mutable std::atomic<std::int64_t> used_up_at_ns{0};
  db::Token token;
  std::optional<db::User> user;  ///< `acts_for`; nothing when the directory does not know that user (any more)
  /// What the token is good for, its own allow list included. Part of `subject` as well.
  authz::Scope scope;

  ingest::KeySubject key_subject() const;
  /// For logs and audit lines: `system:boundary-usage-tracker`, `user:<id>`, `agent:<workspace>`.
  std::string name() const;
  /// The roles as given, with those that go without saying.
  std::vector<authz::RoleName> role_names() const;
};

/// Custom roles by `name:org`.
using CustomRoles = boost::unordered_flat_map<std::string, authz::Role>;
std::string role_key(const db::CustomRole& role);
authz::CustomRole to_custom_role(const db::CustomRole& role);
/// `type:action`, with `-` before a negative one.
std::string permission_text(const authz::Permission& permission);
authz::Permission parse_permission(std::string_view text);

/// Whose roles a token has: its user's, or those of the owner of its agent's workspace. Null for a system subject.
const tracker::Uuid* acts_for(const db::Token& token) noexcept;

/// The scopes of a token together, narrowed by its allow list.
authz::Result<authz::Scope> scope_of(const db::Token& token);

/// Rights of a token: its subject's roles, narrowed by its scope. `user` is who it acts for; without one it has no role
/// (an agent may still report for its workspace: that asks for no role).
authz::Result<std::shared_ptr<const Caller>> make_caller(const db::Token& token, const db::User* user,
                                                         const CustomRoles& roles);

/// The caller's roles and scope as they are written, for `authz::explain`.
authz::Result<authz::Subject> written_subject(const Caller& caller, const CustomRoles& roles);

}  // namespace tally::daemon
