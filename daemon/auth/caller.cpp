#include "daemon/auth/caller.hpp"

#include "authz/system_subject.hpp"

namespace tally::daemon {
namespace {

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

authz::Result<authz::Subject> subject_of(const db::Token& token, const db::User* user) {
  if (token.kind == db::SubjectKind::system) return authz::system_subject(token.system_subject);
  authz::Subject subject;
  subject.roles.emplace();
  if (token.kind == db::SubjectKind::agent) {
    subject.id = token.agent->owner.to_string();
    return subject;
  }
  subject.id = token.user_id->to_string();
  if (!user) return subject;  // deleted: no role grants anything
  std::vector<std::string> names = user->roles;
  names.emplace_back("member");  // which every user has
  for (const std::string& name : names) {
    auto role = authz::expand_role(name);
    if (role) subject.roles->push_back(std::move(*role));  // one that has vanished grants nothing
  }
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

authz::Result<std::shared_ptr<const Caller>> make_caller(const db::Token& token, const db::User* user) {
  auto scope = scope_of(token);
  if (!scope) return scope.error();
  auto subject = subject_of(token, user);
  if (!subject) return subject.error();
  authz::AllowList allow_list = scope->allow_list;
  subject->scope = std::move(*scope);
  auto prepared = authz::prepare(*subject);
  if (!prepared) return prepared.error();
  return std::make_shared<const Caller>(token, std::move(*prepared), std::move(allow_list));
}

}  // namespace tally::daemon
