#include "daemon/api/rights.hpp"

#include <fmt/format.h>

#include <charconv>

#include "authz/decision.hpp"
#include "authz/explain.hpp"
#include "daemon/http/query.hpp"
#include "daemon/log.hpp"

namespace tally::daemon::api {

using http::Response;
using http::Status;

namespace {

constexpr std::int64_t kLargestPage = 1000;

/// The level that allowed it and whose permission did, or the entry of the object's access list.
void add_rule(boost::json::object& why, const authz::Explanation& explained) {
  constexpr authz::Reason kOfLevel[] = {authz::Reason::site_role, authz::Reason::user_role, authz::Reason::org_role,
                                        authz::Reason::member_role};
  for (std::size_t i = 0; i < std::size(kOfLevel); ++i) {
    if (explained.decision.reason != kOfLevel[i]) continue;
    const authz::LevelVote& vote = explained.roles[i];
    why["level"] = vote.level;
    why["role"] = vote.role;
    why["permission"] = permission_text(vote.permission);
    return;
  }
  if (!explained.acl.empty()) why["access_list"] = explained.acl;
}

}  // namespace

bool may(Context& context, const http::Request& request, authz::Action action, const authz::Object& object) {
  const Caller& caller = request.subject_as<Caller>();
  const authz::Decision decision = authz::decide(caller.subject, action, object);
  context.authz_metrics.decided(request.thread, decision.allowed);
  if (!decision.allowed && log::enabled(LogLevel::debug))
    log::debug("denied", {{"by", caller.name()},
                          {"action", authz::name(action)},
                          {"type", object.type.text},
                          {"reason", authz::word(decision.reason)},
                          {"request_id", request.id}});
  return decision.allowed;
}

Grant grant(Context& context, const http::Request& request, authz::Action action, const authz::Object& object) {
  const Caller& caller = request.subject_as<Caller>();
  const authz::Reason reason = authz::decide(caller.subject, action, object).reason;
  boost::json::object why{{"reason", authz::word(reason)}};
  // The roles may have changed since the caller was made ready; a reason that no longer holds is not dressed up.
  if (const auto subject = context.book.written_subject(caller)) {
    const authz::Explanation explained = authz::explain(*subject, action, object);
    if (explained.decision.reason == reason) add_rule(why, explained);
  }
  return {authz::word(reason), db::Author(caller.name(), boost::json::serialize(why))};
}

Response forbidden() {
  return http::problem(Status::forbidden, "The token does not give the right to do this.");
}

Response not_found(std::string_view what) {
  return http::problem(Status::not_found, fmt::format("There is no such {}.", what));
}

Response busy() {
  return http::problem(Status::conflict, "Somebody else is changing the same thing; try again.");
}

Response refused(Status status, std::string_view detail, std::string pointer) {
  const http::BodyError errors[] = {{std::move(pointer), std::string(detail)}};
  return http::problem(status, detail, errors);
}

std::optional<tracker::Uuid> path_uuid(std::string_view captured) {
  const auto text = http::percent_decode(captured);
  if (!text) return std::nullopt;
  const auto uuid = tracker::Uuid::parse(*text);
  return uuid && !uuid->is_nil() ? uuid : std::nullopt;
}

PageQuery read_page(const http::Request& request) {
  PageQuery page;
  const auto refuse = [&page](std::string_view detail) {
    page.refusal = http::problem(Status::bad_request, detail);
    return page;
  };
  std::string problem;
  const auto query = http::Query::parse(request.query, problem);
  if (!query) return refuse(problem);
  if (const auto unknown = query->unknown({"limit", "after"}))
    return refuse(fmt::format("Unknown query parameter: {}", *unknown));
  if (const auto text = query->find("limit")) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), page.limit);
    if (error != std::errc{} || end != text->data() + text->size() || page.limit < 1 || page.limit > kLargestPage)
      return refuse(fmt::format("limit must be 1 to {}.", kLargestPage));
  }
  if (const auto text = query->find("after")) {
    if (text->empty() || text->size() > kLongestName) return refuse("after must be the next of a page.");
    page.after = *text;
  }
  return page;
}

