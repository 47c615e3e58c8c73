#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "authz/allow_list.hpp"
#include "authz/subject.hpp"
#include "daemon/ingest/request.hpp"
#include "db/token_store.hpp"

namespace tally::daemon {

/// Who asks, made ready for decisions: what `http::Request::subject` holds. Immutable but for its rate.
struct Caller {
  Caller(db::Token which, authz::PreparedSubject prepared, authz::AllowList list)
      : token(std::move(which)), subject(std::move(prepared)), allow_list(std::move(list)) {}

  db::Token token;
  authz::PreparedSubject subject;
  /// Of a token with an allow list, or of an agent: what it is good for. Part of `subject` as well.
  authz::AllowList allow_list;
  /// Rate limit: until when the caller has used up its allowance (steady clock, ns).
  mutable std::atomic<std::int64_t> used_up_at_ns{0};

  ingest::KeySubject key_subject() const;
  /// For logs and audit lines: `system:boundary-usage-tracker`, `user:<id>`, `agent:<workspace>`.
  std::string name() const;
};

/// Rights of a token: its subject's roles, narrowed by its scopes and allow list. `user` is for user tokens.
authz::Result<std::shared_ptr<const Caller>> make_caller(const db::Token& token, const db::User* user);

}  // namespace tally::daemon
