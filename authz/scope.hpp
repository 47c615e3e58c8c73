#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "authz/allow_list.hpp"
#include "authz/errors.hpp"
#include "authz/role.hpp"

namespace tally::authz {

/// What a token or agent may do of what its subject may: one role and the objects it is good for.
struct Scope {
  Role role;
  AllowList allow_list;
};

/// `coder:all`, `coder:workspaces.create`, `template:read`, `*:*`. `unknown_scope`.
Result<Scope> expand_scope(std::string_view name);
/// Whether the scope may be asked for from outside; the spellings `all` and `application_connect` count, but do not
/// expand.
bool is_external_scope(std::string_view name) noexcept;
/// Translates those two spellings; anything else comes back unchanged.
std::string_view resolve_scope_alias(std::string_view name) noexcept;

/// Everything that any of the scopes grants (a token with several), for the objects that any admits. A permission that
/// one of them negates is negated in the whole. No scopes at all: grants nothing.
Scope unite(std::span<const Scope> scopes);

/// Whether `inner` surely never allows what `outer` does not: for tokens made with a token. False when in doubt.
bool covers(const Scope& outer, const Scope& inner);

struct AgentScopeParams {
  std::string workspace;
  std::string owner;
  std::string template_id;
  std::string version;
  std::string task;  ///< empty: no task
  bool block_user_data = false;
};
/// `developer_error`: workspace, owner, template or version is empty or nil.
Result<Scope> agent_scope(const AgentScopeParams& params);

/// For listings: every name that `expand_scope` knows by itself, and the published list of external ones.
std::span<const std::string_view> built_in_scope_names();
std::span<const std::string_view> composite_scope_names();
std::span<const std::string_view> external_scope_names();

}  // namespace tally::authz
