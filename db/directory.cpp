#include "db/directory.hpp"

#include "db/detail/directory_rows.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Errc;
using tracker::Result;
using tracker::Uuid;

#define TALLY_USER_COLUMNS                                                                                     \
  "id, username, email, roles, version,"                                                                       \
  " ARRAY(SELECT r.role || ':' || m.organization_id FROM tallyd.organization_members m,"                       \
  "              unnest(ARRAY['organization-member'] || m.roles) AS r(role) WHERE m.user_id = id ORDER BY 1)," \
  " ARRAY(SELECT g.group_id::text FROM tallyd.group_members g WHERE g.user_id = id ORDER BY 1)"

namespace {

constexpr Query kFindUser{"find_user", "SELECT " TALLY_USER_COLUMNS " FROM tallyd.users WHERE id = $1", true};
constexpr std::string_view kListUsers = "SELECT " TALLY_USER_COLUMNS " FROM tallyd.users WHERE id > $1 AND ";

User user_at(const Rows& rows, int row) {
  User user;
  user.id = rows.uuid(row, 0);
  user.username = rows.text(row, 1);
  user.email = rows.text(row, 2);
  user.roles = rows.texts(row, 3);
  user.version = rows.integer(row, 4);
  user.org_roles = rows.texts(row, 5);
  user.groups = rows.texts(row, 6);
  return user;
}

}  // namespace

namespace detail {

const Query kChangedUsers{"changed_users",
                          "SELECT " TALLY_USER_COLUMNS
                          " FROM tallyd.users"
                          " WHERE (version, id) > ($1, $2::uuid) ORDER BY version, id LIMIT $3",
                          true};
#undef TALLY_USER_COLUMNS

std::vector<User> users_in(const Rows& rows) {
  std::vector<User> users;
  for (int i = 0; i < rows.size(); ++i) users.push_back(user_at(rows, i));
  return users;
}

Result<Put> put_of(const Result<Rows>& rows) {
  if (!rows) {
    // The change looked for what it builds on while nothing could move; only a unique name is left to refuse it.
    return rows.error() == Errc::data_refused ? make_error_code(Errc::conflict) : rows.error();
  }
  if (!rows->is_null(0, 0)) {
    const std::string_view problem = rows->text(0, 0);
    return make_error_code(problem == "changed" ? Errc::serialization
                           : problem == "taken" ? Errc::conflict
                           : problem == "full"  ? Errc::overloaded
                                                : Errc::not_found);
  }
  return Put{rows->boolean(0, 2), rows->integer(0, 1), std::string(rows->text(0, 3))};
}

List make_list(std::string_view head, std::string_view tail, const Page& page, const Uuid& organization) {
  List list;
  list.sql = std::string(head) + page.visible.where + std::string(tail);
  list.params.uuid(page.after.value_or(Uuid{})).int8(page.limit).uuid(organization);
  for (const std::string& param : page.visible.params) list.params.literal(param);
  return list;
}

}  // namespace detail

namespace {

constexpr Query kPutUser{"put_user", R"sql(
  WITH was AS (SELECT u.version, u.username, u.roles FROM tallyd.users u WHERE u.id = $1),
  problem AS (
    SELECT CASE WHEN $5::bigint <> coalesce((SELECT was.version FROM was), 0) THEN 'changed' END AS word),
  v AS (UPDATE tallyd.rights_version r SET version = r.version + 1 FROM problem
         WHERE r.one AND problem.word IS NULL RETURNING r.version),
  put AS (
    INSERT INTO tallyd.users (id, username, email, roles, version)
    SELECT $1, $2, $3, $4, v.version FROM v
    ON CONFLICT (id) DO UPDATE SET username = excluded.username, email = excluded.email, roles = excluded.roles,
                                   updated_at = now(), version = excluded.version),
  back AS (DELETE FROM tallyd.users_deleted d USING v WHERE d.id = $1),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $6, 'put_user', $1::text,
           jsonb_build_object('username', $2::text, 'username_before', (SELECT was.username FROM was),
                              'roles', $4::text[], 'roles_before', (SELECT was.roles FROM was),
                              'allowed_by', nullif($7, '')::jsonb)
      FROM v RETURNING detail)
  SELECT problem.word, (SELECT v.version FROM v), NOT EXISTS (SELECT FROM was), (SELECT note.detail::text FROM note)
    FROM problem
)sql"};

