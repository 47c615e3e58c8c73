#include "db/detail/directory_rows.hpp"
#include "db/directory.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Result;
using tracker::Uuid;

namespace {

constexpr Query kPutRole{"put_role", R"sql(
  WITH was AS (SELECT c.* FROM tallyd.custom_roles c WHERE c.organization_id = $1 AND c.name = $2),
  problem AS (
    SELECT CASE WHEN NOT EXISTS (SELECT FROM tallyd.organizations o WHERE o.id = $1) THEN 'absent'
                WHEN $7::bigint <> coalesce((SELECT was.version FROM was), 0) THEN 'changed'
                WHEN NOT EXISTS (SELECT FROM was)
                 AND $10 <= (SELECT count(*) FROM tallyd.custom_roles c WHERE c.organization_id = $1) THEN 'full' END AS word),
  v AS (UPDATE tallyd.rights_version r SET version = r.version + 1 FROM problem
         WHERE r.one AND problem.word IS NULL RETURNING r.version),
  put AS (
    INSERT INTO tallyd.custom_roles (organization_id, name, display_name, is_system, org_permissions,
                                     member_permissions, version)
    SELECT $1, $2, $3, $4, $5, $6, v.version FROM v
    ON CONFLICT (organization_id, name) DO UPDATE
       SET display_name = excluded.display_name, org_permissions = excluded.org_permissions,
           member_permissions = excluded.member_permissions, updated_at = now(), version = excluded.version),
  back AS (DELETE FROM tallyd.custom_roles_deleted d USING v WHERE d.organization_id = $1 AND d.name = $2),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $8, 'put_role', $2 || ':' || $1,
           jsonb_build_object('is_system', $4::boolean, 'org', $5::text[], 'member', $6::text[],
                              'org_before', (SELECT was.org_permissions FROM was),
                              'member_before', (SELECT was.member_permissions FROM was),
                              'allowed_by', nullif($9, '')::jsonb)
      FROM v RETURNING detail)
  SELECT problem.word, (SELECT v.version FROM v), NOT EXISTS (SELECT FROM was), (SELECT note.detail::text FROM note)
    FROM problem
)sql"};

#define TALLY_ROLE_COLUMNS \
  "organization_id, name, display_name, is_system, org_permissions, member_permissions, version"

constexpr Query kFindRole{
    "find_role", "SELECT " TALLY_ROLE_COLUMNS " FROM tallyd.custom_roles WHERE organization_id = $1 AND name = $2",
    true};
// By their bytes, whatever the database takes for an order.
constexpr Query kListRoles{"list_roles",
                           "SELECT " TALLY_ROLE_COLUMNS
                           " FROM tallyd.custom_roles WHERE organization_id = $1 AND name COLLATE \"C\" > $2"
                           " ORDER BY name COLLATE \"C\" LIMIT $3",
                           true};

constexpr Query kDeleteRole{"delete_role", R"sql(
  WITH was AS (SELECT c.* FROM tallyd.custom_roles c WHERE c.organization_id = $1 AND c.name = $2),
  problem AS (SELECT CASE WHEN NOT EXISTS (SELECT FROM was) THEN 'absent' END AS word),
  v AS (UPDATE tallyd.rights_version r SET version = r.version + 1 FROM problem
         WHERE r.one AND problem.word IS NULL RETURNING r.version),
  members AS (
    UPDATE tallyd.organization_members m
       SET roles = array_remove(m.roles, $2::text), version = v.version, updated_at = now() FROM v
     WHERE m.organization_id = $1 AND $2 = ANY (m.roles) RETURNING m.user_id),
  holders AS (
    UPDATE tallyd.users u SET version = v.version FROM v WHERE u.id IN (SELECT members.user_id FROM members)),
  mark AS (
    INSERT INTO tallyd.custom_roles_deleted (organization_id, name, version) SELECT $1, $2, v.version FROM v
    ON CONFLICT (organization_id, name) DO UPDATE SET version = excluded.version, deleted_at = now()),
  gone AS (DELETE FROM tallyd.custom_roles c USING v WHERE c.organization_id = $1 AND c.name = $2),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $3, 'delete_role', $2 || ':' || $1,
           jsonb_build_object('org_before', was.org_permissions, 'member_before', was.member_permissions,
                              'held_by', (SELECT coalesce(jsonb_agg(x.user_id), '[]')
                                            FROM (SELECT members.user_id FROM members ORDER BY 1 LIMIT 500) x),
                              'holder_count', (SELECT count(*) FROM members),
                              'allowed_by', nullif($4, '')::jsonb)
      FROM v, was RETURNING detail)
  SELECT problem.word, (SELECT v.version FROM v), false, (SELECT note.detail::text FROM note) FROM problem
)sql"};

