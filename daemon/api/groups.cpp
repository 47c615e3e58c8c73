#include <fmt/format.h>

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
using tracker::Uuid;

constexpr std::size_t kMostMembers = 10'000;

/// A group is in its organization, and may read itself.
struct GroupObject {
  GroupObject(const Uuid& in, const Uuid& which) : org(in.to_string()), id(which.to_string()) {
    static constexpr std::string_view kRead[] = {"read"};
    acl.set(id, kRead);
  }
  std::string org;
  std::string id;
  authz::Acl acl;
  authz::Object object() const { return {Type::group, id, {}, org, false, nullptr, &acl}; }
};

/// Who is in it is shown as far as the caller may see each.
boost::json::object as_json(const http::Request& request, const db::Group& group) {
  const authz::PreparedSubject& subject = request.subject_as<Caller>().subject;
  const std::string org = group.organization.to_string();
  boost::json::array members;
  for (const Uuid& member : group.members) {
    const std::string id = member.to_string();
    if (authz::decide(subject, Action::read, authz::Object{Type::group_member, id, id, org}).allowed)
      members.emplace_back(id);
  }
  return {
      {"id", group.id.to_string()}, {"organization_id", org}, {"name", group.name}, {"members", std::move(members)}};
}

struct Wanted {
  std::string name;
  std::vector<Uuid> members;  ///< in the order of the body
};

Wanted read_group(const JsonNode& body) {
  Wanted wanted;
  wanted.name = body.member("name").name(kLongestName);
  for (const JsonNode& each : body.member("members").elements(kMostMembers)) wanted.members.push_back(each.uuid());
  return wanted;
}

std::vector<Uuid> sorted(std::vector<Uuid> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

void log_put(const http::Request& request, const db::Group& group, const Grant& granted, const db::Put& put) {
  log::audit(put.created ? "group created" : "group changed", {{"group", group.id.to_string()},
                                                               {"organization", group.organization.to_string()},
                                                               {"name", group.name},
                                                               {"members", group.members.size()},
                                                               {"by", granted.by.actor},
                                                               {"allowed_by", granted.allowed_by},
                                                               {"detail", log::Json{put.detail}},
                                                               {"request_id", request.id}});
}

/// The organization is not there, or some of the members are none of its.
boost::asio::awaitable<Response> explain_absent(Context& context, Uuid org, std::vector<Uuid> members) {
  const auto organization = co_await context.directory.find_organization(org);
  if (!organization) co_return store_failure(organization.error());
  if (!*organization) co_return not_found("organization");
  auto asking = context.directory.strangers(org, members);
  const auto strangers = co_await std::move(asking);
  if (!strangers) co_return store_failure(strangers.error());
  std::vector<http::BodyError> errors;
  for (std::size_t i = 0; i < members.size() && errors.size() < 100; ++i)
    if (std::find(strangers->begin(), strangers->end(), members[i]) != strangers->end())
      errors.push_back({fmt::format("/members/{}", i), "not a member of the organization"});
  co_return http::problem(Status::unprocessable_entity, "Only members of the organization can be in its groups.",
                          errors);
}

}  // namespace

Answer get_groups(Context& context, http::Request& request) {
  const auto org = path_uuid(request.captures[0]);
  if (!org) co_return not_found("organization");
  Listing list = read_listing(context, request, Type::group, db::kGroupTable);
  if (list.refusal) co_return std::move(*list.refusal);
  db::GroupPage page;
  page.groups = std::move(list.page);
  page.groups.limit = list.limit;
  auto members = visible(context, request, Type::group_member, db::kGroupMemberTable);
  page.visible_members = members ? std::move(*members) : authz::SqlCondition{"FALSE", {}};
  auto listing = context.directory.list_groups(*org, std::move(page));
  const auto groups = co_await std::move(listing);
  if (!groups) co_return store_failure(groups.error());
  if (groups->groups.empty()) {
    // No group, or none that the caller may see: who belongs there may know.
    const std::string text = org->to_string();
    const authz::Object any{Type::group, {}, {}, text};
    const bool member = request.subject_as<Caller>().subject.is_member_of(text);
    if (!may(context, request, Action::read, any) && !member) co_return forbidden();
    const auto found = co_await context.directory.find_organization(*org);
    if (!found) co_return store_failure(found.error());
    if (!*found) co_return not_found("organization");
  }
  boost::json::array shown;
  for (const db::Group& group : groups->groups) shown.push_back(as_json(request, group));
  boost::json::object answer{{"groups", std::move(shown)}};
  if (groups->has_more) answer["next"] = groups->groups.back().id.to_string();
  co_return http::json(Status::ok, boost::json::serialize(answer));
}

