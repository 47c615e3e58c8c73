#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "authz/filter.hpp"
#include "db/pool.hpp"
#include "tracker/uuid.hpp"

/// Who is who: users, organizations, their members, groups and custom roles.
namespace tally::db {

/// `version` is everywhere the rights version of the last change; the database sets it.
struct User {
  tracker::Uuid id;
  std::string username;
  std::string email;
  std::vector<std::string> roles;        ///< of the site; `member` goes without saying
  std::int64_t version = 0;              ///< of a change of memberships and groups too
  std::vector<std::string> org_roles{};  ///< `name:org`, with `organization-member` of each organization; only read
  std::vector<std::string> groups{};     ///< ids; only read
};

struct Organization {
  tracker::Uuid id;
  std::string name;
  std::string display_name;
  std::int64_t version = 0;
};

struct Member {
  tracker::Uuid organization;
  tracker::Uuid user;
  std::vector<std::string> roles;  ///< without the organization; `organization-member` goes without saying
  std::string username{};          ///< only read
  std::int64_t version = 0;
};

struct Group {
  tracker::Uuid organization;
  tracker::Uuid id;
  std::string name;
  std::vector<tracker::Uuid> members;  ///< sorted
  std::int64_t version = 0;
};

struct CustomRole {
  tracker::Uuid organization;
  std::string name;
  std::string display_name;
  bool is_system = false;
  std::vector<std::string> org_permissions;  ///< `type:action`, with `-` before a negative one
  std::vector<std::string> member_permissions;
  std::int64_t version = 0;

  friend bool operator==(const CustomRole& a, const CustomRole& b) {
    return a.organization == b.organization && a.name == b.name && a.display_name == b.display_name &&
           a.is_system == b.is_system && a.org_permissions == b.org_permissions &&
           a.member_permissions == b.member_permissions;
  }
};

/// An organization has at most so many custom roles: every replica keeps them all in memory.
inline constexpr std::int64_t kMostRoles = 1000;

/// A row as the writer read it: the change is refused if it was changed meanwhile, so that rights which were checked
/// against what it held are not used on something else.
struct Seen {
  std::optional<std::int64_t> version;  ///< 0: it was not there
  static Seen absent() { return {0}; }
  static Seen at(std::int64_t version) { return {version}; }
  static Seen anything() { return {}; }
};

/// Who makes a change, and what lets them.
struct Author {
  Author(std::string who, std::string why = {}) : actor(std::move(who)), allowed_by(std::move(why)) {}
  Author(const char* who) : actor(who) {}
  std::string actor;
  std::string allowed_by;  ///< JSON; empty on the command line, where whoever reaches the database may do all
};

/// A change that was made.
struct Put {
  bool created = false;
  std::int64_t version = 0;
  std::string detail{};  ///< JSON, as `audit_log` has it: what is new, what is lost, by which right
};

/// One page of a list: rows that `visible` admits, behind `after`, at most `limit`. Parameters of `visible` are
/// numbered from `kFirstVisibleParam` on.
inline constexpr std::size_t kFirstVisibleParam = 4;
struct Page {
  authz::SqlCondition visible{"TRUE", {}};
  std::optional<tracker::Uuid> after;
  std::int64_t limit = 100;
};

/// What the lists' rows show to `authz::to_sql`.
inline constexpr authz::Table kUserTable{"users", "id", "", "id", "", ""};
inline constexpr authz::Table kOrganizationTable{"organizations", "id", "id", "", "", ""};
inline constexpr authz::Table kMemberTable{"organization_members", "user_id", "organization_id", "user_id", "", ""};
inline constexpr authz::Table kGroupTable{"groups", "id", "organization_id", "", "", "group_acl"};
inline constexpr authz::Table kGroupMemberTable{"group_members", "user_id", "organization_id", "user_id", "", ""};

/// A page of groups with those of their members that `visible_members` admits (parameters as of `Page`). It ends early,
/// behind a group at least, rather than hold more than `most_members`.
struct GroupPage {
  Page groups;
  authz::SqlCondition visible_members{"TRUE", {}};
  std::int64_t most_members = 50'000;
};
struct GroupList {
  std::vector<Group> groups;
  bool has_more = false;
};

/// Every change raises the rights version and writes a line of `audit_log` in its own transaction, and none else can
/// happen meanwhile. A list in such a line ends after 500, with the count beside it. Changes answer `serialization` if
/// the row is not as it was `Seen`, `not_found` if what they build on is not there, `conflict` if a name or an id
/// belongs to another. Executors as `PgStore`.
class Directory {
 public:
  explicit Directory(Pool& pool) : pool_(pool) {}

  template <class T>
  using Async = boost::asio::awaitable<tracker::Result<T>>;

  Async<Put> put_user(User user, Seen seen, Author by);
  Async<std::optional<User>> find_user(tracker::Uuid id);
  /// By id.
  Async<std::vector<User>> list_users(Page page);
  /// Ends its memberships, and revokes its tokens and those of the agents of its workspaces.
  Async<Put> delete_user(tracker::Uuid id, Seen seen, Author by);

  Async<Put> put_organization(Organization organization, Seen seen, Author by);
  Async<std::optional<Organization>> find_organization(tracker::Uuid id);
  Async<std::vector<Organization>> list_organizations(Page page);
  /// With its memberships, groups and roles.
  Async<Put> delete_organization(tracker::Uuid id, Author by);

  /// `not_found`: the organization or the user. `serialization` also when a role of the member's is not stored (any
  /// more).
  Async<Put> put_member(Member member, Seen seen, Author by);
  Async<std::optional<Member>> find_member(tracker::Uuid organization, tracker::Uuid user);
  /// By user id.
  Async<std::vector<Member>> list_members(tracker::Uuid organization, Page page);
  /// Ends its being in groups as well.
  Async<Put> delete_member(tracker::Uuid organization, tracker::Uuid user, Seen seen, Author by);

  /// `not_found`: the organization, or one of the members is no member there. `conflict`: the id is another
  /// organization's group, or the name another group's.
  Async<Put> put_group(Group group, Seen seen, Author by);
  Async<std::optional<Group>> find_group(tracker::Uuid organization, tracker::Uuid id);
  Async<GroupList> list_groups(tracker::Uuid organization, GroupPage page);
  /// Which of the users are no members of the organization.
  Async<std::vector<tracker::Uuid>> strangers(tracker::Uuid organization, std::vector<tracker::Uuid> users);
  Async<Put> delete_group(tracker::Uuid organization, tracker::Uuid id, Author by);

  /// `not_found`: the organization. `overloaded`: it has `kMostRoles` already. `is_system` never changes.
  Async<Put> put_role(CustomRole role, Seen seen, Author by);
  Async<std::optional<CustomRole>> find_role(tracker::Uuid organization, std::string name);
  /// All of the organization, by name.
  Async<std::vector<CustomRole>> list_roles(tracker::Uuid organization);
  /// At most `limit` behind the name `after`.
  Async<std::vector<CustomRole>> list_roles(tracker::Uuid organization, std::string after, std::int64_t limit);
  /// Members lose it.
  Async<Put> delete_role(tracker::Uuid organization, std::string name, Author by);

 private:
  Pool& pool_;
};

}  // namespace tally::db
