#include <boost/json.hpp>
#include <map>

#include "authz/decision.hpp"
#include "authz/role_assignment.hpp"
#include "authz/scope.hpp"
#include "daemon/cli/authz_case.hpp"
#include "daemon/cli/authz_commands.hpp"
#include "daemon/cli/authz_lines.hpp"

namespace tally::daemon::cli {
namespace {

namespace json = boost::json;

std::string error_word(const boost::system::error_code& error) {
  return std::string(authz::word(static_cast<authz::Errc>(error.value())));
}

json::object allow_answer(const authz::Decision& decision) {
  json::object answer{{"allow", decision.allowed}};
  if (decision.error) answer["error"] = authz::word(*decision.error);
  return answer;
}

json::object failed(const boost::system::error_code& error) {
  return {{"allow", false}, {"error", error_word(error)}};
}

json::object refused(std::string_view refusal) {
  return {{"ok", false}, {"refusal", refusal}};
}

json::array to_json(const std::vector<authz::Permission>& permissions) {
  json::array result;
  for (const authz::Permission& each : permissions) {
    result.push_back(
        json::object{{"resource_type", each.resource_type}, {"action", each.action}, {"negate", each.negate}});
  }
  return result;
}

json::object to_json(const authz::AllowEntry& entry) {
  return {{"type", entry.type}, {"id", entry.id}};
}

json::array to_json(const authz::AllowList& list) {
  json::array result;
  for (const authz::AllowEntry& each : list) result.push_back(to_json(each));
  return result;
}

authz::Result<authz::PreparedSubject> prepare(const SubjectText& text, const authz::RoleOptions& options) {
  if (!text.roles) return authz::Errc::roles_missing;
  if (!text.scope) return authz::Errc::scope_missing;
  const authz::Result<authz::Subject> subject = expand(text, options);
  if (!subject) return subject.error();
  return authz::prepare(*subject);
}

using Decide = authz::Decision (*)(const authz::PreparedSubject&, authz::ActionWord, const authz::Object&) noexcept;

json::object answer_decision(const json::object& input, Decide decide) {
  const std::optional<SubjectText> subject = read_subject(input);
  const CaseOptions options = read_options(input);
  const std::string action = read_text(input, "action");
  const ObjectText object = read_object(input);
  if (!subject) return allow_answer({});
  if (const auto error = first_error(*subject, options, authz::ActionWord(action), object.object())) {
    return failed(*error);
  }
  const authz::Result<authz::PreparedSubject> prepared = prepare(*subject, options.roles);
  if (!prepared) return failed(prepared.error());
  return allow_answer(decide(*prepared, authz::ActionWord(action), object.object()));
}

json::object answer_plain(const json::object& input) {
  return answer_decision(input, authz::decide);
}

json::object answer_workspace_or_prebuilt(const json::object& input) {
  return answer_decision(input, authz::decide_workspace_or_prebuilt);
}

authz::CustomRoleOp read_op(const json::object& input) {
  const std::string op = read_optional_text(input, "op");
  if (op.empty() || op == "create") return authz::CustomRoleOp::create;
  if (op == "update") return authz::CustomRoleOp::update;
  if (op == "delete") return authz::CustomRoleOp::delete_;
  throw BadCase("\"op\" must be create, update or delete");
}

json::object answer_custom_role(const json::object& input) {
  const std::optional<SubjectText> actor = read_subject(input);
  const authz::CustomRoleOp op = read_op(input);
  authz::CustomRole role;
  role.org = read_optional_text(input, "org");
  role.is_system = read_flag(input, "is_system");
  role.site = read_permissions(input, "site");
  role.user = read_permissions(input, "user");
  role.in_org = read_permissions(input, "org_perms");
  role.member = read_permissions(input, "member");
  if (!actor) return refused(authz::word(authz::CustomRoleRefusal::forbidden));
  const authz::Result<authz::PreparedSubject> prepared = prepare(*actor, read_options(input).roles);
  if (!prepared) return refused(error_word(prepared.error()));
  if (const auto refusal = authz::check_custom_role(*prepared, op, role)) return refused(authz::word(*refusal));
  return {{"ok", true}};
}

json::object answer_can_assign(const json::object& input) {
  std::vector<authz::RoleName> actor;
  for (const std::string& text : read_texts(input, "actor_roles")) {
    authz::Result<authz::RoleName> role = authz::parse_role_name(text);
    if (!role) return failed(role.error());
    actor.push_back(std::move(*role));
  }
  const authz::Result<authz::RoleName> target = authz::parse_role_name(read_text(input, "target"));
  if (!target) return failed(target.error());
  return {{"allow", authz::can_assign(actor, *target)}};
}

json::object answer_change_role_set(const json::object& input) {
  const auto read = [&](std::string_view member) {
    std::vector<authz::RoleName> roles;
    for (const std::string& text : read_texts(input, member)) {
      authz::Result<authz::RoleName> role = authz::parse_role_name(text);
      if (!role) throw BadCase("\"" + text + "\" in \"" + std::string(member) + "\": " + role.error().message());
      roles.push_back(std::move(*role));
    }
    return roles;
  };
  const auto write = [](const std::vector<authz::RoleName>& roles) {
    json::array texts;
    for (const authz::RoleName& role : roles) texts.push_back(json::value(authz::to_string(role)));
    return texts;
  };
  const authz::RoleChange change = authz::change_role_set(read("from"), read("to"));
  return {{"added", write(change.added)}, {"removed", write(change.removed)}};
}

json::object answer_role_name(const json::object& input) {
  const authz::Result<authz::RoleName> role = authz::parse_role_name(read_text(input, "input"));
  if (!role) return {{"ok", false}};
  const std::string_view org = role->org.empty() ? authz::kNilId : std::string_view(role->org);
  return {{"ok", true}, {"out", json::array{role->name, org}}};
}

json::object answer_role_lookup(const json::object& input) {
  const authz::Result<authz::RoleName> role = authz::parse_role_name(read_text(input, "input"));
  return {{"ok", role && authz::find_built_in_role(*role).has_value()}};
}

json::object answer_parse_allow_entry(const json::object& input) {
  const authz::Result<authz::AllowEntry> entry = authz::parse_allow_entry(read_text(input, "input"));
  if (!entry) return {{"ok", false}};
  return {{"ok", true}, {"out", to_json(*entry)}};
}

json::object answer_parse_allow_list(const json::object& input) {
  std::size_t max = authz::kMaxAllowEntries;
  if (const json::value* given = input.if_contains("max"); given && !given->is_null()) {
    json::error_code error;
    max = given->to_number<std::size_t>(error);
    if (error) throw BadCase("\"max\" must be a whole number, zero or more");
  }
  const authz::Result<authz::AllowList> list = authz::parse_allow_list(read_texts(input, "inputs"), max);
  if (!list) return {{"ok", false}};
  return {{"ok", true}, {"out", to_json(*list)}};
}

json::object answer_expand_scope(const json::object& input) {
  const authz::Result<authz::Scope> scope = authz::expand_scope(read_text(input, "scope"));
  if (!scope) return refused(error_word(scope.error()));
  return {{"ok", true},
          {"site", to_json(scope->role.site.as_words())},
          {"user", to_json(scope->role.user.as_words())},
          {"by_org", json::object()},  // named scopes have none
          {"allow_list", to_json(scope->allow_list)}};
}

json::object answer_external_scope(const json::object& input) {
  return {{"external", authz::is_external_scope(read_text(input, "scope"))}};
}

json::object answer_agent_scope(const json::object& input) {
  const json::value* params = input.if_contains("params");
  if (!params || !params->is_object()) throw BadCase("\"params\" must be an object");
  const authz::Result<authz::Scope> scope = authz::agent_scope(read_agent_scope(params->get_object()));
  if (!scope) return refused(error_word(scope.error()));
  return {{"ok", true}, {"allow_list", to_json(scope->allow_list)}, {"site", to_json(scope->role.site.as_words())}};
}

authz::AllowList read_list_member(const json::object& input, std::string_view member) {
  const json::value* list = input.if_contains(member);
  return list && !list->is_null() ? read_allow_list(*list) : authz::AllowList();
}

json::object answer_intersect_allow(const json::object& input) {
  const authz::AllowList both =
      authz::intersect(read_list_member(input, "scope_list"), read_list_member(input, "db_list"));
  return {{"ok", true}, {"out", to_json(both)}};
}

json::object answer_union_allow(const json::object& input) {
  std::vector<authz::AllowList> lists;
  const json::value* given = input.if_contains("lists");
  if (!given || !given->is_array()) throw BadCase("\"lists\" must be a list of allow lists");
  for (const json::value& list : given->get_array()) {
    lists.push_back(list.is_null() ? authz::AllowList() : read_allow_list(list));
  }
  return {{"ok", true}, {"out", to_json(authz::unite(lists))}};
}

json::array passes(const authz::Filter& filter, const authz::Table& table, const std::vector<ObjectText>& rows) {
  json::array pass;
  for (const ObjectText& row : rows) pass.push_back(json::value(authz::admits(filter, table, row.row())));
  return pass;
}

json::object answer_filter(const json::object& input) {
  const std::optional<SubjectText> subject = read_subject(input);
  const std::string action = read_text(input, "action");
  const std::string type = read_text(input, "type");
  const authz::Table& table = read_table(read_text(input, "table"));
  const std::vector<ObjectText> rows = read_rows(input, "objects");
  if (rows.empty()) return {{"pass", json::array()}};
  if (!subject) return {{"pass", passes({}, table, rows)}};
  const authz::Result<authz::PreparedSubject> prepared = prepare(*subject, read_options(input).roles);
  if (!prepared) return {{"pass", json::array()}, {"error", error_word(prepared.error())}};
  const authz::Filter filter = authz::make_filter(*prepared, authz::ActionWord(action), authz::TypeWord(type));
  return {{"pass", passes(filter, table, rows)}};
}

json::object answer_predicate(const json::object& input) {
  return {{"pass", passes(read_predicate(input), read_table(read_text(input, "table")), read_rows(input, "rows"))}};
}

json::object answer(const json::object& input) {
  using Answer = json::object (*)(const json::object&);
  static const std::map<std::string, Answer, std::less<>> kinds = {
      {"", answer_plain},
      {"workspace_or_prebuilt", answer_workspace_or_prebuilt},
      {"custom_role", answer_custom_role},
      {"can_assign", answer_can_assign},
      {"change_role_set", answer_change_role_set},
      {"role_name", answer_role_name},
      {"role_lookup", answer_role_lookup},
      {"parse_allow_entry", answer_parse_allow_entry},
      {"parse_allow_list", answer_parse_allow_list},
      {"expand_scope", answer_expand_scope},
      {"external_scope", answer_external_scope},
      {"agent_scope", answer_agent_scope},
      {"intersect_allow", answer_intersect_allow},
      {"union_allow", answer_union_allow},
      {"filter", answer_filter},
      {"predicate", answer_predicate},
  };
  const std::string kind = read_optional_text(input, "kind");
  const auto at = kinds.find(kind);
  if (at == kinds.end()) throw BadCase("unknown kind \"" + kind + "\"");
  return at->second(input);
}

}  // namespace

int authz_eval(std::istream& in, std::ostream& out) {
  return answer_cases(in, out, answer);
}

}  // namespace tally::daemon::cli
