#include <algorithm>

#include "db/detail/directory_rows.hpp"
#include "db/directory.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Result;
using tracker::Uuid;

namespace {

constexpr Query kPutGroup{"put_group", R"sql(
  WITH was AS (SELECT g.version, g.organization_id, g.name FROM tallyd.groups g WHERE g.id = $2),
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
           jsonb_build_object('organization', $1::uuid, 'name', $3::text, 'name_before', (SELECT was.name FROM was),
                              'added', (SELECT coalesce(jsonb_agg(x.user_id), '[]')
                                          FROM (SELECT come.user_id FROM come ORDER BY 1 LIMIT 500) x),
                              'added_count', (SELECT count(*) FROM come),
                              'removed', (SELECT coalesce(jsonb_agg(x.user_id), '[]')
                                            FROM (SELECT gone.user_id FROM gone ORDER BY 1 LIMIT 500) x),
                              'removed_count', (SELECT count(*) FROM gone),
                              'allowed_by', nullif($7, '')::jsonb)
      FROM v RETURNING detail)
  SELECT problem.word, (SELECT v.version FROM v), NOT EXISTS (SELECT FROM was), (SELECT note.detail::text FROM note)
    FROM problem
)sql"};

#define TALLY_GROUP_COLUMNS              \
  "organization_id, id, name, version, " \
  "ARRAY(SELECT x.user_id::text FROM tallyd.group_members x WHERE x.group_id = id ORDER BY x.user_id)"

constexpr Query kFindGroup{
    "find_group", "SELECT " TALLY_GROUP_COLUMNS " FROM tallyd.groups WHERE organization_id = $1 AND id = $2", true};
#undef TALLY_GROUP_COLUMNS

constexpr std::string_view kListGroups =
    "SELECT organization_id, id, name, version FROM tallyd.groups WHERE organization_id = $3 AND id > $1 AND ";

// Group by group, in the order of $1, and no further than the limit: a page of large groups is not read whole.
constexpr std::string_view kListGroupMembersHead =
    "SELECT wanted.nth, member.user_id"
    "  FROM (SELECT w.group_id, w.nth FROM unnest($1::uuid[]) WITH ORDINALITY AS w(group_id, nth) ORDER BY w.nth) "
    "wanted"
    " CROSS JOIN LATERAL (SELECT x.user_id FROM tallyd.group_members x"
    "                      WHERE x.group_id = wanted.group_id AND x.organization_id = $3 AND ";
constexpr std::string_view kListGroupMembersTail =
    " ORDER BY x.user_id LIMIT $2) member ORDER BY wanted.nth, member.user_id LIMIT $2";

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
           jsonb_build_object('organization', $1::uuid, 'name', was.name, 'members', (SELECT count(*) FROM holders),
                              'removed', (SELECT coalesce(jsonb_agg(x.id), '[]')
                                            FROM (SELECT holders.id FROM holders ORDER BY 1 LIMIT 500) x),
                              'allowed_by', nullif($4, '')::jsonb)
      FROM v, was RETURNING detail)
  SELECT problem.word, (SELECT v.version FROM v), false, (SELECT note.detail::text FROM note) FROM problem
)sql"};

constexpr Query kStrangers{"strangers", R"sql(
  SELECT w.user_id FROM unnest($2::uuid[]) AS w(user_id)
   WHERE NOT EXISTS (SELECT FROM tallyd.organization_members m WHERE m.organization_id = $1 AND m.user_id = w.user_id)
)sql",
                           true};

/// Without its members.
Group bare_group_at(const Rows& rows, int row) {
  Group group;
  group.organization = rows.uuid(row, 0);
  group.id = rows.uuid(row, 1);
  group.name = rows.text(row, 2);
  group.version = rows.integer(row, 3);
  return group;
}

Group group_at(const Rows& rows, int row) {
  Group group = bare_group_at(rows, row);
  for (const std::string& member : rows.texts(row, 4)) group.members.push_back(Uuid::parse(member).value());
  return group;
}

