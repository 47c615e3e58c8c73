#include "authz/role.hpp"
#include "db/detail/directory_rows.hpp"
#include "db/directory.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Result;
using tracker::Uuid;

namespace {

constexpr Query kPutOrganization{"put_organization", R"sql(
  WITH was AS (SELECT o.version, o.name, o.display_name FROM tallyd.organizations o WHERE o.id = $1),
  problem AS (
    SELECT CASE WHEN $4::bigint <> coalesce((SELECT was.version FROM was), 0) THEN 'changed'
                WHEN EXISTS (SELECT FROM tallyd.groups g WHERE g.id = $1) THEN 'taken' END AS word),
  v AS (UPDATE tallyd.rights_version r SET version = r.version + 1 FROM problem
         WHERE r.one AND problem.word IS NULL RETURNING r.version),
  put AS (
    INSERT INTO tallyd.organizations (id, name, display_name, version) SELECT $1, $2, $3, v.version FROM v
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, display_name = excluded.display_name, updated_at = now(),
                                   version = excluded.version),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $5, 'put_organization', $1::text,
           jsonb_build_object('name', $2::text, 'name_before', (SELECT was.name FROM was), 'display_name', $3::text,
                              'display_name_before', (SELECT was.display_name FROM was),
                              'allowed_by', nullif($6, '')::jsonb)
      FROM v RETURNING detail)
  SELECT problem.word, (SELECT v.version FROM v), NOT EXISTS (SELECT FROM was), (SELECT note.detail::text FROM note)
    FROM problem
)sql"};

constexpr Query kFindOrganization{"find_organization", R"sql(
  SELECT id, name, display_name, version FROM tallyd.organizations WHERE id = $1
)sql",
                                  true};

constexpr std::string_view kListOrganizations =
    "SELECT id, name, display_name, version FROM tallyd.organizations WHERE id > $1 AND ";

// Its rows go with it; replicas must hear of the users and roles that this touches.
constexpr Query kDeleteOrganization{"delete_organization", R"sql(
  WITH was AS (SELECT o.name FROM tallyd.organizations o WHERE o.id = $1),
  problem AS (SELECT CASE WHEN NOT EXISTS (SELECT FROM was) THEN 'absent' END AS word),
  v AS (UPDATE tallyd.rights_version r SET version = r.version + 1 FROM problem
         WHERE r.one AND problem.word IS NULL RETURNING r.version),
  members AS (
    UPDATE tallyd.users u SET version = v.version FROM v
     WHERE u.id IN (SELECT m.user_id FROM tallyd.organization_members m WHERE m.organization_id = $1) RETURNING u.id),
  roles AS (
    INSERT INTO tallyd.custom_roles_deleted (organization_id, name, version)
    SELECT c.organization_id, c.name, v.version FROM tallyd.custom_roles c, v WHERE c.organization_id = $1
    ON CONFLICT (organization_id, name) DO UPDATE SET version = excluded.version, deleted_at = now()),
  gone AS (DELETE FROM tallyd.organizations o USING v WHERE o.id = $1),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $2, 'delete_organization', $1::text,
           jsonb_build_object('name', was.name, 'members', (SELECT count(*) FROM members),
                              'member_roles', (
                                SELECT coalesce(jsonb_object_agg(x.user_id, x.roles), '{}')
                                  FROM (SELECT m.user_id, m.roles FROM tallyd.organization_members m
                                         WHERE m.organization_id = $1 ORDER BY 1 LIMIT 500) x),
                              'groups', (
                                SELECT coalesce(jsonb_object_agg(x.id, x.name), '{}')
                                  FROM (SELECT g.id, g.name FROM tallyd.groups g
                                         WHERE g.organization_id = $1 ORDER BY 1 LIMIT 500) x),
                              'group_count', (SELECT count(*) FROM tallyd.groups g WHERE g.organization_id = $1),
                              'group_members', (
                                SELECT coalesce(jsonb_object_agg(y.group_id, y.users), '{}')
                                  FROM (SELECT x.group_id, jsonb_agg(x.user_id) AS users
                                          FROM (SELECT gm.group_id, gm.user_id FROM tallyd.group_members gm
                                                 WHERE gm.organization_id = $1 ORDER BY 1, 2 LIMIT 500) x
                                         GROUP BY x.group_id) y),
                              'group_member_count', (
                                SELECT count(*) FROM tallyd.group_members gm WHERE gm.organization_id = $1),
                              'roles', (
                                SELECT coalesce(jsonb_agg(x.name), '[]')
                                  FROM (SELECT c.name FROM tallyd.custom_roles c
                                         WHERE c.organization_id = $1 ORDER BY 1 LIMIT 500) x),
                              'role_count', (
                                SELECT count(*) FROM tallyd.custom_roles c WHERE c.organization_id = $1),
                              'allowed_by', nullif($3, '')::jsonb)
      FROM v, was RETURNING detail)
  SELECT problem.word, (SELECT v.version FROM v), false, (SELECT note.detail::text FROM note) FROM problem
)sql"};

