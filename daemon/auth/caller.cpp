#include "daemon/auth/caller.hpp"

#include <algorithm>

#include "authz/system_subject.hpp"

namespace tally::daemon {

const tracker::Uuid* acts_for(const db::Token& token) noexcept {
  switch (token.kind) {
    case db::SubjectKind::system:
      return nullptr;
    case db::SubjectKind::user:
      return token.user_id ? &*token.user_id : nullptr;
    case db::SubjectKind::agent:
      return token.agent ? &token.agent->owner : nullptr;
  }
  return nullptr;
}

authz::Result<authz::Scope> scope_of(const db::Token& token) {
  std::vector<authz::Scope> scopes;
  if (token.agent) {
    authz::AgentScopeParams params;
    params.workspace = token.agent->workspace.to_string();
    params.owner = token.agent->owner.to_string();
    params.template_id = token.agent->template_id.to_string();
    params.version = token.agent->version.to_string();
    if (token.agent->task) params.task = token.agent->task->to_string();
    params.block_user_data = token.agent->no_user_data;
    auto scope = authz::agent_scope(params);
    if (!scope) return scope.error();
    scopes.push_back(std::move(*scope));
  } else if (token.scopes.empty()) {
    auto scope = authz::expand_scope("coder:all");
    if (!scope) return scope.error();
    scopes.push_back(std::move(*scope));
  } else {
    for (const std::string& name : token.scopes) {
      auto scope = authz::expand_scope(authz::resolve_scope_alias(name));
      if (!scope) return scope.error();
      scopes.push_back(std::move(*scope));
    }
  }
  authz::Scope whole = authz::unite(scopes);
  if (!token.allow_list.empty()) {
    const auto stored = authz::parse_allow_list(token.allow_list);
    if (!stored) return stored.error();
    whole.allow_list = authz::intersect(whole.allow_list, *stored);
  }
  return whole;
}

namespace {

/// Built-in roles are fixed. `organization-member` is what the store holds for the organization, and where it holds
/// nothing, what every organization has.
std::optional<authz::Role> find_role(const std::string& text, const CustomRoles& stored) {
  const auto name = authz::parse_role_name(text);
  if (!name) return std::nullopt;
  if (auto built_in = authz::find_built_in_role(*name)) return std::move(*built_in);
  if (const auto own = stored.find(text); own != stored.end()) return own->second;
  if (auto implied = authz::expand_role(*name)) return std::move(*implied);
  return std::nullopt;
}

authz::Result<authz::Subject> subject_of(const db::Token& token, const db::User* user, const CustomRoles& roles) {
  if (token.kind == db::SubjectKind::system) return authz::system_subject(token.system_subject);
  authz::Subject subject;
  subject.roles.emplace();
  if (const tracker::Uuid* id = acts_for(token)) subject.id = id->to_string();
  if (!user) return subject;  // unknown or deleted: no role grants anything
  std::vector<std::string> names = user->roles;
  names.emplace_back("member");  // which every user has
  names.insert(names.end(), user->org_roles.begin(), user->org_roles.end());
  for (const std::string& name : names) {
    // One that has vanished grants nothing.
    if (auto role = find_role(name, roles)) subject.roles->push_back(std::move(*role));
  }
  subject.groups = user->groups;
  return subject;
}

}  // namespace

ingest::KeySubject Caller::key_subject() const {
  switch (token.kind) {
    case db::SubjectKind::system:
      return ingest::KeySubject::system(token.system_subject);
    case db::SubjectKind::user:
      return ingest::KeySubject::user(*token.user_id);
    case db::SubjectKind::agent:
      return ingest::KeySubject::agent(token.agent->workspace);
  }
  return {};
}

std::string Caller::name() const {
  switch (token.kind) {
    case db::SubjectKind::system:
      return "system:" + token.system_subject;
    case db::SubjectKind::user:
      return "user:" + token.user_id->to_string();
    case db::SubjectKind::agent:
      return "agent:" + token.agent->workspace.to_string();
  }
  return "unknown";
}

std::vector<authz::RoleName> Caller::role_names() const {
  std::vector<authz::RoleName> names;
  if (token.kind == db::SubjectKind::system) {
    if (const auto* system = authz::find_system_subject(token.system_subject))
      names.push_back({std::string(system->role_name), {}});
  }
  if (!user) return names;
  names.push_back({"member", {}});
  for (const std::string& role : user->roles) names.push_back({role, {}});
  for (const std::string& role : user->org_roles)
    if (auto name = authz::parse_role_name(role)) names.push_back(std::move(*name));
  return names;
}

std::string role_key(const db::CustomRole& role) {
  return role.name + ':' + role.organization.to_string();
}

std::string permission_text(const authz::Permission& permission) {
  return (permission.negate ? "-" : "") + permission.resource_type + ':' + permission.action;
}

authz::Permission parse_permission(std::string_view text) {
  const bool negate = text.starts_with('-');
  if (negate) text.remove_prefix(1);
  const std::size_t colon = std::min(text.find(':'), text.size());
  return {std::string(text.substr(0, colon)), std::string(text.substr(std::min(colon + 1, text.size()))), negate};
}

authz::CustomRole to_custom_role(const db::CustomRole& role) {
  authz::CustomRole custom;
  custom.name = role.name;
  custom.org = role.organization.to_string();
  custom.is_system = role.is_system;
  for (const std::string& text : role.org_permissions) custom.in_org.push_back(parse_permission(text));
  for (const std::string& text : role.member_permissions) custom.member.push_back(parse_permission(text));
  return custom;
}

authz::Result<std::shared_ptr<const Caller>> make_caller(const db::Token& token, const db::User* user,
                                                         const CustomRoles& roles) {
  auto scope = scope_of(token);
  if (!scope) return scope.error();
  auto subject = subject_of(token, user, roles);
  if (!subject) return subject.error();
  subject->scope = *scope;
  auto prepared = authz::prepare(*subject);
  if (!prepared) return prepared.error();
  return std::make_shared<const Caller>(token, user ? std::optional(*user) : std::nullopt, std::move(*prepared),
                                        std::move(*scope));
}

authz::Result<authz::Subject> written_subject(const Caller& caller, const CustomRoles& roles) {
  auto subject = subject_of(caller.token, caller.user ? &*caller.user : nullptr, roles);
  if (subject) subject->scope = caller.scope;
  return subject;
}

}  // namespace tally::daemon
