#include "db/detail/directory_rows.hpp"
#include "db/directory.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Result;
using tracker::Uuid;

namespace {

constexpr Query kPutGroup{"put_group", R"sql(
  WITH was AS (SELECT g.version, g.organization_id FROM tallyd.groups g WHERE g.id = $2),
  wanted AS (SELECT DISTINCT w.user_id FROM unnest($4::uuid[]) AS w(user_id)),
  problem AS (
    SELECT CASE WHEN NOT EXISTS (SELECT FROM tallyd.organizations o WHERE o.id = $1) THEN 'absent'
                WHEN EXISTS (SELECT FROM was WHERE was.organization_id <> $1)
                  OR EXISTS (SELECT FROM tallyd.organizations o WHERE o.id = $2) THEN 'taken'
                WHEN $5::bigint <> coalesce((SELECT was.version FROM was), 0) THEN 'changed'
                WHEN EXISTS (SELECT FROM wanted WHERE NOT EXISTS (
                       SELECT FROM tallyd.organization_members m
                        WHERE m.organization_id = $1 AND m.user_id = wanted.user_id)) THEN 'absent' END AS word),
  v AS (UPDATE tallyd.rights_version r SET version = r.version + 1 FROM problem
         WHERE r.one AND problem.word IS NULL RETURNING r.version),
  put AS (
    INSERT INTO tallyd.groups (organization_id, id, name, version) SELECT $1, $2, $3, v.version FROM v
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, updated_at = now(), version = excluded.version),
  gone AS (
    DELETE FROM tallyd.group_members x USING v
     WHERE x.group_id = $2 AND x.user_id NOT IN (SELECT wanted.user_id FROM wanted) RETURNING x.user_id),
  come AS (
    INSERT INTO tallyd.group_members (organization_id, group_id, user_id)
    SELECT $1, $2, wanted.user_id FROM wanted, v
    ON CONFLICT DO NOTHING RETURNING user_id),
  holders AS (
    UPDATE tallyd.users u SET version = v.version FROM v
     WHERE u.id IN (SELECT gone.user_id FROM gone UNION ALL SELECT come.user_id FROM come)),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $6, 'put_group', $2::text,
           jsonb_build_object('organization', $1::uuid, 'name', $3::text,
                              'added', (SELECT coalesce(jsonb_agg(come.user_id), '[]') FROM come),
                              'removed', (SELECT coalesce(jsonb_agg(gone.user_id), '[]') FROM gone))
      FROM v)
  SELECT problem.word, (SELECT v.version FROM v), NOT EXISTS (SELECT FROM was) FROM problem
)sql"};

#define TALLY_GROUP_COLUMNS              \
  "organization_id, id, name, version, " \
  "ARRAY(SELECT x.user_id::text FROM tallyd.group_members x WHERE x.group_id = id ORDER BY x.user_id)"

constexpr Query kFindGroup{
    "find_group", "SELECT " TALLY_GROUP_COLUMNS " FROM tallyd.groups WHERE organization_id = $1 AND id = $2", true};
constexpr std::string_view kListGroups =
    "SELECT " TALLY_GROUP_COLUMNS " FROM tallyd.groups WHERE organization_id = $3 AND id > $1 AND ";
#undef TALLY_GROUP_COLUMNS

constexpr Query kDeleteGroup{"delete_group", R"sql(
  WITH was AS (SELECT g.name FROM tallyd.groups g WHERE g.organization_id = $1 AND g.id = $2),
  problem AS (SELECT CASE WHEN NOT EXISTS (SELECT FROM was) THEN 'absent' END AS word),
  v AS (UPDATE tallyd.rights_version r SET version = r.version + 1 FROM problem
         WHERE r.one AND problem.word IS NULL RETURNING r.version),
  holders AS (
    UPDATE tallyd.users u SET version = v.version FROM v
     WHERE u.id IN (SELECT x.user_id FROM tallyd.group_members x WHERE x.group_id = $2) RETURNING u.id),
  gone AS (DELETE FROM tallyd.groups g USING v WHERE g.id = $2),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $3, 'delete_group', $2::text,
           jsonb_build_object('organization', $1::uuid, 'name', was.name, 'members', (SELECT count(*) FROM holders))
      FROM v, was)
  SELECT problem.word, (SELECT v.version FROM v), false FROM problem
)sql"};

