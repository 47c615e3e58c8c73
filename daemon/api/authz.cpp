#include <fmt/format.h>

#include "authz/decision.hpp"
#include "authz/scope.hpp"
#include "authz/system_subject.hpp"
#include "daemon/api/render.hpp"
#include "daemon/api/rights.hpp"

namespace tally::daemon::api {
namespace {

namespace json = boost::json;
using http::Response;
using http::Status;

constexpr std::size_t kMostChecks = 1000;
constexpr std::size_t kLongestWord = 128;

struct Asked {
  std::string type, id, owner, org, action;
  bool any_org = false;
};

std::string uuid_text(const JsonNode& node) {
  const std::string text = node.text(kLongestWord);
  const auto uuid = tracker::Uuid::parse(text);
  if (!uuid) node.refuse("not a UUID");
  return uuid ? uuid->to_string() : "";
}

/// Ids of some resources are no uuids; those that are count in any letter case.
std::string id_text(const JsonNode& node) {
  const std::string text = node.text(kLongestName);
  const auto uuid = tracker::Uuid::parse(text);
  return uuid ? uuid->to_string() : text;
}

Asked read_check(const JsonNode& check, std::string_view me) {
  Asked asked;
  const JsonNode object = check.member("object");
  asked.action = check.member("action").name(kLongestWord);
  if (!object.present()) {
    object.refuse("is missing");
    return asked;
  }
  asked.type = object.member("resource_type").name(kLongestWord);
  if (const JsonNode id = object.member("resource_id"); id.present()) asked.id = id_text(id);
  if (const JsonNode owner = object.member("owner_id"); owner.present()) {
    const std::string text = owner.text(kLongestWord);
    asked.owner = text == "me" ? std::string(me) : uuid_text(owner);
  }
  if (const JsonNode org = object.member("organization_id"); org.present()) asked.org = uuid_text(org);
  if (const JsonNode any = object.member("any_org"); any.present()) asked.any_org = any.boolean();
  return asked;
}

std::string_view kind_word(db::SubjectKind kind) {
  switch (kind) {
    case db::SubjectKind::user:
      return "user";
    case db::SubjectKind::system:
      return "system";
    case db::SubjectKind::agent:
      return "agent";
  }
  return "unknown";
}

json::array words(std::span<const std::string_view> texts) {
  json::array array;
  for (const std::string_view text : texts) array.emplace_back(text);
  return array;
}

json::array permissions(const authz::PermissionList& list) {
  json::array array;
  for (const authz::Permission& each : list.as_words())
    array.push_back(
        json::object{{"resource_type", each.resource_type}, {"action", each.action}, {"negate", each.negate}});
  return array;
}

json::object resources() {
  json::object all;
  for (const authz::ResourceInfo& resource : authz::kCatalog) {
    json::object actions;
    for (const authz::ActionInfo& each : resource.actions) actions[authz::name(each.action)] = each.summary;
    all[resource.name] = json::object{{"note", resource.note}, {"actions", std::move(actions)}};
  }
  return all;
}

std::string_view kind_word(authz::RoleKind kind) {
  switch (kind) {
    case authz::RoleKind::site:
      return "site";
    case authz::RoleKind::org:
      return "org";
    case authz::RoleKind::org_system:
      return "org_system";
  }
  return "unknown";
}

/// What a named role holds; for one of an organization, in whichever it is given.
json::object named_role(const authz::NamedRole& named) {
  constexpr std::string_view kSomeOrg = "11111111-1111-4111-8111-111111111111";
  const bool in_org = named.kind != authz::RoleKind::site;
  const auto role = authz::expand_role(authz::RoleName{std::string(named.name), in_org ? std::string(kSomeOrg) : ""});
  json::object object{{"display_name", named.display_name}, {"kind", kind_word(named.kind)}};
  if (!role) return object;
  object["site"] = permissions(role->site);
  object["user"] = permissions(role->user);
  object["org"] = role->by_org.empty() ? json::array() : permissions(role->by_org.front().second.org);
  object["member"] = role->by_org.empty() ? json::array() : permissions(role->by_org.front().second.member);
  return object;
}

std::string make_catalog() {
  json::object roles;
  for (const authz::NamedRole& named : authz::named_roles()) roles[named.name] = named_role(named);
  json::object scopes;
  for (const auto& names : {authz::built_in_scope_names(), authz::composite_scope_names()})
    for (const std::string_view name : names)
      if (const auto scope = authz::expand_scope(name)) scopes[name] = permissions(scope->role.site);
  json::array subjects;
  for (const authz::SystemSubject& subject : authz::system_subjects()) subjects.emplace_back(authz::flag(subject));
  return json::serialize(json::object{{"resources", resources()},
                                      {"actions", words(authz::kActionNames)},
                                      {"roles", std::move(roles)},
                                      {"scopes", std::move(scopes)},
                                      {"external_scopes", words(authz::external_scope_names())},
                                      {"system_subjects", std::move(subjects)}});
}

}  // namespace

void post_authz_check(Context& context, http::Request& request, http::Responder responder) {
  const authz::PreparedSubject& subject = request.subject_as<Caller>().subject;
  JsonBody body(request.body);
  json::object answers;
  for (const auto& [key, check] : body.root().member("checks").members(kMostChecks)) {
    const Asked asked = read_check(check, subject.id());
    const authz::Object object{authz::TypeWord(asked.type), asked.id, asked.owner, asked.org, asked.any_org};
    const authz::Decision decision =
        authz::decide_workspace_or_prebuilt(subject, authz::ActionWord(asked.action), object);
    if (decision.error) check.member("object").refuse("any_org does not go together with an organization_id");
    context.authz_metrics.decided(request.thread, decision.allowed);
    answers[key] = decision.allowed;
  }
  if (auto refusal = body.refusal()) return responder.answer(std::move(*refusal));
  responder.answer(http::json(Status::ok, json::serialize(answers)));
}

void get_whoami(Context&, http::Request& request, http::Responder responder) {
  const Caller& caller = request.subject_as<Caller>();
  json::array roles;
  json::array organizations;
  for (const authz::RoleName& role : caller.role_names()) {
    roles.emplace_back(authz::to_string(role));
    if (role.name == "organization-member") organizations.emplace_back(role.org);
  }
  json::object answer{{"id", caller.subject.id()}, {"kind", kind_word(caller.token.kind)}, {"name", caller.name()}};
  if (caller.user && !caller.token.agent) {  // an agent acts for its owner, and is somebody else
    answer["username"] = caller.user->username;
    answer["email"] = caller.user->email;
  }
  if (caller.token.agent) answer["workspace_id"] = caller.token.agent->workspace.to_string();
  answer["roles"] = std::move(roles);
  answer["organizations"] = std::move(organizations);
  answer["groups"] = to_array(caller.user ? caller.user->groups : std::vector<std::string>());
  json::object token{{"id", caller.token.id},
                     {"name", caller.token.name},
                     {"scopes", to_array(caller.token.scopes)},
                     {"allow_list", to_array(caller.token.allow_list)}};
  if (caller.token.expires_at_us) token["expires_at"] = rfc3339(*caller.token.expires_at_us);
  answer["token"] = std::move(token);
  responder.answer(http::json(Status::ok, json::serialize(answer)));
}

void get_catalog(Context&, http::Request&, http::Responder responder) {
  static const std::string catalog = make_catalog();
  Response answer;
  answer.fixed_body = catalog;
  responder.answer(std::move(answer));
}

}  // namespace tally::daemon::api