std::optional<authz::SqlCondition> visible(Context& context, const http::Request& request, authz::Type type,
                                           const authz::Table& table) {
  const authz::Filter filter = authz::make_filter(request.subject_as<Caller>().subject, authz::Action::read, type);
  authz::SqlCondition condition = authz::to_sql(filter, table, db::kFirstVisibleParam);
  context.authz_metrics.decided(request.thread, !condition.never());
  if (condition.never()) return std::nullopt;
  return condition;
}

Listing read_listing(Context& context, const http::Request& request, authz::Type type, const authz::Table& table) {
  Listing list;
  PageQuery query = read_page(request);
  list.refusal = std::move(query.refusal);
  if (list.refusal) return list;
  auto condition = visible(context, request, type, table);
  if (!condition) {
    list.refusal = forbidden();
    return list;
  }
  list.page.visible = std::move(*condition);
  list.limit = query.limit;
  list.page.limit = query.limit + 1;
  if (query.after.empty()) return list;
  list.page.after = tracker::Uuid::parse(query.after);
  if (!list.page.after) list.refusal = http::problem(Status::bad_request, "after must be the next of a page.");
  return list;
}

Response put_answer(bool created, const boost::json::object& object) {
  return http::json(created ? Status::created : Status::ok, boost::json::serialize(object));
}

std::optional<Response> check_roles(Context& context, const http::Request& request, std::string_view org,
                                    const authz::RoleChange& change, const std::vector<authz::RoleName>& names,
                                    const std::vector<authz::RoleName>& stored) {
  const Caller& caller = request.subject_as<Caller>();
  const auto refusal = authz::check_role_change(caller.subject, caller.role_names(), org, change, stored);
  context.authz_metrics.decided(request.thread, !refusal);
  if (!refusal) return std::nullopt;
  const auto found = std::find(names.begin(), names.end(), refusal->role);
  const std::string pointer = fmt::format("/roles/{}", found - names.begin());
  switch (refusal->refusal) {
    case authz::RoleChangeRefusal::wrong_org:
      return refused(Status::unprocessable_entity,
                     org.empty() ? "a role of an organization cannot be given here" : "a role of another organization",
                     pointer);
    case authz::RoleChangeRefusal::unknown_role:
      return refused(Status::unprocessable_entity, "there is no role " + authz::to_string(refusal->role), pointer);
    case authz::RoleChangeRefusal::forbidden:
      return forbidden();
    case authz::RoleChangeRefusal::not_assignable:
      return http::problem(Status::forbidden,
                           "Your roles may neither give nor take " + authz::to_string(refusal->role) + ".");
  }
  return forbidden();
}

std::vector<authz::RoleName> stored_roles(const std::vector<db::CustomRole>& roles, const std::string& org) {
  std::vector<authz::RoleName> names{{std::string(kImpliedRole), org}};
  for (const db::CustomRole& role : roles) names.push_back({role.name, org});
  return names;
}

std::vector<authz::RoleName> still_there(std::vector<authz::RoleName> roles,
                                         const std::vector<authz::RoleName>& stored) {
  std::erase_if(roles, [&stored](const authz::RoleName& role) {
    return !authz::find_built_in_role(role) && std::find(stored.begin(), stored.end(), role) == stored.end();
  });
  return roles;
}

boost::asio::awaitable<void> settle(Context& context, std::int64_t version) {
  const bool reached = co_await context.rights.reach(version);
  if (!reached) log::warn("a change of rights is not honoured here yet", {{"version", version}});
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : " ") + text;
  return all;
}

boost::json::array to_array(const std::vector<std::string>& texts) {
  boost::json::array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

}  // namespace tally::daemon::api
