#include "db/token_store.hpp"

#include <algorithm>

#include "db/detail/directory_rows.hpp"
#include "db/detail/rights.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Errc;
using tracker::Result;

namespace {

constexpr std::chrono::milliseconds kTimeout = detail::kRightsTimeout;

constexpr Query kCreateToken{"create_token", R"sql(
  WITH v AS (UPDATE tallyd.rights_version SET version = version + 1 WHERE one RETURNING version),
  made AS (
    INSERT INTO tallyd.api_tokens (id, secret_sha256, kind, system_subject, user_id, agent_workspace, agent_owner,
                                   agent_template, agent_version, agent_task, no_user_data, scopes, allow_list, name,
                                   created_by, expires_at, version)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, v.version FROM v
     WHERE ($5::uuid IS NULL OR EXISTS (SELECT FROM tallyd.users u WHERE u.id = $5))
       AND ($17::bigint IS NULL
            OR $17 > (SELECT count(*) FROM tallyd.api_tokens t WHERE t.owner_id = $5 AND t.revoked_at IS NULL
                         AND (t.expires_at IS NULL OR t.expires_at > now())))
    ON CONFLICT (id) DO NOTHING
    RETURNING id, created_at, version),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $15, 'create_token', made.id, jsonb_build_object('kind', $3::text, 'subject', $4::text, 'user', $5::uuid,
                                                           'workspace', $6::uuid, 'name', $14::text)
      FROM made)
  SELECT made.created_at, made.version FROM made
)sql"};

constexpr Query kWhyNoToken{"why_no_token", R"sql(
  SELECT EXISTS (SELECT FROM tallyd.api_tokens WHERE id = $1), EXISTS (SELECT FROM tallyd.users WHERE id = $2)
)sql",
                            true};

#define TALLY_TOKEN_COLUMNS                                                                                            \
  "id, secret_sha256, kind, system_subject, user_id, agent_workspace, agent_owner, agent_template, agent_version, "    \
  "agent_task, no_user_data, scopes, allow_list, name, created_by, created_at, expires_at, revoked_at, last_used_at, " \
  "version"

constexpr Query kFindToken{"find_token", "SELECT " TALLY_TOKEN_COLUMNS " FROM tallyd.api_tokens WHERE id = $1", true};

constexpr Query kListTokens{"list_tokens",
                            "SELECT " TALLY_TOKEN_COLUMNS
                            " FROM tallyd.api_tokens"
                            " WHERE $1 OR (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))"
                            " ORDER BY created_at DESC, id",
                            true};

constexpr Query kChangedTokens{"changed_tokens",
                               "SELECT " TALLY_TOKEN_COLUMNS
                               " FROM tallyd.api_tokens WHERE version > " TALLY_CHANGES_SINCE " ORDER BY version",
                               true};

constexpr std::string_view kPageOfTokens = "SELECT " TALLY_TOKEN_COLUMNS R"sql( FROM tallyd.api_tokens
   WHERE ($3 OR (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())))
     AND ($1 = '' OR (created_at, id) < (SELECT b.created_at, b.id FROM tallyd.api_tokens b WHERE b.id = $1)) AND )sql";
#undef TALLY_TOKEN_COLUMNS

constexpr Query kRevokeToken{"revoke_token", R"sql(
  WITH v AS (UPDATE tallyd.rights_version SET version = version + 1
              WHERE one AND EXISTS (SELECT FROM tallyd.api_tokens WHERE id = $1 AND revoked_at IS NULL) RETURNING version),
  gone AS (
    UPDATE tallyd.api_tokens t SET revoked_at = now(), version = v.version FROM v
     WHERE t.id = $1 AND t.revoked_at IS NULL RETURNING t.id),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object) SELECT $2, 'revoke_token', gone.id FROM gone)
  SELECT EXISTS (SELECT FROM tallyd.api_tokens WHERE id = $1)
)sql"};

constexpr Query kTouchTokens{"touch_tokens", R"sql(
  UPDATE tallyd.api_tokens t SET last_used_at = now()
    FROM (SELECT id FROM tallyd.api_tokens WHERE id = ANY ($1) FOR NO KEY UPDATE SKIP LOCKED) q WHERE t.id = q.id
)sql"};