constexpr Query kStrangers{"strangers", R"sql(
  SELECT w.user_id FROM unnest($2::uuid[]) AS w(user_id)
   WHERE NOT EXISTS (SELECT FROM tallyd.organization_members m WHERE m.organization_id = $1 AND m.user_id = w.user_id)
)sql",
                           true};

Group group_at(const Rows& rows, int row) {
  Group group;
  group.organization = rows.uuid(row, 0);
  group.id = rows.uuid(row, 1);
  group.name = rows.text(row, 2);
  group.version = rows.integer(row, 3);
  for (const std::string& member : rows.texts(row, 4)) group.members.push_back(Uuid::parse(member).value());
  return group;
}

asio::awaitable<Result<Put>> run_put_group(Pool& pool, Group group, Seen seen, std::string actor) {
  Params params;
  params.uuid(group.organization).uuid(group.id).text(group.name).uuids(group.members);
  detail::add_seen(params, seen).text(actor);
  const Result<Rows> rows = co_await detail::change_rights(pool, kPutGroup, std::move(params));
  co_return detail::put_of(rows);
}

asio::awaitable<Result<std::optional<Group>>> run_find_group(Pool& pool, Uuid organization, Uuid id) {
  Params params;
  params.uuid(organization).uuid(id);
  const Result<Rows> rows = co_await pool.fetch(kFindGroup, params, detail::kRightsTimeout);
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return std::optional<Group>();
  co_return std::optional<Group>(group_at(*rows, 0));
}

asio::awaitable<Result<std::vector<Group>>> run_list_groups(Pool& pool, Uuid organization, Page page) {
  const detail::List list = detail::make_list(kListGroups, " ORDER BY id LIMIT $2", page, organization);
  const Query query{"list_groups", list.sql, true};
  const Result<Rows> rows = co_await pool.fetch(query, list.params, detail::kRightsTimeout);
  if (!rows) co_return rows.error();
  std::vector<Group> groups;
  for (int i = 0; i < rows->size(); ++i) groups.push_back(group_at(*rows, i));
  co_return groups;
}

asio::awaitable<Result<std::vector<Uuid>>> run_strangers(Pool& pool, Uuid organization, std::vector<Uuid> users) {
  Params params;
  params.uuid(organization).uuids(users);
  const Result<Rows> rows = co_await pool.fetch(kStrangers, params, detail::kRightsTimeout);
  if (!rows) co_return rows.error();
  std::vector<Uuid> strangers;
  for (int i = 0; i < rows->size(); ++i) strangers.push_back(rows->uuid(i, 0));
  co_return strangers;
}

asio::awaitable<Result<std::int64_t>> run_delete_group(Pool& pool, Uuid organization, Uuid id, std::string actor) {
  Params params;
  params.uuid(organization).uuid(id).text(actor);
  const Result<Rows> rows = co_await detail::change_rights(pool, kDeleteGroup, std::move(params));
  co_return detail::version_of(rows);
}

}  // namespace

Directory::Async<Put> Directory::put_group(Group group, Seen seen, std::string actor) {
  return detail::on_pool(pool_, run_put_group(pool_, std::move(group), seen, std::move(actor)));
}

Directory::Async<std::optional<Group>> Directory::find_group(Uuid organization, Uuid id) {
  return detail::on_pool(pool_, run_find_group(pool_, organization, id));
}

Directory::Async<std::vector<Group>> Directory::list_groups(Uuid organization, Page page) {
  return detail::on_pool(pool_, run_list_groups(pool_, organization, std::move(page)));
}

Directory::Async<std::vector<Uuid>> Directory::strangers(Uuid organization, std::vector<Uuid> users) {
  return detail::on_pool(pool_, run_strangers(pool_, organization, std::move(users)));
}

Directory::Async<std::int64_t> Directory::delete_group(Uuid organization, Uuid id, std::string actor) {
  return detail::on_pool(pool_, run_delete_group(pool_, organization, id, std::move(actor)));
}

}  // namespace tally::db
