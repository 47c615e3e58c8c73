#include <fmt/format.h>

#include <set>

#include "authz/custom_role.hpp"
#include "daemon/api/render.hpp"
#include "daemon/api/rights.hpp"
#include "daemon/http/query.hpp"
#include "daemon/log.hpp"

namespace tally::daemon::api {
namespace {

using authz::Action;
using authz::CustomRoleOp;
using authz::CustomRoleRefusal;
using authz::Type;
using http::Response;
using http::Status;
using tracker::Errc;

constexpr std::size_t kLongestRoleName = 64;
constexpr std::size_t kMostPermissions = 1000;
constexpr std::size_t kLongestWord = 64;

authz::Object roles_in(const std::string& org) {
  return {Type::assign_org_role, {}, {}, org};
}

/// Letters, digits and `.`, `_`, `-`: it becomes part of `name:org`.
std::optional<std::string> role_name(std::string_view captured) {
  const auto name = http::percent_decode(captured);
  if (!name || name->empty() || name->size() > kLongestRoleName) return std::nullopt;
  constexpr std::string_view kLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-";
  if (name->find_first_not_of(kLetters) != name->npos) return std::nullopt;
  return *name;
}

boost::json::array to_array(const std::vector<authz::Permission>& permissions) {
  boost::json::array array;
  for (const authz::Permission& each : permissions)
    array.push_back(
        boost::json::object{{"resource_type", each.resource_type}, {"action", each.action}, {"negate", each.negate}});
  return array;
}

boost::json::object as_json(const db::CustomRole& role) {
  const authz::CustomRole custom = to_custom_role(role);
  return {{"name", role.name},
          {"organization_id", role.organization.to_string()},
          {"display_name", role.display_name},
          {"is_system", role.is_system},
          {"org_perms", to_array(custom.in_org)},
          {"member", to_array(custom.member)}};
}

std::vector<authz::Permission> read_permissions(const JsonNode& list) {
  std::vector<authz::Permission> permissions;
  if (!list.present()) return permissions;
  for (const JsonNode& each : list.elements(kMostPermissions)) {
    authz::Permission permission;
    permission.resource_type = each.member("resource_type").text(kLongestWord);
    permission.action = each.member("action").text(kLongestWord);
    if (const JsonNode negate = each.member("negate"); negate.present()) permission.negate = negate.boolean();
    permissions.push_back(std::move(permission));
  }
  return permissions;
}

struct Wanted {
  std::string display_name;
  authz::CustomRole role;
  std::string_view org_list = "/org_perms";  ///< under which name the body has them
};

Wanted read_role(const JsonNode& body) {
  Wanted wanted;
  if (const JsonNode display = body.member("display_name"); display.present())
    wanted.display_name = display.text(kLongestName);
  if (const JsonNode system = body.member("is_system"); system.present()) wanted.role.is_system = system.boolean();
  wanted.role.site = read_permissions(body.member("site"));
  wanted.role.user = read_permissions(body.member("user"));
  wanted.role.member = read_permissions(body.member("member"));
  const JsonNode org = body.member("org_perms");
  const JsonNode other = body.member("permissions");
  if (org.present() && other.present()) other.refuse("is another name of org_perms");
  if (!org.present() && other.present()) wanted.org_list = "/permissions";
  wanted.role.in_org = read_permissions(org.present() ? org : other);
  return wanted;
}

/// In their order: what is stored is bounded by the catalog.
std::vector<std::string> each_once(const std::vector<authz::Permission>& permissions) {
  std::vector<std::string> texts;
  std::set<std::string> known;
  for (const authz::Permission& each : permissions)
    if (std::string text = permission_text(each); known.insert(text).second) texts.push_back(std::move(text));
  return texts;
}

db::CustomRole to_store(const tracker::Uuid& org, const std::string& name, const Wanted& wanted) {
  db::CustomRole role;
  role.organization = org;
  role.name = name;
  role.display_name = wanted.display_name;
  role.is_system = wanted.role.is_system;
  role.org_permissions = each_once(wanted.role.in_org);
  role.member_permissions = each_once(wanted.role.member);
  return role;
}

std::string_view sentence(CustomRoleRefusal refusal) {
  switch (refusal) {
    case CustomRoleRefusal::org_required:
      return "a custom role belongs to an organization";
    case CustomRoleRefusal::forbidden:
      return "The token does not give the right to do this.";
    case CustomRoleRefusal::reserved_name:
      return "the name of a built-in role, or of one that the rules know";
    case CustomRoleRefusal::mixed_levels:
      return "a role of an organization holds neither site nor user permissions";
    case CustomRoleRefusal::member_permissions:
      return "only system roles hold member permissions";
    case CustomRoleRefusal::invalid_resource:
      return "there is no such resource type";
    case CustomRoleRefusal::invalid_action:
      return "the resource type has no such action";
    case CustomRoleRefusal::negative:
      return "a custom role cannot forbid anything";
    case CustomRoleRefusal::wildcard:
      return "* stands for nothing in a custom role";
    case CustomRoleRefusal::escalation:
      return "a custom role cannot allow what you may not do yourself";
  }
  return "refused";
}

Response refuse(CustomRoleRefusal refusal, const authz::PermissionPlace& place, std::string_view org_list) {
  if (refusal == CustomRoleRefusal::forbidden) return forbidden();
  const bool escalation = refusal == CustomRoleRefusal::escalation;
  const Status status = escalation ? Status::forbidden : Status::unprocessable_entity;
  const std::string detail = fmt::format("{}: {}", authz::word(refusal), sentence(refusal));
  if (place.list.empty()) return http::problem(status, detail);
  if (place.list == "in_org") return refused(status, detail, fmt::format("{}/{}", org_list, place.at));
  return refused(status, detail, fmt::format("/{}/{}", place.list, place.at));
}

void log_put(const http::Request& request, const db::CustomRole& role, const Grant& granted, const db::Put& put) {
  log::audit(put.created ? "custom role created" : "custom role changed", {{"role", role_key(role)},
                                                                           {"org", joined(role.org_permissions)},
                                                                           {"member", joined(role.member_permissions)},
                                                                           {"by", granted.by.actor},
                                                                           {"allowed_by", granted.allowed_by},
                                                                           {"detail", log::Json{put.detail}},
                                                                           {"request_id", request.id}});
}

}  // namespace

Answer get_roles(Context& context, http::Request& request) {
  const auto org = path_uuid(request.captures[0]);
  if (!org) co_return not_found("organization");
  PageQuery query = read_page(request);
  if (query.refusal) co_return std::move(*query.refusal);
  const std::string text = org->to_string();
  if (!may(context, request, Action::read, roles_in(text))) co_return forbidden();
  if (!query.after.empty() && !role_name(query.after))
    co_return http::problem(Status::bad_request, "after must be the next of a page.");
  auto listing = context.directory.list_roles(*org, query.after, query.limit + 1);
  const auto roles = co_await std::move(listing);
  if (!roles) co_return store_failure(roles.error());
  if (roles->empty()) {
    const auto found = co_await context.directory.find_organization(*org);
    if (!found) co_return store_failure(found.error());
    if (!*found) co_return not_found("organization");
  }
  co_return page_of("roles", *roles, query.limit, as_json, [](const db::CustomRole& role) { return role.name; });
}

Answer get_role(Context& context, http::Request& request) {
  const auto org = path_uuid(request.captures[0]);
  const auto name = role_name(request.captures[1]);
  if (!org || !name) co_return not_found("role");
  const std::string text = org->to_string();
  if (!may(context, request, Action::read, roles_in(text))) co_return forbidden();
  const auto role = co_await context.directory.find_role(*org, *name);
  if (!role) co_return store_failure(role.error());
  if (!*role) co_return not_found("role");
  co_return put_answer(false, as_json(**role));
}

Answer put_role(Context& context, http::Request& request) {
  const auto org = path_uuid(request.captures[0]);
  if (!org) co_return not_found("organization");
  const std::string org_text = org->to_string();
  const authz::Object system{Type::system};
  const bool may_something = may(context, request, Action::create, roles_in(org_text)) ||
                             may(context, request, Action::update, roles_in(org_text)) ||
                             may(context, request, Action::create, system) ||
                             may(context, request, Action::update, system);
  if (!may_something) co_return forbidden();
  const auto name = role_name(request.captures[1]);
  if (!name)
    co_return http::problem(Status::unprocessable_entity,
                            "A role's name is 1 to 64 letters, digits, dots, underlines and hyphens.");
  JsonBody body(request.body);
  Wanted wanted = read_role(body.root());
  if (auto refusal = body.refusal()) co_return std::move(*refusal);
  wanted.role.name = *name;
  wanted.role.org = org_text;
  const bool system_wanted = wanted.role.is_system;
  const authz::PreparedSubject& subject = request.subject_as<Caller>().subject;

  for (int i = 0; i < kTries; ++i) {
    const auto before = co_await context.directory.find_role(*org, *name);
    if (!before) co_return store_failure(before.error());
    const db::CustomRole* known = *before ? &**before : nullptr;
    // What it is never changes, so the store says which right an update needs.
    wanted.role.is_system = known ? known->is_system : system_wanted;
    authz::PermissionPlace place;
    const auto refusal =
        authz::check_custom_role(subject, known ? CustomRoleOp::update : CustomRoleOp::create, wanted.role, &place);
    context.authz_metrics.decided(request.thread, !refusal);
    if (refusal) co_return refuse(*refusal, place, wanted.org_list);
    const db::CustomRole role = to_store(*org, *name, wanted);
    if (known && *known == role) co_return put_answer(false, as_json(role));
    const Grant granted =
        grant(context, request, known ? Action::update : Action::create, role.is_system ? system : roles_in(org_text));
    auto putting = context.directory.put_role(role, db::Seen::at(known ? known->version : 0), granted.by);
    const auto put = co_await std::move(putting);
    if (put) {
      log_put(request, role, granted, *put);
      co_await settle(context, put->version);
      co_return put_answer(put->created, as_json(role));
    }
    if (put.error() == Errc::not_found) co_return not_found("organization");
    if (put.error() == Errc::overloaded)
      co_return http::problem(Status::conflict,
                              fmt::format("The organization has {} custom roles; delete some.", db::kMostRoles));
    if (put.error() != Errc::serialization) co_return store_failure(put.error());
  }
  co_return busy();
}

Answer delete_role(Context& context, http::Request& request) {
  const auto org = path_uuid(request.captures[0]);
  const auto name = role_name(request.captures[1]);
  if (!org || !name) co_return not_found("role");
  authz::CustomRole role;
  role.name = *name;
  role.org = org->to_string();
  const auto refusal = authz::check_custom_role(request.subject_as<Caller>().subject, CustomRoleOp::delete_, role);
  context.authz_metrics.decided(request.thread, !refusal);
  if (refusal) co_return forbidden();
  const Grant granted = grant(context, request, Action::delete_, roles_in(role.org));
  auto deleting = context.directory.delete_role(*org, *name, granted.by);
  const auto deleted = co_await std::move(deleting);
  if (!deleted && deleted.error() == Errc::not_found) co_return not_found("role");
  if (!deleted) co_return store_failure(deleted.error());
  log::audit("custom role deleted", {{"role", *name + ':' + role.org},
                                     {"by", granted.by.actor},
                                     {"allowed_by", granted.allowed_by},
                                     {"detail", log::Json{deleted->detail}},
                                     {"request_id", request.id}});
  co_await settle(context, deleted->version);
  co_return http::no_content();
}

}  // namespace tally::daemon::api