constexpr Query kPutMember{"put_member", R"sql(
  WITH was AS (SELECT m.version, m.roles FROM tallyd.organization_members m
                WHERE m.organization_id = $1 AND m.user_id = $2),
  problem AS (
    SELECT CASE WHEN NOT EXISTS (SELECT FROM tallyd.organizations o WHERE o.id = $1)
                  OR NOT EXISTS (SELECT FROM tallyd.users u WHERE u.id = $2) THEN 'absent'
                WHEN $4::bigint <> coalesce((SELECT was.version FROM was), 0)
                  OR NOT $7::text[] <@ ARRAY(SELECT c.name FROM tallyd.custom_roles c WHERE c.organization_id = $1)
                THEN 'changed' END AS word),
  v AS (UPDATE tallyd.rights_version r SET version = r.version + 1 FROM problem
         WHERE r.one AND problem.word IS NULL RETURNING r.version),
  put AS (
    INSERT INTO tallyd.organization_members (organization_id, user_id, roles, version)
    SELECT $1, $2, $3, v.version FROM v
    ON CONFLICT (organization_id, user_id) DO UPDATE SET roles = excluded.roles, updated_at = now(),
                                                         version = excluded.version),
  holder AS (UPDATE tallyd.users u SET version = v.version FROM v WHERE u.id = $2),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $5, 'put_member', $2::text, jsonb_build_object('organization', $1::uuid, 'roles', $3::text[],
                                                         'roles_before', (SELECT was.roles FROM was),
                                                         'allowed_by', nullif($6, '')::jsonb)
      FROM v RETURNING detail)
  SELECT problem.word, (SELECT v.version FROM v), NOT EXISTS (SELECT FROM was), (SELECT note.detail::text FROM note)
    FROM problem
)sql"};

#define TALLY_MEMBER_COLUMNS                  \
  "organization_id, user_id, roles, version," \
  " (SELECT u.username FROM tallyd.users u WHERE u.id = user_id)"

constexpr Query kFindMember{"find_member",
                            "SELECT " TALLY_MEMBER_COLUMNS
                            " FROM tallyd.organization_members WHERE organization_id = $1 AND user_id = $2",
                            true};
constexpr std::string_view kListMembers =
    "SELECT " TALLY_MEMBER_COLUMNS " FROM tallyd.organization_members WHERE organization_id = $3 AND user_id > $1 AND ";
#undef TALLY_MEMBER_COLUMNS

constexpr Query kDeleteMember{"delete_member", R"sql(
  WITH was AS (SELECT m.version, m.roles FROM tallyd.organization_members m
                WHERE m.organization_id = $1 AND m.user_id = $2),
  problem AS (
    SELECT CASE WHEN NOT EXISTS (SELECT FROM was) THEN 'absent'
                WHEN $3::bigint <> (SELECT was.version FROM was) THEN 'changed' END AS word),
  v AS (UPDATE tallyd.rights_version r SET version = r.version + 1 FROM problem
         WHERE r.one AND problem.word IS NULL RETURNING r.version),
  gone AS (DELETE FROM tallyd.organization_members m USING v WHERE m.organization_id = $1 AND m.user_id = $2),
  holder AS (UPDATE tallyd.users u SET version = v.version FROM v WHERE u.id = $2),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $4, 'delete_member', $2::text,
           jsonb_build_object('organization', $1::uuid, 'roles_before', was.roles,
                              'groups', (
                                SELECT coalesce(jsonb_agg(x.group_id), '[]')
                                  FROM (SELECT g.group_id FROM tallyd.group_members g
                                         WHERE g.organization_id = $1 AND g.user_id = $2 ORDER BY 1 LIMIT 500) x),
                              'group_count', (SELECT count(*) FROM tallyd.group_members g
                                               WHERE g.organization_id = $1 AND g.user_id = $2),
                              'allowed_by', nullif($5, '')::jsonb)
      FROM v, was RETURNING detail)
  SELECT problem.word, (SELECT v.version FROM v), false, (SELECT note.detail::text FROM note) FROM problem
)sql"};

Organization organization_at(const Rows& rows, int row) {
  Organization organization;
  organization.id = rows.uuid(row, 0);
  organization.name = rows.text(row, 1);
  organization.display_name = rows.text(row, 2);
  organization.version = rows.integer(row, 3);
  return organization;
}

Member member_at(const Rows& rows, int row) {
  Member member;
  member.organization = rows.uuid(row, 0);
  member.user = rows.uuid(row, 1);
  member.roles = rows.texts(row, 2);
  member.version = rows.integer(row, 3);
  member.username = rows.text(row, 4);
  return member;
}

/// Those of its roles that the program does not know by itself: they must be there when they are given, or they would
/// come to mean whatever is stored under their names one day.
std::vector<std::string> kept_in_store(const Member& member) {
  const std::string organization = member.organization.to_string();
  std::vector<std::string> roles;
  for (const std::string& role : member.roles)
    if (!authz::expand_role(authz::RoleName{role, organization})) roles.push_back(role);
  return roles;
}

