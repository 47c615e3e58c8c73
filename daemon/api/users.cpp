#include <map>

#include "daemon/api/render.hpp"
#include "daemon/api/rights.hpp"
#include "daemon/log.hpp"

namespace tally::daemon::api {
namespace {

using authz::Action;
using authz::Type;
using http::Response;
using http::Status;
using tracker::Errc;

constexpr std::size_t kMostRoles = 64;

/// A user is owned by itself.
struct UserObject {
  explicit UserObject(const tracker::Uuid& id) : text(id.to_string()) {}
  std::string text;
  authz::Object object() const { return {Type::user, text, text}; }
};

boost::json::object as_json(const db::User& user) {
  return {
      {"id", user.id.to_string()}, {"username", user.username}, {"email", user.email}, {"roles", to_array(user.roles)}};
}

db::User read_user(const tracker::Uuid& id, const JsonNode& body) {
  db::User user;
  user.id = id;
  user.username = body.member("username").name(kLongestName);
  user.email = body.member("email").text(kLongestName);
  for (std::string& role : body.member("roles").texts(kMostRoles, kLongestName)) {
    // As it is named: an organization of zeros is none.
    if (const auto name = authz::parse_role_name(role)) role = authz::to_string(*name);
    if (std::find(user.roles.begin(), user.roles.end(), role) == user.roles.end())
      user.roles.push_back(std::move(role));
  }
  return user;
}

std::vector<authz::RoleName> site_names(const std::vector<std::string>& roles) {
  std::vector<authz::RoleName> names;
  for (const std::string& role : roles) {
    // One that cannot be read is looked for as it stands, and not found.
    auto name = authz::parse_role_name(role);
    names.push_back(name ? std::move(*name) : authz::RoleName{role, {}});
  }
  return names;
}

/// Everybody has `member`: it comes with a new user, and stays.
authz::RoleChange change_between(const db::User* before, const db::User& after) {
  std::vector<authz::RoleName> from, to = site_names(after.roles);
  if (before) {
    from = site_names(before->roles);
    from.push_back({"member", {}});
  }
  to.push_back({"member", {}});
  return authz::change_role_set(from, to);
}

bool same(const db::User& a, const db::User& b) {
  return a.username == b.username && a.email == b.email && a.roles == b.roles;
}

/// Why this caller may not make that of the user.
std::optional<Response> check_put(Context& context, const http::Request& request, const db::User* before,
                                  const db::User& after) {
  const UserObject user(after.id);
  if (!may(context, request, before ? Action::update : Action::create, user.object())) return forbidden();
  return check_roles(context, request, "", change_between(before, after), site_names(after.roles), {});
}

/// A user's roles in organizations, by organization: `organization-member` and what else it has there.
std::map<std::string, std::vector<authz::RoleName>> roles_by_org(const db::User& user) {
  std::map<std::string, std::vector<authz::RoleName>> by_org;
  for (const std::string& text : user.org_roles)
    if (auto name = authz::parse_role_name(text)) by_org[name->org].push_back(std::move(*name));
  return by_org;
}

bool are_built_in(const std::vector<authz::RoleName>& roles) {
  return std::all_of(roles.begin(), roles.end(),
                     [](const authz::RoleName& role) { return authz::expand_role(role).has_value(); });
}

/// Whoever deletes a user takes its roles away: those of the site, and as with the end of a membership those in each
/// of its organizations.
boost::asio::awaitable<std::optional<Response>> check_delete(Context& context, http::Request& request,
                                                             const db::User& user) {
  authz::RoleChange change;
  change.removed = site_names(user.roles);
  std::optional<Response> refusal = check_roles(context, request, "", change, {}, {});
  if (refusal) co_return refusal;
  const auto by_org = roles_by_org(user);
  for (const auto& [org, roles] : by_org) {
    std::vector<db::CustomRole> custom;
    if (!are_built_in(roles)) {
      const auto id = tracker::Uuid::parse(org);
      auto known = co_await context.directory.list_roles(id.value_or(tracker::Uuid{}));
      if (!known) {
        refusal = store_failure(known.error());
        co_return refusal;
      }
      custom = std::move(*known);
    }
    const std::vector<authz::RoleName> stored = stored_roles(custom, org);
    change.removed = still_there(roles, stored);
    refusal = check_roles(context, request, org, change, {}, stored);
    if (refusal) co_return refusal;
  }
  co_return refusal;
}

void log_put(const http::Request& request, const db::User& user, const Grant& granted, const db::Put& put) {
  log::audit(put.created ? "user created" : "user changed", {{"user", user.id.to_string()},
                                                             {"username", user.username},
                                                             {"roles", joined(user.roles)},
                                                             {"by", granted.by.actor},
                                                             {"allowed_by", granted.allowed_by},
                                                             {"detail", log::Json{put.detail}},
                                                             {"request_id", request.id}});
}

}  // namespace

Answer get_users(Context& context, http::Request& request) {
  Listing list = read_listing(context, request, Type::user, db::kUserTable);
  if (list.refusal) co_return std::move(*list.refusal);
  auto listing = context.directory.list_users(std::move(list.page));
  const auto users = co_await std::move(listing);
  if (!users) co_return store_failure(users.error());
  co_return page_of("users", *users, list.limit, as_json, [](const db::User& user) { return user.id.to_string(); });
}

Answer get_user(Context& context, http::Request& request) {
  const auto id = path_uuid(request.captures[0]);
  if (!id) co_return not_found("user");
  const UserObject object(*id);
  if (!may(context, request, Action::read, object.object())) co_return forbidden();
  const auto user = co_await context.directory.find_user(*id);
  if (!user) co_return store_failure(user.error());
  if (!*user) co_return not_found("user");
  co_return put_answer(false, as_json(**user));
}

Answer put_user(Context& context, http::Request& request) {
  const auto id = path_uuid(request.captures[0]);
  if (!id) co_return not_found("user");
  const UserObject object(*id);
  if (!may(context, request, Action::create, object.object()) &&
      !may(context, request, Action::update, object.object()))
    co_return forbidden();
  JsonBody body(request.body);
  const db::User user = read_user(*id, body.root());
  if (auto refusal = body.refusal()) co_return std::move(*refusal);

  for (int i = 0; i < kTries; ++i) {
    const auto before = co_await context.directory.find_user(*id);
    if (!before) co_return store_failure(before.error());
    const db::User* known = *before ? &**before : nullptr;
    if (auto refusal = check_put(context, request, known, user)) co_return std::move(*refusal);
    if (known && same(*known, user)) co_return put_answer(false, as_json(user));
    const Grant granted = grant(context, request, known ? Action::update : Action::create, object.object());
    auto putting = context.directory.put_user(user, db::Seen::at(known ? known->version : 0), granted.by);
    const auto put = co_await std::move(putting);
    if (put) {
      log_put(request, user, granted, *put);
      co_await settle(context, put->version);
      co_return put_answer(put->created, as_json(user));
    }
    if (put.error() == Errc::conflict)
      co_return refused(Status::conflict, "the name belongs to another user", "/username");
    if (put.error() != Errc::serialization) co_return store_failure(put.error());
  }
  co_return busy();
}

Answer delete_user(Context& context, http::Request& request) {
  const auto id = path_uuid(request.captures[0]);
  if (!id) co_return not_found("user");
  const UserObject object(*id);
  if (!may(context, request, Action::delete_, object.object())) co_return forbidden();
  for (int i = 0; i < kTries; ++i) {
    const auto user = co_await context.directory.find_user(*id);
    if (!user) co_return store_failure(user.error());
    if (!*user) co_return not_found("user");
    auto refusal = co_await check_delete(context, request, **user);
    if (refusal) co_return std::move(*refusal);
    const Grant granted = grant(context, request, Action::delete_, object.object());
    auto deleting = context.directory.delete_user(*id, db::Seen::at((*user)->version), granted.by);
    const auto deleted = co_await std::move(deleting);
    if (deleted) {
      log::audit("user deleted", {{"user", object.text},
                                  {"by", granted.by.actor},
                                  {"allowed_by", granted.allowed_by},
                                  {"detail", log::Json{deleted->detail}},
                                  {"request_id", request.id}});
      co_await settle(context, deleted->version);
      co_return http::no_content();
    }
    if (deleted.error() == Errc::not_found) co_return not_found("user");
    if (deleted.error() != Errc::serialization) co_return store_failure(deleted.error());
  }
  co_return busy();
}

}  // namespace tally::daemon::api
