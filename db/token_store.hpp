#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "db/directory.hpp"
#include "db/pool.hpp"
#include "tracker/uuid.hpp"

namespace tally::db {

enum class SubjectKind { user, system, agent };

/// What an agent token is bound to.
struct AgentBinding {
  tracker::Uuid workspace;
  tracker::Uuid owner;
  tracker::Uuid template_id;
  tracker::Uuid version;
  std::optional<tracker::Uuid> task;
  bool no_user_data = false;
  friend bool operator==(const AgentBinding&, const AgentBinding&) = default;
};

struct Token {     // what every request asks of one comes first
  std::string id;  ///< 10 characters of base62
  std::array<std::uint8_t, 32> secret_sha256{};
  std::optional<std::int64_t> expires_at_us;
  std::optional<std::int64_t> revoked_at_us;
  SubjectKind kind = SubjectKind::user;
  std::string system_subject;            ///< kind system: key of system_subjects.json
  std::optional<tracker::Uuid> user_id;  ///< kind user
  std::optional<AgentBinding> agent;     ///< kind agent
  std::vector<std::string> scopes;
  std::vector<std::string> allow_list;
  std::string name;
  std::string created_by;
  std::int64_t created_at_us = 0;  ///< set by the database
  std::optional<std::int64_t> last_used_at_us;
  std::int64_t version = 0;  ///< rights version of its last change
};

/// A token that was just made.
struct Made {
  Token token;
  std::string detail;  ///< JSON, as `audit_log` has it
};

/// Rights that changed after a version.
struct RightsChanges {
  std::int64_t version = 0;  ///< everything up to here is included
  /// They begin at nothing: what is not among them is no more. Asked for what came after a version whose traces are
  /// gone.
  bool everything = false;
  std::vector<Token> tokens;  ///< revoked ones too
  std::vector<User> users;    ///< with what memberships and groups they have now
  std::vector<tracker::Uuid> deleted_users;
  std::vector<CustomRole> roles;
  std::vector<CustomRole> deleted_roles;  ///< organization and name alone
};

/// All that changed after a version, on the way: each step takes a page of every kind of rows that is not yet read to
/// its end, in a transaction and with a deadline of its own, so that a large directory only takes more steps. Rows that
/// change meanwhile move behind all others and are read again.
struct RightsReading {
  explicit RightsReading(std::int64_t after = 0) : since(after) {}

  std::int64_t since;
  RightsChanges changes;
  bool done = false;

  /// Where the next page begins. For the store alone.
  struct Place {
    std::int64_t version = 0;
    std::string key;
    bool more = true;
  };
  static constexpr std::size_t kKinds = 5;
  std::array<Place, kKinds> places;
  std::optional<std::int64_t> purged;  ///< nothing: not begun
};

/// What the tokens' rows show to `authz::to_sql`. Their ids are no uuids, so that no allow list can name one.
inline constexpr authz::Table kTokenTable{"api_tokens", "NULL::uuid", "", "owner_id", "", ""};

/// One page of tokens, newest first: those that `visible` admits (its parameters from `kFirstVisibleParam` on), made
/// before the token `after`, at most `limit`.
struct TokenPage {
  authz::SqlCondition visible{"TRUE", {}};
  std::string after;
  std::int64_t limit = 100;
  bool include_ended = false;
};

/// What one chunk of the retention removed.
struct Expired {
  std::int64_t tokens = 0;
  std::int64_t rows = 0;  ///< tokens and marks of what was deleted; 0: nothing is left to do
};

/// Tokens, and what changed of all rights. Each change raises the one-row rights version, which every heartbeat
/// answers, and writes an audit line. Executors as `PgStore`.
class TokenStore {
 public:
  explicit TokenStore(Pool& pool);

  template <class T>
  using Async = boost::asio::awaitable<tracker::Result<T>>;

  /// `conflict`: the id is taken. `not_found`: a user token for an unknown user. `overloaded`: its owner has
  /// `most_of_owner` good ones already. Expiry and the rest as given.
  Async<Made> create(Token token, Author by, std::optional<std::int64_t> most_of_owner = {});
  Async<std::optional<Token>> find(std::string id);
  /// Newest first, revoked and expired ones only if asked.
  Async<std::vector<Token>> list(bool include_ended = false);
  Async<std::vector<Token>> list(TokenPage page);
  /// `not_found`; revoking twice is no error. Answers the audit line's detail as JSON; nothing the second time.
  Async<std::string> revoke(std::string id, Author by);
  /// Used just now.
  Async<void> touch(std::vector<std::string> ids);
  /// Everything when `since` is 0. `serialization`: rows went meanwhile; ask again.
  Async<RightsChanges> changes(std::int64_t since);
  /// The same, step by step until it is `done`.
  Async<RightsReading> read_on(RightsReading reading);
  /// Tokens that are revoked, and were after that version: what must not wait for a long reading.
  Async<std::vector<Token>> revoked_since(std::int64_t version);
  /// Removes at most `most` tokens that ended longer ago, and as many marks of deleted users and roles. No change of
  /// rights: nobody needs to hear of it, and who fell behind learns it from `changes`.
  Async<Expired> expire(std::chrono::seconds retention, std::int64_t most);

 private:
  Pool& pool_;
};

}  // namespace tally::db