constexpr Query kRightsVersion{"rights_version", R"sql(
  SELECT version, purged_version FROM tallyd.rights_version WHERE one
)sql",
                               true};

constexpr Query kDeletedUsers{
    "deleted_users", "SELECT id FROM tallyd.users_deleted WHERE version > " TALLY_CHANGES_SINCE " ORDER BY version",
    true};

constexpr Query kDeletedRoles{"deleted_roles",
                              "SELECT organization_id, name FROM tallyd.custom_roles_deleted"
                              " WHERE version > " TALLY_CHANGES_SINCE " ORDER BY version",
                              true};

/// Tokens that ended, and the marks of users and roles that were deleted. Their audit lines stay.
constexpr Query kExpireRights{"expire_rights", R"sql(
  WITH tokens AS (
    DELETE FROM tallyd.api_tokens WHERE id = ANY (ARRAY(
      SELECT t.id FROM tallyd.api_tokens t WHERE least(t.revoked_at, t.expires_at) < now() - make_interval(secs => $1)
       ORDER BY least(t.revoked_at, t.expires_at) LIMIT $2))
    RETURNING version),
  users AS (
    DELETE FROM tallyd.users_deleted WHERE id = ANY (ARRAY(
      SELECT d.id FROM tallyd.users_deleted d WHERE d.deleted_at < now() - make_interval(secs => $1)
       ORDER BY d.version LIMIT $2))
    RETURNING version),
  roles AS (
    DELETE FROM tallyd.custom_roles_deleted WHERE ctid = ANY (ARRAY(
      SELECT d.ctid FROM tallyd.custom_roles_deleted d WHERE d.deleted_at < now() - make_interval(secs => $1)
       ORDER BY d.version LIMIT $2))
    RETURNING version),
  gone AS (SELECT version FROM tokens UNION ALL SELECT version FROM users UNION ALL SELECT version FROM roles),
  mark AS (
    UPDATE tallyd.rights_version r
       SET purged_version = greatest(r.purged_version, (SELECT max(gone.version) FROM gone))
     WHERE r.one AND EXISTS (SELECT FROM gone))
  SELECT (SELECT count(*) FROM tokens), (SELECT count(*) FROM gone)
)sql"};

constexpr std::string_view kKinds[] = {"user", "system", "agent"};

std::string_view word(SubjectKind kind) {
  return kKinds[static_cast<std::size_t>(kind)];
}

SubjectKind kind_of(std::string_view text) {
  const auto found = std::find(std::begin(kKinds), std::end(kKinds), text);
  if (found == std::end(kKinds)) throw std::logic_error("unknown kind of token");
  return static_cast<SubjectKind>(found - std::begin(kKinds));
}

/// In the order of the token's columns; the only place that knows it.
Token token_at(const Rows& rows, int row) {
  Token token;
  token.id = rows.text(row, 0);
  const std::string_view hash = rows.text(row, 1);
  std::copy_n(hash.begin(), std::min(hash.size(), token.secret_sha256.size()), token.secret_sha256.begin());
  token.kind = kind_of(rows.text(row, 2));
  token.system_subject = rows.text(row, 3);
  token.user_id = rows.maybe_uuid(row, 4);
  if (token.kind == SubjectKind::agent)
    token.agent = AgentBinding{rows.uuid(row, 5), rows.uuid(row, 6),       rows.uuid(row, 7),
                               rows.uuid(row, 8), rows.maybe_uuid(row, 9), rows.boolean(row, 10)};
  token.scopes = rows.texts(row, 11);
  token.allow_list = rows.texts(row, 12);
  token.name = rows.text(row, 13);
  token.created_by = rows.text(row, 14);
  token.created_at_us = rows.timestamp_us(row, 15);
  token.expires_at_us = rows.maybe_timestamp_us(row, 16);
  token.revoked_at_us = rows.maybe_timestamp_us(row, 17);
  token.last_used_at_us = rows.maybe_timestamp_us(row, 18);
  token.version = rows.integer(row, 19);
  return token;
}

