#pragma once
#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "authz/filter.hpp"
#include "authz/role_assignment.hpp"
#include "daemon/api/context.hpp"
#include "daemon/api/json_body.hpp"

/// What the handlers of the directory and of tokens share.
namespace tally::daemon::api {

inline constexpr std::size_t kLongestName = 256;
/// How often a change is tried again when the row was changed between reading and writing it.
inline constexpr int kTries = 5;

/// Whether the caller may do it to the object; counted among the decisions.
bool may(Context& context, const http::Request& request, authz::Action action, const authz::Object& object);
/// What lets the caller do it, for audit lines: the rule in a word, and for the table with its level, role and
/// permission. Asked once it is done or about to be: it takes longer than `may`.
struct Grant {
  std::string_view allowed_by;
  db::Author by;
};
Grant grant(Context& context, const http::Request& request, authz::Action action, const authz::Object& object);
/// 403 that says nothing about what exists.
http::Response forbidden();
http::Response not_found(std::string_view what);
/// 409: somebody else kept changing the same row.
http::Response busy();
http::Response refused(http::Status status, std::string_view detail, std::string pointer);

/// The uuid in a path: nothing when it is none, or the nil uuid, so that there is no such object.
std::optional<tracker::Uuid> path_uuid(std::string_view captured);

/// `limit` and `after` of a list's query.
struct PageQuery {
  std::int64_t limit = 100;
  std::string after;
  std::optional<http::Response> refusal;
};
PageQuery read_page(const http::Request& request);

/// Which rows of the table the caller may see; nothing: none at all, which is 403.
std::optional<authz::SqlCondition> visible(Context& context, const http::Request& request, authz::Type type,
                                           const authz::Table& table);

/// A page of the directory: the rows that the caller may see, in the order of their ids, one more than `limit`.
struct Listing {
  db::Page page;
  std::int64_t limit = 0;
  std::optional<http::Response> refusal;
};
Listing read_listing(Context& context, const http::Request& request, authz::Type type, const authz::Table& table);

/// `{"NAME": [...], "next": "<cursor>"}`; one row more than the limit was asked for.
template <class Rows, class ToJson, class CursorOf>
http::Response page_of(std::string_view name, const Rows& rows, std::int64_t limit, ToJson to_json,
                       CursorOf cursor_of) {
  boost::json::array shown;
  const std::size_t count = std::min(rows.size(), static_cast<std::size_t>(limit));
  for (std::size_t i = 0; i < count; ++i) shown.push_back(to_json(rows[i]));
  boost::json::object page{{name, std::move(shown)}};
  if (rows.size() > count) page["next"] = cursor_of(rows[count - 1]);
  return http::json(http::Status::ok, boost::json::serialize(page));
}

http::Response put_answer(bool created, const boost::json::object& object);

/// Why the caller may not change roles like that, if so. `names` are the new roles as the body lists them, for
/// pointers.
std::optional<http::Response> check_roles(Context& context, const http::Request& request, std::string_view org,
                                          const authz::RoleChange& change, const std::vector<authz::RoleName>& names,
                                          const std::vector<authz::RoleName>& stored);

/// Every member of an organization has it, named or not.
inline constexpr std::string_view kImpliedRole = "organization-member";
/// What the store knows of the organization's roles, for `check_roles`.
std::vector<authz::RoleName> stored_roles(const std::vector<db::CustomRole>& roles, const std::string& org);
/// Without those that are neither built in nor stored: they grant nothing, so there is nothing to take away.
std::vector<authz::RoleName> still_there(std::vector<authz::RoleName> roles,
                                         const std::vector<authz::RoleName>& stored);

/// A change was committed: honoured here before it is answered, by the other replicas within their heartbeats.
boost::asio::awaitable<void> settle(Context& context, std::int64_t version);

boost::json::array to_array(const std::vector<std::string>& texts);
/// With spaces between them: for log lines.
std::string joined(const std::vector<std::string>& texts);

}  // namespace tally::daemon::api