Answer get_group(Context& context, http::Request& request) {
  const auto org = path_uuid(request.captures[0]);
  const auto id = path_uuid(request.captures[1]);
  if (!org || !id) co_return not_found("group");
  const GroupObject object(*org, *id);
  if (!may(context, request, Action::read, object.object())) co_return forbidden();
  const auto group = co_await context.directory.find_group(*org, *id);
  if (!group) co_return store_failure(group.error());
  if (!*group) co_return not_found("group");
  co_return put_answer(false, as_json(request, **group));
}

Answer put_group(Context& context, http::Request& request) {
  const auto org = path_uuid(request.captures[0]);
  const auto id = path_uuid(request.captures[1]);
  if (!org || !id) co_return not_found("organization or group");
  const GroupObject object(*org, *id);
  const bool may_create = may(context, request, Action::create, object.object());
  const bool may_update = may(context, request, Action::update, object.object());
  if (!may_create && !may_update) co_return forbidden();
  if (*org == *id)
    co_return http::problem(Status::conflict, "An organization's own id is the group of everyone in it.");
  JsonBody body(request.body);
  const Wanted wanted = read_group(body.root());
  if (auto refusal = body.refusal()) co_return std::move(*refusal);

  db::Group group;
  group.organization = *org;
  group.id = *id;
  group.name = wanted.name;
  group.members = sorted(wanted.members);
  for (int i = 0; i < kTries; ++i) {
    const auto before = co_await context.directory.find_group(*org, *id);
    if (!before) co_return store_failure(before.error());
    const db::Group* known = *before ? &**before : nullptr;
    if (known ? !may_update : !may_create) co_return forbidden();
    if (known && known->name == group.name && known->members == group.members)
      co_return put_answer(false, as_json(request, group));
    const Grant granted = grant(context, request, known ? Action::update : Action::create, object.object());
    auto putting = context.directory.put_group(group, db::Seen::at(known ? known->version : 0), granted.by);
    const auto put = co_await std::move(putting);
    if (put) {
      log_put(request, group, granted, *put);
      co_await settle(context, put->version);
      co_return put_answer(put->created, as_json(request, group));
    }
    if (put.error() == Errc::not_found) {
      auto explaining = explain_absent(context, *org, wanted.members);
      Response answer = co_await std::move(explaining);
      co_return answer;
    }
    if (put.error() == Errc::conflict)
      co_return refused(Status::conflict, "the name or the id belongs to another group", "/name");
    if (put.error() != Errc::serialization) co_return store_failure(put.error());
  }
  co_return busy();
}

Answer delete_group(Context& context, http::Request& request) {
  const auto org = path_uuid(request.captures[0]);
  const auto id = path_uuid(request.captures[1]);
  if (!org || !id) co_return not_found("group");
  const GroupObject object(*org, *id);
  if (!may(context, request, Action::delete_, object.object())) co_return forbidden();
  const Grant granted = grant(context, request, Action::delete_, object.object());
  auto deleting = context.directory.delete_group(*org, *id, granted.by);
  const auto deleted = co_await std::move(deleting);
  if (!deleted && deleted.error() == Errc::not_found) co_return not_found("group");
  if (!deleted) co_return store_failure(deleted.error());
  log::audit("group deleted", {{"group", object.id},
                               {"organization", object.org},
                               {"by", granted.by.actor},
                               {"allowed_by", granted.allowed_by},
                               {"detail", log::Json{deleted->detail}},
                               {"request_id", request.id}});
  co_await settle(context, deleted->version);
  co_return http::no_content();
}

}  // namespace tally::daemon::api