constexpr Query kDeleteUser{"delete_user", R"sql(
  WITH was AS (SELECT u.version, u.username, u.roles FROM tallyd.users u WHERE u.id = $1),
  problem AS (
    SELECT CASE WHEN NOT EXISTS (SELECT FROM was) THEN 'absent'
                WHEN $2::bigint <> (SELECT was.version FROM was) THEN 'changed' END AS word),
  v AS (UPDATE tallyd.rights_version r SET version = r.version + 1 FROM problem
         WHERE r.one AND problem.word IS NULL RETURNING r.version),
  gone AS (DELETE FROM tallyd.users u USING v WHERE u.id = $1),
  mark AS (
    INSERT INTO tallyd.users_deleted (id, version) SELECT $1, v.version FROM v
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, deleted_at = now()),
  tokens AS (
    UPDATE tallyd.api_tokens t SET revoked_at = now(), version = v.version FROM v
     WHERE t.owner_id = $1 AND t.revoked_at IS NULL RETURNING t.id),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $3, 'delete_user', $1::text,
           jsonb_build_object('username', was.username, 'roles_before', was.roles,
                              'organizations', (
                                SELECT coalesce(jsonb_object_agg(x.organization_id, x.roles), '{}')
                                  FROM (SELECT m.organization_id, m.roles FROM tallyd.organization_members m
                                         WHERE m.user_id = $1 ORDER BY 1 LIMIT 500) x),
                              'organization_count', (
                                SELECT count(*) FROM tallyd.organization_members m WHERE m.user_id = $1),
                              'groups', (
                                SELECT coalesce(jsonb_agg(x.group_id), '[]')
                                  FROM (SELECT g.group_id FROM tallyd.group_members g
                                         WHERE g.user_id = $1 ORDER BY 1 LIMIT 500) x),
                              'group_count', (SELECT count(*) FROM tallyd.group_members g WHERE g.user_id = $1),
                              'tokens', (
                                SELECT coalesce(jsonb_agg(x.id), '[]')
                                  FROM (SELECT tokens.id FROM tokens ORDER BY 1 LIMIT 500) x),
                              'tokens_revoked', (SELECT count(*) FROM tokens),
                              'allowed_by', nullif($4, '')::jsonb)
      FROM v, was RETURNING detail)
  SELECT problem.word, (SELECT v.version FROM v), false, (SELECT note.detail::text FROM note) FROM problem
)sql"};

asio::awaitable<Result<Put>> run_put_user(Pool& pool, User user, Seen seen, Author by) {
  Params params;
  params.uuid(user.id).text(user.username).text(user.email).texts(user.roles);
  detail::add_author(detail::add_seen(params, seen), by);
  const Result<Rows> rows = co_await detail::change_rights(pool, kPutUser, std::move(params));
  co_return detail::put_of(rows);
}

asio::awaitable<Result<std::optional<User>>> run_find_user(Pool& pool, Uuid id) {
  Params params;
  params.uuid(id);
  const Result<Rows> rows = co_await pool.fetch(kFindUser, params, detail::kRightsTimeout);
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return std::optional<User>();
  co_return std::optional<User>(user_at(*rows, 0));
}

asio::awaitable<Result<std::vector<User>>> run_list_users(Pool& pool, Page page) {
  const detail::List list = detail::make_list(kListUsers, " ORDER BY id LIMIT $2", page, Uuid{});
  const Query query{"list_users", list.sql, true};
  const Result<Rows> rows = co_await pool.fetch(query, list.params, detail::kRightsTimeout);
  if (!rows) co_return rows.error();
  co_return detail::users_in(*rows);
}

asio::awaitable<Result<Put>> run_delete_user(Pool& pool, Uuid id, Seen seen, Author by) {
  Params params;
  params.uuid(id);
  detail::add_author(detail::add_seen(params, seen), by);
  const Result<Rows> rows = co_await detail::change_rights(pool, kDeleteUser, std::move(params));
  co_return detail::put_of(rows);
}

}  // namespace

Directory::Async<Put> Directory::put_user(User user, Seen seen, Author by) {
  return detail::on_pool(pool_, run_put_user(pool_, std::move(user), seen, std::move(by)));
}

Directory::Async<std::optional<User>> Directory::find_user(Uuid id) {
  return detail::on_pool(pool_, run_find_user(pool_, id));
}

Directory::Async<std::vector<User>> Directory::list_users(Page page) {
  return detail::on_pool(pool_, run_list_users(pool_, std::move(page)));
}

Directory::Async<Put> Directory::delete_user(Uuid id, Seen seen, Author by) {
  return detail::on_pool(pool_, run_delete_user(pool_, id, seen, std::move(by)));
}

}  // namespace tally::db
