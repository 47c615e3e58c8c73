#include "daemon/api/render.hpp"
#include "daemon/api/rights.hpp"
#include "daemon/log.hpp"

namespace tally::daemon::api {
namespace {

using authz::Action;
using authz::RoleName;
using authz::Type;
using http::Response;
using http::Status;
using tracker::Errc;

constexpr std::size_t kMostRoles = 64;

struct MemberObject {
  MemberObject(const tracker::Uuid& in, const tracker::Uuid& who) : org(in.to_string()), user(who.to_string()) {}
  std::string org;
  std::string user;
  authz::Object object() const { return {Type::organization_member, user, user, org}; }
};

boost::json::object as_json(const db::Member& member) {
  return {{"user_id", member.user.to_string()},
          {"organization_id", member.organization.to_string()},
          {"username", member.username},
          {"roles", to_array(member.roles)}};
}

/// `organization-admin` and `organization-admin:<this org>` are the same role here.
RoleName in_org(const std::string& text, const std::string& org) {
  const auto name = authz::parse_role_name(text);
  if (!name) return {text, org};
  return {name->name, text.find(':') == text.npos ? org : name->org};
}

std::vector<RoleName> names_of(const std::vector<std::string>& roles, const std::string& org) {
  std::vector<RoleName> names;
  for (const std::string& role : roles) names.push_back(in_org(role, org));
  return names;
}

std::vector<RoleName> with_implied(std::vector<RoleName> names, const std::string& org) {
  names.push_back({std::string(kImpliedRole), org});
  return names;
}

/// The names alone, each once.
std::vector<std::string> to_store(const std::vector<RoleName>& names) {
  std::vector<std::string> roles;
  for (const RoleName& each : names)
    if (std::find(roles.begin(), roles.end(), each.name) == roles.end()) roles.push_back(each.name);
  return roles;
}

void log_put(const http::Request& request, const db::Member& member, const Grant& granted, const db::Put& put) {
  log::audit(put.created ? "member added" : "member's roles changed",
             {{"user", member.user.to_string()},
              {"organization", member.organization.to_string()},
              {"roles", joined(member.roles)},
              {"by", granted.by.actor},
              {"allowed_by", granted.allowed_by},
              {"detail", log::Json{put.detail}},
              {"request_id", request.id}});
}

}  // namespace

Answer get_members(Context& context, http::Request& request) {
  const auto org = path_uuid(request.captures[0]);
  if (!org) co_return not_found("organization");
  Listing list = read_listing(context, request, Type::organization_member, db::kMemberTable);
  if (list.refusal) co_return std::move(*list.refusal);
  auto listing = context.directory.list_members(*org, std::move(list.page));
  const auto members = co_await std::move(listing);
  if (!members) co_return store_failure(members.error());
  if (members->empty()) {
    // Nothing to see here: is there no member, or is the caller none of those who may look? Members see themselves.
    const std::string text = org->to_string();
    const authz::Object any{Type::organization_member, {}, {}, text};
    const bool member = request.subject_as<Caller>().subject.is_member_of(text);
    if (!may(context, request, Action::read, any) && !member) co_return forbidden();
    const auto found = co_await context.directory.find_organization(*org);
    if (!found) co_return store_failure(found.error());
    if (!*found) co_return not_found("organization");
  }
  co_return page_of("members", *members, list.limit, as_json,
                    [](const db::Member& member) { return member.user.to_string(); });
}

Answer get_member(Context& context, http::Request& request) {
  const auto org = path_uuid(request.captures[0]);
  const auto user = path_uuid(request.captures[1]);
  if (!org || !user) co_return not_found("member");
  const MemberObject object(*org, *user);
  if (!may(context, request, Action::read, object.object())) co_return forbidden();
  const auto member = co_await context.directory.find_member(*org, *user);
  if (!member) co_return store_failure(member.error());
  if (!*member) co_return not_found("member");
  co_return put_answer(false, as_json(**member));
}

Answer put_member(Context& context, http::Request& request) {
  const auto org = path_uuid(request.captures[0]);
  const auto user = path_uuid(request.captures[1]);
  if (!org || !user) co_return not_found("organization or user");
  const MemberObject object(*org, *user);
  const bool may_create = may(context, request, Action::create, object.object());
  const bool may_update = may(context, request, Action::update, object.object());
  if (!may_create && !may_update) co_return forbidden();
  JsonBody body(request.body);
  const std::vector<std::string> texts = body.root().member("roles").texts(kMostRoles, kLongestName);
  if (auto refusal = body.refusal()) co_return std::move(*refusal);
  const std::vector<RoleName> names = names_of(texts, object.org);

  for (int i = 0; i < kTries; ++i) {
    const auto before = co_await context.directory.find_member(*org, *user);
    if (!before) co_return store_failure(before.error());
    const db::Member* known = *before ? &**before : nullptr;
    if (known ? !may_update : !may_create) co_return forbidden();
    const auto roles = co_await context.directory.list_roles(*org);
    if (!roles) co_return store_failure(roles.error());

    const std::vector<RoleName> stored = stored_roles(*roles, object.org);
    std::vector<RoleName> from;
    if (known) from = still_there(with_implied(names_of(known->roles, object.org), object.org), stored);
    const authz::RoleChange change = authz::change_role_set(from, with_implied(names, object.org));
    if (auto refusal = check_roles(context, request, object.org, change, names, stored)) co_return std::move(*refusal);

    db::Member member;
    member.organization = *org;
    member.user = *user;
    member.roles = to_store(names);
    if (known) member.username = known->username;
    if (known && known->roles == member.roles) co_return put_answer(false, as_json(member));
    const Grant granted = grant(context, request, known ? Action::update : Action::create, object.object());
    auto putting = context.directory.put_member(member, db::Seen::at(known ? known->version : 0), granted.by);
    const auto put = co_await std::move(putting);
    if (put) {
      log_put(request, member, granted, *put);
      co_await settle(context, put->version);
      const auto made = co_await context.directory.find_member(*org, *user);
      if (made && *made) member.username = (*made)->username;
      co_return put_answer(put->created, as_json(member));
    }
    if (put.error() == Errc::not_found) co_return not_found("organization or user");
    if (put.error() != Errc::serialization) co_return store_failure(put.error());
  }
  co_return busy();
}

Answer delete_member(Context& context, http::Request& request) {
  const auto org = path_uuid(request.captures[0]);
  const auto user = path_uuid(request.captures[1]);
  if (!org || !user) co_return not_found("member");
  const MemberObject object(*org, *user);
  if (!may(context, request, Action::delete_, object.object())) co_return forbidden();
  for (int i = 0; i < kTries; ++i) {
    const auto member = co_await context.directory.find_member(*org, *user);
    if (!member) co_return store_failure(member.error());
    if (!*member) co_return not_found("member");
    const auto roles = co_await context.directory.list_roles(*org);
    if (!roles) co_return store_failure(roles.error());
    // Whoever ends a membership takes its roles away.
    const std::vector<RoleName> stored = stored_roles(*roles, object.org);
    authz::RoleChange change;
    change.removed = still_there(with_implied(names_of((*member)->roles, object.org), object.org), stored);
    if (auto refusal = check_roles(context, request, object.org, change, {}, stored)) co_return std::move(*refusal);
    const Grant granted = grant(context, request, Action::delete_, object.object());
    auto deleting = context.directory.delete_member(*org, *user, db::Seen::at((*member)->version), granted.by);
    const auto deleted = co_await std::move(deleting);
    if (deleted) {
      log::audit("member removed", {{"user", object.user},
                                    {"organization", object.org},
                                    {"by", granted.by.actor},
                                    {"allowed_by", granted.allowed_by},
                                    {"detail", log::Json{deleted->detail}},
                                    {"request_id", request.id}});
      co_await settle(context, deleted->version);
      co_return http::no_content();
    }
    if (deleted.error() == Errc::not_found) co_return not_found("member");
    if (deleted.error() != Errc::serialization) co_return store_failure(deleted.error());
  }
  co_return busy();
}

}  // namespace tally::daemon::api