asio::awaitable<Result<Put>> run_put_group(Pool& pool, Group group, Seen seen, Author by) {
  Params params;
  params.uuid(group.organization).uuid(group.id).text(group.name).uuids(group.members);
  detail::add_author(detail::add_seen(params, seen), by);
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

detail::List members_of(const std::vector<Group>& groups, const Uuid& organization, const GroupPage& page) {
  std::vector<Uuid> ids;
  for (const Group& group : groups) ids.push_back(group.id);
  detail::List list;
  list.sql = std::string(kListGroupMembersHead) + page.visible_members.where + std::string(kListGroupMembersTail);
  list.params.uuids(ids).int8(page.most_members + 1).uuid(organization);
  for (const std::string& param : page.visible_members.params) list.params.literal(param);
  return list;
}

/// Members up to the limit; the group in which it was reached waits for the next page.
void fill(GroupList& list, const Rows& members, std::int64_t most) {
  for (int i = 0; i < members.size(); ++i)
    list.groups[static_cast<std::size_t>(members.integer(i, 0) - 1)].members.push_back(members.uuid(i, 1));
  if (members.size() <= most) return;
  // No group that was put has as many members as a page holds.
  const auto complete = std::max<std::size_t>(static_cast<std::size_t>(members.integer(members.size() - 1, 0) - 1), 1);
  if (complete == list.groups.size()) return;
  list.groups.resize(complete);
  list.has_more = true;
}

asio::awaitable<Result<GroupList>> run_list_groups(Pool& pool, Uuid organization, GroupPage page) {
  ++page.groups.limit;
  const detail::List first = detail::make_list(kListGroups, " ORDER BY id LIMIT $2", page.groups, organization);
  const Query query{"list_groups", first.sql, true};
  const Result<Rows> rows = co_await pool.fetch(query, first.params, detail::kRightsTimeout);
  if (!rows) co_return rows.error();
  GroupList list;
  for (int i = 0; i < rows->size(); ++i) list.groups.push_back(bare_group_at(*rows, i));
  list.has_more = rows->size() == page.groups.limit;
  if (list.has_more) list.groups.pop_back();
  if (list.groups.empty() || page.visible_members.never()) co_return list;
  const detail::List second = members_of(list.groups, organization, page);
  const Query member_query{"list_group_members", second.sql, true};
  const Result<Rows> members = co_await pool.fetch(member_query, second.params, detail::kRightsTimeout);
  if (!members) co_return members.error();
  fill(list, *members, page.most_members);
  co_return list;
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

asio::awaitable<Result<Put>> run_delete_group(Pool& pool, Uuid organization, Uuid id, Author by) {
  Params params;
  params.uuid(organization).uuid(id);
  detail::add_author(params, by);
  const Result<Rows> rows = co_await detail::change_rights(pool, kDeleteGroup, std::move(params));
  co_return detail::put_of(rows);
}

}  // namespace

Directory::Async<Put> Directory::put_group(Group group, Seen seen, Author by) {
  return detail::on_pool(pool_, run_put_group(pool_, std::move(group), seen, std::move(by)));
}

Directory::Async<std::optional<Group>> Directory::find_group(Uuid organization, Uuid id) {
  return detail::on_pool(pool_, run_find_group(pool_, organization, id));
}

Directory::Async<GroupList> Directory::list_groups(Uuid organization, GroupPage page) {
  return detail::on_pool(pool_, run_list_groups(pool_, organization, std::move(page)));
}

Directory::Async<std::vector<Uuid>> Directory::strangers(Uuid organization, std::vector<Uuid> users) {
  return detail::on_pool(pool_, run_strangers(pool_, organization, std::move(users)));
}

Directory::Async<Put> Directory::delete_group(Uuid organization, Uuid id, Author by) {
  return detail::on_pool(pool_, run_delete_group(pool_, organization, id, std::move(by)));
}

}  // namespace tally::db
