#pragma once
#include <boost/json/object.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "authz/custom_role.hpp"
#include "authz/filter.hpp"
#include "authz/object.hpp"
#include "authz/subject.hpp"

/// Reading authorization cases from JSON. Every function throws `BadCase` with the member that is wrong.
namespace tally::daemon::cli {

class BadCase : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct SystemRoleText {
  std::string key;
  std::string org;
};
/// A role by name, with its permissions, or of a system subject.
using RoleText = std::variant<std::string, authz::Role, SystemRoleText>;
using ScopeText = std::variant<std::string, authz::Scope, authz::AgentScopeParams>;

/// A subject whose names are not yet looked up: that may fail, and other errors come before.
struct SubjectText {
  std::string id;
  std::vector<std::string> groups;
  std::optional<std::vector<RoleText>> roles;
  std::optional<ScopeText> scope;
};

struct CaseOptions {
  bool strict = false;
  authz::RoleOptions roles;
};

/// Owns what an `authz::Object` or `authz::Row` points to.
struct ObjectText {
  std::string type;
  std::string id;
  std::string owner;
  std::string org;
  bool any_org = false;
  authz::Acl acl_user;
  authz::Acl acl_group;

  authz::Object object() const;
  authz::Row row() const;
};

std::string read_text(const boost::json::object& from, std::string_view member);
/// Absent or null is empty.
std::string read_optional_text(const boost::json::object& from, std::string_view member);
bool read_flag(const boost::json::object& from, std::string_view member);
std::vector<std::string> read_texts(const boost::json::object& from, std::string_view member);
std::vector<authz::Permission> read_permissions(const boost::json::object& from, std::string_view member);
authz::AllowList read_allow_list(const boost::json::value& from);
authz::AgentScopeParams read_agent_scope(const boost::json::object& from);

/// Null or absent: nobody asks.
std::optional<SubjectText> read_subject(const boost::json::object& from);
CaseOptions read_options(const boost::json::object& from);
ObjectText read_object(const boost::json::object& from);
std::vector<ObjectText> read_rows(const boost::json::object& from, std::string_view member);
authz::Filter read_predicate(const boost::json::object& from);
const authz::Table& read_table(std::string_view name);

/// What has to be said before any name is looked up, in its order: words (if strict), roles, scope, `any_org`.
std::optional<authz::Errc> first_error(const SubjectText& subject, const CaseOptions& options, authz::ActionWord action,
                                       const authz::Object& object);

/// Roles first, then the scope. `authz::Errc` of whatever does not expand; members that are missing stay missing.
authz::Result<authz::Subject> expand(const SubjectText& subject, const authz::RoleOptions& options);

}  // namespace tally::daemon::cli