CustomRole role_at(const Rows& rows, int row) {
  CustomRole role;
  role.organization = rows.uuid(row, 0);
  role.name = rows.text(row, 1);
  role.display_name = rows.text(row, 2);
  role.is_system = rows.boolean(row, 3);
  role.org_permissions = rows.texts(row, 4);
  role.member_permissions = rows.texts(row, 5);
  role.version = rows.integer(row, 6);
  return role;
}

asio::awaitable<Result<Put>> run_put_role(Pool& pool, CustomRole role, Seen seen, Author by) {
  Params params;
  params.uuid(role.organization)
      .text(role.name)
      .text(role.display_name)
      .boolean(role.is_system)
      .texts(role.org_permissions)
      .texts(role.member_permissions);
  detail::add_author(detail::add_seen(params, seen), by).int8(kMostRoles);
  const Result<Rows> rows = co_await detail::change_rights(pool, kPutRole, std::move(params));
  co_return detail::put_of(rows);
}

asio::awaitable<Result<std::optional<CustomRole>>> run_find_role(Pool& pool, Uuid organization, std::string name) {
  Params params;
  params.uuid(organization).text(name);
  const Result<Rows> rows = co_await pool.fetch(kFindRole, params, detail::kRightsTimeout);
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return std::optional<CustomRole>();
  co_return std::optional<CustomRole>(role_at(*rows, 0));
}

asio::awaitable<Result<std::vector<CustomRole>>> run_list_roles(Pool& pool, Uuid organization, std::string after,
                                                                std::int64_t limit) {
  Params params;
  params.uuid(organization).text(after).int8(limit);
  const Result<Rows> rows = co_await pool.fetch(kListRoles, params, detail::kRightsTimeout);
  if (!rows) co_return rows.error();
  co_return detail::roles_in(*rows);
}

asio::awaitable<Result<Put>> run_delete_role(Pool& pool, Uuid organization, std::string name, Author by) {
  Params params;
  params.uuid(organization).text(name);
  detail::add_author(params, by);
  const Result<Rows> rows = co_await detail::change_rights(pool, kDeleteRole, std::move(params));
  co_return detail::put_of(rows);
}

}  // namespace

namespace detail {

const Query kChangedRoles{"changed_roles",
                          "SELECT " TALLY_ROLE_COLUMNS
                          " FROM tallyd.custom_roles"
                          " WHERE (version, organization_id, name) > ($1, " TALLY_ROLE_KEY(
                              "$2") ") ORDER BY version, organization_id, name LIMIT $3",
                          true};
#undef TALLY_ROLE_COLUMNS

std::vector<CustomRole> roles_in(const Rows& rows) {
  std::vector<CustomRole> roles;
  for (int i = 0; i < rows.size(); ++i) roles.push_back(role_at(rows, i));
  return roles;
}

}  // namespace detail

Directory::Async<Put> Directory::put_role(CustomRole role, Seen seen, Author by) {
  return detail::on_pool(pool_, run_put_role(pool_, std::move(role), seen, std::move(by)));
}

Directory::Async<std::optional<CustomRole>> Directory::find_role(Uuid organization, std::string name) {
  return detail::on_pool(pool_, run_find_role(pool_, organization, std::move(name)));
}

Directory::Async<std::vector<CustomRole>> Directory::list_roles(Uuid organization) {
  return list_roles(organization, {}, kMostRoles);
}

Directory::Async<std::vector<CustomRole>> Directory::list_roles(Uuid organization, std::string after,
                                                                std::int64_t limit) {
  return detail::on_pool(pool_, run_list_roles(pool_, organization, std::move(after), limit));
}

Directory::Async<Put> Directory::delete_role(Uuid organization, std::string name, Author by) {
  return detail::on_pool(pool_, run_delete_role(pool_, organization, std::move(name), std::move(by)));
}

}  // namespace tally::db