std::vector<Token> tokens_in(const Rows& rows) {
  std::vector<Token> tokens;
  for (int i = 0; i < rows.size(); ++i) tokens.push_back(token_at(rows, i));
  return tokens;
}

Params& add(Params& params, const std::optional<tracker::Uuid>& id) {
  return id ? params.uuid(*id) : params.null_uuid();
}

/// Why nothing was made.
asio::awaitable<Result<Token>> run_why_not(Pool& pool, Token token) {
  Params params;
  params.text(token.id);
  add(params, token.user_id);
  const Result<Rows> rows = co_await pool.fetch(kWhyNoToken, params, kTimeout);
  if (!rows) co_return rows.error();
  if (rows->boolean(0, 0)) co_return Errc::conflict;
  co_return token.user_id && !rows->boolean(0, 1) ? Errc::not_found : Errc::overloaded;
}

asio::awaitable<Result<Token>> run_create(Pool& pool, Token token, std::string actor,
                                          std::optional<std::int64_t> most_of_owner) {
  Params params;
  params.text(token.id).bytea(token.secret_sha256).text(word(token.kind)).text(token.system_subject);
  add(params, token.user_id);
  if (token.agent) {
    params.uuid(token.agent->workspace)
        .uuid(token.agent->owner)
        .uuid(token.agent->template_id)
        .uuid(token.agent->version);
    add(params, token.agent->task).boolean(token.agent->no_user_data);
  } else {
    params.null_uuid().null_uuid().null_uuid().null_uuid().null_uuid().boolean(false);
  }
  params.texts(token.scopes).texts(token.allow_list).text(token.name).text(actor);
  if (token.expires_at_us)
    params.timestamptz(*token.expires_at_us);
  else
    params.null_timestamptz();
  if (most_of_owner)
    params.int8(*most_of_owner);
  else
    params.null_int8();
  Result<Rows> rows = co_await detail::change_rights(pool, kCreateToken, std::move(params));
  if (!rows) co_return rows.error();
  if (rows->empty()) {
    Result<Token> why = co_await run_why_not(pool, std::move(token));
    co_return why;
  }
  token.created_by = std::move(actor);
  token.created_at_us = rows->timestamp_us(0, 0);
  token.version = rows->integer(0, 1);
  co_return token;
}

asio::awaitable<Result<std::optional<Token>>> run_find(Pool& pool, std::string id) {
  Params params;
  params.text(id);
  Result<Rows> rows = co_await pool.fetch(kFindToken, params, kTimeout);
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return std::optional<Token>();
  co_return std::optional<Token>(token_at(*rows, 0));
}

asio::awaitable<Result<std::vector<Token>>> run_list(Pool& pool, bool include_ended) {
  Params params;
  params.boolean(include_ended);
  Result<Rows> rows = co_await pool.fetch(kListTokens, params, kTimeout);
  if (!rows) co_return rows.error();
  co_return tokens_in(*rows);
}

asio::awaitable<Result<std::vector<Token>>> run_list_page(Pool& pool, TokenPage page) {
  const std::string sql =
      std::string(kPageOfTokens) + page.visible.where + " ORDER BY created_at DESC, id DESC LIMIT $2";
  const Query query{"list_tokens_page", sql, true};
  Params params;
  params.text(page.after).int8(page.limit).boolean(page.include_ended);
  for (const std::string& param : page.visible.params) params.literal(param);
  Result<Rows> rows = co_await pool.fetch(query, params, kTimeout);
  if (!rows) co_return rows.error();
  co_return tokens_in(*rows);
}

asio::awaitable<Result<void>> run_revoke(Pool& pool, std::string id, std::string actor) {
  Params params;
  params.text(id).text(actor);
  Result<Rows> rows = co_await detail::change_rights(pool, kRevokeToken, std::move(params));
  if (!rows) co_return rows.error();
  if (!rows->boolean(0, 0)) co_return Errc::not_found;
  co_return Result<void>();
}

