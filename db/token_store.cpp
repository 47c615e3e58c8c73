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
            OR $17 > (SELECT count(*) FROM tallyd.api_tokens t
                       WHERE (t.owner_id = $5 OR ($4 <> '' AND t.system_subject = $4)) AND t.revoked_at IS NULL
                         AND (t.expires_at IS NULL OR t.expires_at > now())))
    ON CONFLICT (id) DO NOTHING
    RETURNING id, created_at, version),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $15, 'create_token', made.id,
           jsonb_build_object('kind', $3::text, 'subject', $4::text, 'user', $5::uuid, 'workspace', $6::uuid,
                              'owner', $7::uuid, 'template', $8::uuid, 'template_version', $9::uuid, 'task', $10::uuid,
                              'no_user_data', $11::boolean, 'scopes', $12::text[], 'allow_list', $13::text[],
                              'name', $14::text, 'expires_at', $16::timestamptz, 'allowed_by', nullif($18, '')::jsonb)
      FROM made RETURNING detail)
  SELECT made.created_at, made.version, note.detail::text FROM made, note
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
                               " FROM tallyd.api_tokens"
                               " WHERE (version, id) > ($1, $2::text) ORDER BY version, id LIMIT $3",
                               true};

constexpr Query kRevokedTokens{"revoked_tokens",
                               "SELECT " TALLY_TOKEN_COLUMNS
                               " FROM tallyd.api_tokens"
                               " WHERE revoked_at IS NOT NULL AND (version, id) > ($1, $2::text)"
                               " ORDER BY version, id LIMIT $3",
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
     WHERE t.id = $1 AND t.revoked_at IS NULL
    RETURNING t.id, t.kind, t.system_subject, t.user_id, t.agent_workspace, t.agent_owner, t.scopes, t.allow_list,
              t.name, t.expires_at),
  note AS (
    INSERT INTO tallyd.audit_log (actor, action, object, detail)
    SELECT $2, 'revoke_token', g.id,
           jsonb_build_object('kind', g.kind, 'subject', g.system_subject, 'user', g.user_id,
                              'workspace', g.agent_workspace, 'owner', g.agent_owner, 'scopes', g.scopes,
                              'allow_list', g.allow_list, 'name', g.name, 'expires_at', g.expires_at,
                              'allowed_by', nullif($3, '')::jsonb)
      FROM gone g RETURNING detail)
  SELECT EXISTS (SELECT FROM tallyd.api_tokens WHERE id = $1), (SELECT note.detail::text FROM note)
)sql"};

constexpr Query kTouchTokens{"touch_tokens", R"sql(
  UPDATE tallyd.api_tokens t SET last_used_at = now()
    FROM (SELECT id FROM tallyd.api_tokens WHERE id = ANY ($1) FOR NO KEY UPDATE SKIP LOCKED) q WHERE t.id = q.id
)sql"};

constexpr Query kRightsVersion{"rights_version", R"sql(
  SELECT version, purged_version FROM tallyd.rights_version WHERE one
)sql",
                               true};

constexpr Query kDeletedUsers{"deleted_users",
                              "SELECT id, version FROM tallyd.users_deleted"
                              " WHERE (version, id) > ($1, $2::uuid) ORDER BY version, id LIMIT $3",
                              true};

