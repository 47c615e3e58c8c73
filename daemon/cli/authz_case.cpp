#include "daemon/cli/authz_case.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "authz/decision.hpp"
#include "authz/system_subject.hpp"

namespace tally::daemon::cli {
namespace {

namespace json = boost::json;

[[noreturn]] void wrong(std::string_view member, std::string_view wanted) {
  throw BadCase("\"" + std::string(member) + "\" must be " + std::string(wanted));
}

/// Null counts as absent.
const json::value* find(const json::object& from, std::string_view member) {
  const json::value* value = from.if_contains(member);
  return value && !value->is_null() ? value : nullptr;
}

const json::object& as_object(const json::value& value, std::string_view member) {
  if (!value.is_object()) wrong(member, "an object");
  return value.get_object();
}

const json::array& as_array(const json::value& value, std::string_view member) {
  if (!value.is_array()) wrong(member, "a list");
  return value.get_array();
}

std::string as_text(const json::value& value, std::string_view member) {
  if (!value.is_string()) wrong(member, "a text");
  return std::string(value.get_string());
}

std::vector<std::string> as_texts(const json::value& value, std::string_view member) {
  std::vector<std::string> texts;
  for (const json::value& each : as_array(value, member)) texts.push_back(as_text(each, member));
  return texts;
}

authz::PermissionList read_list(const json::object& from, std::string_view member) {
  return {{}, read_permissions(from, member)};
}

authz::Role read_role(const json::object& from) {
  authz::Role role;
  role.name = read_optional_text(from, "name");
  role.site = read_list(from, "site");
  role.user = read_list(from, "user");
  if (const json::value* by_org = find(from, "by_org")) {
    for (const auto& [org, lists] : as_object(*by_org, "by_org")) {
      const json::object& levels = as_object(lists, "by_org");
      role.by_org.emplace_back(org, authz::OrgPermissions{read_list(levels, "org"), read_list(levels, "member")});
    }
  }
  return role;
}

RoleText read_role_text(const json::value& from) {
  if (from.is_string()) return std::string(from.get_string());
  const json::object& role = as_object(from, "roles");
  if (find(role, "system_subject")) {
    return SystemRoleText{read_text(role, "system_subject"), read_optional_text(role, "org")};
  }
  return read_role(role);
}

ScopeText read_scope_text(const json::value& from) {
  if (from.is_string()) return std::string(from.get_string());
  const json::object& scope = as_object(from, "scope");
  if (const json::value* agent = find(scope, "agent")) return read_agent_scope(as_object(*agent, "agent"));
  authz::Scope result{read_role(scope), {}};
  if (const json::value* allow_list = find(scope, "allow_list")) result.allow_list = read_allow_list(*allow_list);
  return result;
}

/// {who: [action...]}, or one level deeper under `permissions` as the workspaces table keeps it.
authz::Acl read_acl(const json::object& from, std::string_view member) {
  authz::Acl acl;
  const json::value* entries = find(from, member);
  if (!entries) return acl;
  for (const auto& [who, value] : as_object(*entries, member)) {
    const bool nested = value.is_object();
    const json::value* list = nested ? find(value.get_object(), "permissions") : &value;
    if (!list) wrong(member, "an object of lists of actions");
    const std::vector<std::string> actions = as_texts(*list, member);
    const std::vector<std::string_view> views(actions.begin(), actions.end());
    acl.set(who, views);
  }
  return acl;
}

ObjectText read_object_text(const json::object& from) {
  ObjectText object;
  object.type = read_optional_text(from, "type");
  object.id = read_optional_text(from, "id");
  object.owner = read_optional_text(from, "owner");
  object.org = read_optional_text(from, "org");
  object.any_org = read_flag(from, "any_org");
  object.acl_user = read_acl(from, "acl_user");
  object.acl_group = read_acl(from, "acl_group");
  return object;
}

authz::Column read_column(const std::string& word) {
  if (word == "id") return authz::Column::id;
  if (word == "org") return authz::Column::org;
  if (word == "owner") return authz::Column::owner;
  throw BadCase("a condition compares id, org or owner, not \"" + word + "\"");
}

authz::Condition read_condition(const json::value& from) {
  using Kind = authz::Condition::Kind;
  const json::array& words = as_array(from, "any_of");
  const auto text = [&](std::size_t i) { return as_text(words.at(i), "any_of"); };
  const auto is = [&, word = words.empty() ? std::string() : text(0)](std::string_view name, std::size_t size) {
    return word == name && words.size() == size;
  };
  if (is("true", 1)) return {Kind::always, {}, {}, {}};
  if (is("false", 1)) return {Kind::never, {}, {}, {}};
  if (is("eq", 3)) return {Kind::equals_any, read_column(text(1)), {text(2)}, {}};
  if (is("neq", 3)) return {Kind::differs, read_column(text(1)), {text(2)}, {}};
  if (is("in", 3)) return {Kind::equals_any, read_column(text(1)), as_texts(words[2], "any_of"), {}};
  if (is("acl_user_has", 3)) return {Kind::acl_user_has, {}, {text(1)}, {text(2)}};
  if (is("acl_group_has", 3)) return {Kind::acl_group_has, {}, {text(1)}, {text(2)}};
  if (is("acl_org_group_has", 2)) return {Kind::acl_org_group_has, {}, {}, {text(1)}};
  throw BadCase("unknown condition in \"any_of\"");
}

}  // namespace

authz::Object ObjectText::object() const {
  return {authz::TypeWord(type), id, owner, org, any_org, &acl_user, &acl_group};
}

authz::Row ObjectText::row() const {
  return {id, owner, org, &acl_user, &acl_group};
}

std::string read_text(const json::object& from, std::string_view member) {
  const json::value* value = from.if_contains(member);
  if (!value) throw BadCase("\"" + std::string(member) + "\" is missing");
  return as_text(*value, member);
}

std::string read_optional_text(const json::object& from, std::string_view member) {
  const json::value* value = find(from, member);
  return value ? as_text(*value, member) : std::string();
}

bool read_flag(const json::object& from, std::string_view member) {
  const json::value* value = find(from, member);
  if (!value) return false;
  if (!value->is_bool()) wrong(member, "true or false");
  return value->get_bool();
}

std::vector<std::string> read_texts(const json::object& from, std::string_view member) {
  const json::value* value = find(from, member);
  return value ? as_texts(*value, member) : std::vector<std::string>();
}

std::vector<authz::Permission> read_permissions(const json::object& from, std::string_view member) {
  std::vector<authz::Permission> permissions;
  const json::value* value = find(from, member);
  if (!value) return permissions;
  for (const json::value& each : as_array(*value, member)) {
    const json::object& permission = as_object(each, member);
    permissions.push_back(
        {read_text(permission, "resource_type"), read_text(permission, "action"), read_flag(permission, "negate")});
  }
  return permissions;
}

authz::AllowList read_allow_list(const json::value& from) {
  authz::AllowList list;
  for (const json::value& each : as_array(from, "allow_list")) {
    const json::object& entry = as_object(each, "allow_list");
    list.push_back({read_text(entry, "type"), read_optional_text(entry, "id")});
  }
  return list;
}

authz::AgentScopeParams read_agent_scope(const json::object& from) {
  return {read_optional_text(from, "workspace"), read_optional_text(from, "owner"),
          read_optional_text(from, "template"),  read_optional_text(from, "version"),
          read_optional_text(from, "task"),      read_flag(from, "block_user_data")};
}

std::optional<SubjectText> read_subject(const json::object& from) {
  const json::value* member = from.if_contains("subject");
  if (!member) throw BadCase("\"subject\" is missing");
  if (member->is_null()) return std::nullopt;
  const json::object& source = as_object(*member, "subject");
  SubjectText subject;
  subject.id = read_optional_text(source, "id");
  subject.groups = read_texts(source, "groups");
  if (const json::value* roles = find(source, "roles")) {
    subject.roles.emplace();
    for (const json::value& each : as_array(*roles, "roles")) subject.roles->push_back(read_role_text(each));
  }
  if (const json::value* scope = find(source, "scope")) subject.scope = read_scope_text(*scope);
  return subject;
}

CaseOptions read_options(const json::object& from) {
  CaseOptions options;
  const json::value* member = find(from, "options");
  if (!member) return options;
  const json::object& source = as_object(*member, "options");
  options.strict = read_flag(source, "strict");
  options.roles.no_owner_workspace_exec = read_flag(source, "no_owner_workspace_exec");
  options.roles.no_workspace_sharing = read_flag(source, "no_workspace_sharing");
  options.roles.workspace_sharing_disabled = read_texts(source, "workspace_sharing_disabled");
  return options;
}

ObjectText read_object(const json::object& from) {
  const json::value* member = find(from, "object");
  if (!member) throw BadCase("\"object\" is missing");
  return read_object_text(as_object(*member, "object"));
}

std::vector<ObjectText> read_rows(const json::object& from, std::string_view member) {
  const json::value* rows = from.if_contains(member);
  if (!rows) throw BadCase("\"" + std::string(member) + "\" is missing");
  std::vector<ObjectText> result;
  for (const json::value& row : as_array(*rows, member)) result.push_back(read_object_text(as_object(row, member)));
  return result;
}

authz::Filter read_predicate(const json::object& from) {
  const json::value* any_of = from.if_contains("any_of");
  if (!any_of) throw BadCase("\"any_of\" is missing");
  authz::Filter filter;
  for (const json::value& all : as_array(*any_of, "any_of")) {
    authz::AllOf conditions;
    for (const json::value& each : as_array(all, "any_of")) conditions.push_back(read_condition(each));
    filter.any_of.push_back(std::move(conditions));
  }
  return filter;
}

const authz::Table& read_table(std::string_view name) {
  if (const authz::Table* table = authz::find_table(name)) return *table;
  std::string known;
  for (const authz::Table& each : authz::tables()) known += (known.empty() ? "" : ", ") + std::string(each.name);
  throw BadCase("unknown table \"" + std::string(name) + "\"; there are " + known);
}

std::optional<authz::Errc> first_error(const SubjectText& subject, const CaseOptions& options, authz::ActionWord action,
                                       const authz::Object& object) {
  if (options.strict) {
    if (const auto error = authz::check_words(action, object.type)) return error;
  }
  if (!subject.roles) return authz::Errc::roles_missing;
  if (!subject.scope) return authz::Errc::scope_missing;
  if (object.any_org && !object.org.empty() && object.org != authz::kNilId) return authz::Errc::any_org_with_org;
  return std::nullopt;
}

authz::Result<authz::Subject> expand(const SubjectText& subject, const authz::RoleOptions& options) {
  struct Expand {
    const authz::RoleOptions& options;
    authz::Result<authz::Role> operator()(const std::string& name) const { return authz::expand_role(name, options); }
    authz::Result<authz::Role> operator()(const authz::Role& role) const { return role; }
    authz::Result<authz::Role> operator()(const SystemRoleText& role) const {
      return authz::system_subject_role(role.key, role.org);
    }
    authz::Result<authz::Scope> scope(const std::string& name) const { return authz::expand_scope(name); }
    authz::Result<authz::Scope> scope(const authz::Scope& scope) const { return scope; }
    authz::Result<authz::Scope> scope(const authz::AgentScopeParams& params) const {
      return authz::agent_scope(params);
    }
  };
  const Expand expand{options};
  authz::Subject result;
  result.id = subject.id;
  result.groups = subject.groups;
  if (subject.roles) {
    result.roles.emplace();
    for (const RoleText& text : *subject.roles) {
      authz::Result<authz::Role> role = std::visit(expand, text);
      if (!role) return role.error();
      result.roles->push_back(std::move(*role));
    }
  }
  if (subject.scope) {
    authz::Result<authz::Scope> scope =
        std::visit([&](const auto& text) { return expand.scope(text); }, *subject.scope);
    if (!scope) return scope.error();
    result.scope = std::move(*scope);
  }
  return result;
}

}  // namespace tally::daemon::cli