asio::awaitable<Result<void>> run_touch(Pool& pool, std::vector<std::string> ids) {
  Params params;
  params.texts(ids);
  Result<Rows> rows = co_await pool.fetch(kTouchTokens, params, kTimeout);
  if (!rows) co_return rows.error();
  co_return Result<void>();
}

/// Not inside the coroutine: GCC 12 destroys the elements of a braced list in a coroutine twice.
std::vector<Statement> changes_since(std::int64_t version) {
  Params after;
  after.int8(version);
  // The version first: rows that are read later can only be newer, and are then read again next time.
  return {{&kRightsVersion, {}},   {&kChangedTokens, after},        {&detail::kChangedUsers, after},
          {&kDeletedUsers, after}, {&detail::kChangedRoles, after}, {&kDeletedRoles, after},
          {&kRightsVersion, {}}};
}

RightsChanges to_changes(const std::vector<Rows>& results, std::int64_t since) {
  RightsChanges changes;
  changes.version = results[0].integer(0, 0);
  changes.everything = since < results[0].integer(0, 1);
  changes.tokens = tokens_in(results[1]);
  changes.users = detail::users_in(results[2]);
  for (int i = 0; i < results[3].size(); ++i) changes.deleted_users.push_back(results[3].uuid(i, 0));
  changes.roles = detail::roles_in(results[4]);
  for (int i = 0; i < results[5].size(); ++i) {
    CustomRole& role = changes.deleted_roles.emplace_back();
    role.organization = results[5].uuid(i, 0);
    role.name = results[5].text(i, 1);
  }
  return changes;
}

asio::awaitable<Result<RightsChanges>> run_changes(Pool& pool, std::int64_t since) {
  const std::vector<Statement> statements = changes_since(since);
  Result<std::vector<Rows>> results = co_await pool.transact(statements, kTimeout);
  if (!results) co_return results.error();
  // Rows went while the others were read: what is missing cannot be told from what never was.
  if (results->front().integer(0, 1) != results->back().integer(0, 1)) co_return Errc::serialization;
  co_return to_changes(*results, since);
}

asio::awaitable<Result<Expired>> run_expire(Pool& pool, std::chrono::seconds retention, std::int64_t most) {
  Params params;
  params.float8(static_cast<double>(retention.count())).int8(most);
  const Result<Rows> rows = co_await detail::change_rights(pool, kExpireRights, std::move(params));
  if (!rows) co_return rows.error();
  co_return Expired{rows->integer(0, 0), rows->integer(0, 1)};
}

}  // namespace

TokenStore::TokenStore(Pool& pool) : pool_(pool) {}

TokenStore::Async<Token> TokenStore::create(Token token, std::string actor, std::optional<std::int64_t> most_of_owner) {
  return detail::on_pool(pool_, run_create(pool_, std::move(token), std::move(actor), most_of_owner));
}

TokenStore::Async<std::optional<Token>> TokenStore::find(std::string id) {
  return detail::on_pool(pool_, run_find(pool_, std::move(id)));
}

TokenStore::Async<std::vector<Token>> TokenStore::list(bool include_ended) {
  return detail::on_pool(pool_, run_list(pool_, include_ended));
}

TokenStore::Async<std::vector<Token>> TokenStore::list(TokenPage page) {
  return detail::on_pool(pool_, run_list_page(pool_, std::move(page)));
}

TokenStore::Async<void> TokenStore::revoke(std::string id, std::string actor) {
  return detail::on_pool(pool_, run_revoke(pool_, std::move(id), std::move(actor)));
}

TokenStore::Async<void> TokenStore::touch(std::vector<std::string> ids) {
  return detail::on_pool(pool_, run_touch(pool_, std::move(ids)));
}

TokenStore::Async<RightsChanges> TokenStore::changes(std::int64_t since) {
  return detail::on_pool(pool_, run_changes(pool_, since));
}

TokenStore::Async<Expired> TokenStore::expire(std::chrono::seconds retention, std::int64_t most) {
  return detail::on_pool(pool_, run_expire(pool_, retention, most));
}

}  // namespace tally::db