constexpr Query kDeletedRoles{"deleted_roles",
                              "SELECT organization_id, name, version FROM tallyd.custom_roles_deleted"
                              " WHERE (version, organization_id, name) > ($1, " TALLY_ROLE_KEY(
                                  "$2") ") ORDER BY version, organization_id, name LIMIT $3",
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
asio::awaitable<Result<Made>> run_why_not(Pool& pool, Token token) {
  Params params;
  params.text(token.id);
  add(params, token.user_id);
  const Result<Rows> rows = co_await pool.fetch(kWhyNoToken, params, kTimeout);
  if (!rows) co_return rows.error();
  if (rows->boolean(0, 0)) co_return Errc::conflict;
  co_return token.user_id && !rows->boolean(0, 1) ? Errc::not_found : Errc::overloaded;
}

asio::awaitable<Result<Made>> run_create(Pool& pool, Token token, Author by,
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
  params.texts(token.scopes).texts(token.allow_list).text(token.name).text(by.actor);
  if (token.expires_at_us)
    params.timestamptz(*token.expires_at_us);
  else
    params.null_timestamptz();
  if (most_of_owner)
    params.int8(*most_of_owner);
  else
    params.null_int8();
  params.text(by.allowed_by);
  Result<Rows> rows = co_await detail::change_rights(pool, kCreateToken, std::move(params));
  if (!rows) co_return rows.error();
  if (rows->empty()) {
    Result<Made> why = co_await run_why_not(pool, std::move(token));
    co_return why;
  }
  Made made;
  made.token = std::move(token);
  made.token.created_by = std::move(by.actor);
  made.token.created_at_us = rows->timestamp_us(0, 0);
  made.token.version = rows->integer(0, 1);
  made.detail = rows->text(0, 2);
  co_return made;
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

asio::awaitable<Result<std::string>> run_revoke(Pool& pool, std::string id, Author by) {
  Params params;
  params.text(id).text(by.actor).text(by.allowed_by);
  Result<Rows> rows = co_await detail::change_rights(pool, kRevokeToken, std::move(params));
  if (!rows) co_return rows.error();
  if (!rows->boolean(0, 0)) co_return Errc::not_found;
  co_return rows->maybe_text(0, 1).value_or("");
}

asio::awaitable<Result<void>> run_touch(Pool& pool, std::vector<std::string> ids) {
  Params params;
  params.texts(ids);
  Result<Rows> rows = co_await pool.fetch(kTouchTokens, params, kTimeout);
  if (!rows) co_return rows.error();
  co_return Result<void>();
}

// A page of users takes about 0.1 s; each is within its own deadline.
constexpr int kPage = 2000;
constexpr const char* kNoUuid = "00000000-0000-0000-0000-000000000000";

using Place = RightsReading::Place;

void take_tokens(const Rows& rows, RightsChanges& changes, Place& place) {
  for (Token& token : tokens_in(rows)) {
    place.version = token.version;
    place.key = token.id;
    changes.tokens.push_back(std::move(token));
  }
}

void take_users(const Rows& rows, RightsChanges& changes, Place& place) {
  for (User& user : detail::users_in(rows)) {
    place.version = user.version;
    place.key = user.id.to_string();
    changes.users.push_back(std::move(user));
  }
}

void take_deleted_users(const Rows& rows, RightsChanges& changes, Place& place) {
  for (int i = 0; i < rows.size(); ++i) {
    const tracker::Uuid& id = changes.deleted_users.emplace_back(rows.uuid(i, 0));
    place.version = rows.integer(i, 1);
    place.key = id.to_string();
  }
}

void take_roles(const Rows& rows, RightsChanges& changes, Place& place) {
  for (CustomRole& role : detail::roles_in(rows)) {
    place.version = role.version;
    place.key = role.name + ':' + role.organization.to_string();
    changes.roles.push_back(std::move(role));
  }
}

void take_deleted_roles(const Rows& rows, RightsChanges& changes, Place& place) {
  for (int i = 0; i < rows.size(); ++i) {
    CustomRole& role = changes.deleted_roles.emplace_back();
    role.organization = rows.uuid(i, 0);
    role.name = rows.text(i, 1);
    place.version = rows.integer(i, 2);
    place.key = role.name + ':' + role.organization.to_string();
  }
}

/// One kind of rows, in the order of their versions.
struct Kind {
  const Query* query;
  std::string first_key;  ///< below every other
  void (*take)(const Rows&, RightsChanges&, Place&);
};
const std::array<Kind, RightsReading::kKinds>& kinds() {
  static const std::array<Kind, RightsReading::kKinds> all{{
      {&kChangedTokens, "", take_tokens},
      {&detail::kChangedUsers, kNoUuid, take_users},
      {&kDeletedUsers, kNoUuid, take_deleted_users},
      {&detail::kChangedRoles, std::string(":") + kNoUuid, take_roles},
      {&kDeletedRoles, std::string(":") + kNoUuid, take_deleted_roles},
  }};
  return all;
}

Params page_behind(const Place& place) {
  Params params;
  params.int8(place.version).literal(place.key).int8(kPage);
  return params;
}

void begin_behind(RightsReading& reading, std::int64_t version) {
  // Versions are whole numbers: behind all of this one is where the next begins.
  for (std::size_t i = 0; i < RightsReading::kKinds; ++i) reading.places[i] = {version + 1, kinds()[i].first_key, true};
}

/// The version first: rows that are read later can only be newer, and are then read again next time. And last: rows
/// may go while the others are read.
std::vector<Statement> next_pages(const RightsReading& reading) {
  std::vector<Statement> statements(1);
  statements.front().query = &kRightsVersion;
  for (std::size_t i = 0; i < RightsReading::kKinds; ++i) {
    if (!reading.places[i].more) continue;
    Statement& page = statements.emplace_back();
    page.query = kinds()[i].query;
    page.params = page_behind(reading.places[i]);
  }
  statements.push_back(statements.front());
  return statements;
}

void take_pages(RightsReading& reading, const std::vector<Rows>& results) {
  std::size_t next = 1;
  reading.done = true;
  for (std::size_t i = 0; i < RightsReading::kKinds; ++i) {
    Place& place = reading.places[i];
    if (!place.more) continue;
    const Rows& rows = results[next++];
    kinds()[i].take(rows, reading.changes, place);
    place.more = rows.size() == kPage;
    if (place.more) reading.done = false;
  }
}

asio::awaitable<Result<RightsReading>> run_read_on(Pool& pool, RightsReading reading) {
  const bool begins = !reading.purged;
  if (begins) begin_behind(reading, reading.since);
  const std::vector<Statement> statements = next_pages(reading);
  const Result<std::vector<Rows>> results = co_await pool.transact(statements, kTimeout);
  if (!results) co_return results.error();
  const std::int64_t purged = results->front().integer(0, 1);
  if (begins) {
    reading.purged = purged;
    reading.changes.version = results->front().integer(0, 0);
    reading.changes.everything = reading.since < purged;
    if (reading.changes.everything && reading.since > 0) {
      begin_behind(reading, 0);
      co_return std::move(reading);
    }
  }
  // Rows went while the others were read: what is missing cannot be told from what never was.
  if (purged != *reading.purged || results->back().integer(0, 1) != purged) co_return Errc::serialization;
  take_pages(reading, *results);
  co_return std::move(reading);
}

asio::awaitable<Result<RightsChanges>> run_changes(Pool& pool, std::int64_t since) {
  RightsReading reading(since);
  while (!reading.done) {
    Result<RightsReading> next = co_await run_read_on(pool, std::move(reading));
    if (!next) co_return next.error();
    reading = std::move(*next);
  }
  co_return std::move(reading.changes);
}

asio::awaitable<Result<std::vector<Token>>> run_revoked_since(Pool& pool, std::int64_t version) {
  RightsChanges found;
  Place place{version + 1, "", true};
  while (place.more) {
    const Params params = page_behind(place);
    const Result<Rows> rows = co_await pool.fetch(kRevokedTokens, params, kTimeout);
    if (!rows) co_return rows.error();
    take_tokens(*rows, found, place);
    place.more = rows->size() == kPage;
  }
  co_return std::move(found.tokens);
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

TokenStore::Async<Made> TokenStore::create(Token token, Author by, std::optional<std::int64_t> most_of_owner) {
  return detail::on_pool(pool_, run_create(pool_, std::move(token), std::move(by), most_of_owner));
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

TokenStore::Async<std::string> TokenStore::revoke(std::string id, Author by) {
  return detail::on_pool(pool_, run_revoke(pool_, std::move(id), std::move(by)));
}

TokenStore::Async<void> TokenStore::touch(std::vector<std::string> ids) {
  return detail::on_pool(pool_, run_touch(pool_, std::move(ids)));
}

TokenStore::Async<RightsChanges> TokenStore::changes(std::int64_t since) {
  return detail::on_pool(pool_, run_changes(pool_, since));
}

TokenStore::Async<RightsReading> TokenStore::read_on(RightsReading reading) {
  return detail::on_pool(pool_, run_read_on(pool_, std::move(reading)));
}

TokenStore::Async<std::vector<Token>> TokenStore::revoked_since(std::int64_t version) {
  return detail::on_pool(pool_, run_revoked_since(pool_, version));
}

TokenStore::Async<Expired> TokenStore::expire(std::chrono::seconds retention, std::int64_t most) {
  return detail::on_pool(pool_, run_expire(pool_, retention, most));
}

}  // namespace tally::db