asio::awaitable<Result<Put>> run_put_organization(Pool& pool, Organization organization, Seen seen, Author by) {
  Params params;
  params.uuid(organization.id).text(organization.name).text(organization.display_name);
  detail::add_author(detail::add_seen(params, seen), by);
  const Result<Rows> rows = co_await detail::change_rights(pool, kPutOrganization, std::move(params));
  co_return detail::put_of(rows);
}

asio::awaitable<Result<std::optional<Organization>>> run_find_organization(Pool& pool, Uuid id) {
  Params params;
  params.uuid(id);
  const Result<Rows> rows = co_await pool.fetch(kFindOrganization, params, detail::kRightsTimeout);
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return std::optional<Organization>();
  co_return std::optional<Organization>(organization_at(*rows, 0));
}

asio::awaitable<Result<std::vector<Organization>>> run_list_organizations(Pool& pool, Page page) {
  const detail::List list = detail::make_list(kListOrganizations, " ORDER BY id LIMIT $2", page, Uuid{});
  const Query query{"list_organizations", list.sql, true};
  const Result<Rows> rows = co_await pool.fetch(query, list.params, detail::kRightsTimeout);
  if (!rows) co_return rows.error();
  std::vector<Organization> organizations;
  for (int i = 0; i < rows->size(); ++i) organizations.push_back(organization_at(*rows, i));
  co_return organizations;
}

asio::awaitable<Result<Put>> run_delete_organization(Pool& pool, Uuid id, Author by) {
  Params params;
  params.uuid(id);
  detail::add_author(params, by);
  const Result<Rows> rows = co_await detail::change_rights(pool, kDeleteOrganization, std::move(params));
  co_return detail::put_of(rows);
}

asio::awaitable<Result<Put>> run_put_member(Pool& pool, Member member, Seen seen, Author by) {
  Params params;
  params.uuid(member.organization).uuid(member.user).texts(member.roles);
  detail::add_author(detail::add_seen(params, seen), by).texts(kept_in_store(member));
  const Result<Rows> rows = co_await detail::change_rights(pool, kPutMember, std::move(params));
  co_return detail::put_of(rows);
}

asio::awaitable<Result<std::optional<Member>>> run_find_member(Pool& pool, Uuid organization, Uuid user) {
  Params params;
  params.uuid(organization).uuid(user);
  const Result<Rows> rows = co_await pool.fetch(kFindMember, params, detail::kRightsTimeout);
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return std::optional<Member>();
  co_return std::optional<Member>(member_at(*rows, 0));
}

asio::awaitable<Result<std::vector<Member>>> run_list_members(Pool& pool, Uuid organization, Page page) {
  const detail::List list = detail::make_list(kListMembers, " ORDER BY user_id LIMIT $2", page, organization);
  const Query query{"list_members", list.sql, true};
  const Result<Rows> rows = co_await pool.fetch(query, list.params, detail::kRightsTimeout);
  if (!rows) co_return rows.error();
  std::vector<Member> members;
  for (int i = 0; i < rows->size(); ++i) members.push_back(member_at(*rows, i));
  co_return members;
}

asio::awaitable<Result<Put>> run_delete_member(Pool& pool, Uuid organization, Uuid user, Seen seen, Author by) {
  Params params;
  params.uuid(organization).uuid(user);
  detail::add_author(detail::add_seen(params, seen), by);
  const Result<Rows> rows = co_await detail::change_rights(pool, kDeleteMember, std::move(params));
  co_return detail::put_of(rows);
}

}  // namespace

Directory::Async<Put> Directory::put_organization(Organization organization, Seen seen, Author by) {
  return detail::on_pool(pool_, run_put_organization(pool_, std::move(organization), seen, std::move(by)));
}

Directory::Async<std::optional<Organization>> Directory::find_organization(Uuid id) {
  return detail::on_pool(pool_, run_find_organization(pool_, id));
}

Directory::Async<std::vector<Organization>> Directory::list_organizations(Page page) {
  return detail::on_pool(pool_, run_list_organizations(pool_, std::move(page)));
}

Directory::Async<Put> Directory::delete_organization(Uuid id, Author by) {
  return detail::on_pool(pool_, run_delete_organization(pool_, id, std::move(by)));
}

Directory::Async<Put> Directory::put_member(Member member, Seen seen, Author by) {
  return detail::on_pool(pool_, run_put_member(pool_, std::move(member), seen, std::move(by)));
}

Directory::Async<std::optional<Member>> Directory::find_member(Uuid organization, Uuid user) {
  return detail::on_pool(pool_, run_find_member(pool_, organization, user));
}

Directory::Async<std::vector<Member>> Directory::list_members(Uuid organization, Page page) {
  return detail::on_pool(pool_, run_list_members(pool_, organization, std::move(page)));
}

Directory::Async<Put> Directory::delete_member(Uuid organization, Uuid user, Seen seen, Author by) {
  return detail::on_pool(pool_, run_delete_member(pool_, organization, user, seen, std::move(by)));
}

}  // namespace tally::db
