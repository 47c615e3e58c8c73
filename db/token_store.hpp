#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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

struct Token {
  std::string id;  ///< 10 characters of base62
  std::array<std::uint8_t, 32> secret_sha256{};
  SubjectKind kind = SubjectKind::user;
  std::string system_subject;            ///< kind system: key of system_subjects.json
  std::optional<tracker::Uuid> user_id;  ///< kind user
  std::optional<AgentBinding> agent;     ///< kind agent
  std::vector<std::string> scopes;
  std::vector<std::string> allow_list;
  std::string name;
  std::string created_by;
  std::int64_t created_at_us = 0;  ///< set by the database
  std::optional<std::int64_t> expires_at_us;
  std::optional<std::int64_t> revoked_at_us;
  std::optional<std::int64_t> last_used_at_us;
  std::int64_t version = 0;  ///< rights version of its last change
};

/// Users with their site roles; organizations come with the directory.
struct User {
  tracker::Uuid id;
  std::string username;
  std::string email;
  std::vector<std::string> roles;
  std::int64_t version = 0;
};

/// Rights that changed after a version. A user that is gone is in `deleted_users`.
struct RightsChanges {
  std::int64_t version = 0;   ///< everything up to here is included
  std::vector<Token> tokens;  ///< revoked ones too
  std::vector<User> users;
  std::vector<tracker::Uuid> deleted_users;
};

/// Tokens and users. Each change raises the one-row rights version, which every heartbeat answers, and writes an audit
/// line. Executors as `PgStore`.
class TokenStore {
 public:
  explicit TokenStore(Pool& pool);

  template <class T>
  using Async = boost::asio::awaitable<tracker::Result<T>>;

  /// `conflict`: the id is taken. `not_found`: a user token for an unknown user. Expiry and the rest as given.
  Async<Token> create(Token token, std::string actor);
  Async<std::optional<Token>> find(std::string id);
  /// Newest first, revoked and expired ones only if asked.
  Async<std::vector<Token>> list(bool include_ended = false);
  /// `not_found`; revoking twice is no error.
  Async<void> revoke(std::string id, std::string actor);
  Async<void> touch(std::vector<std::string> ids);
  /// Everything when `since` is 0.
  Async<RightsChanges> changes(std::int64_t since);

  /// True: created. `conflict`: the username belongs to another user.
  Async<bool> put_user(User user, std::string actor);
  Async<std::optional<User>> find_user(tracker::Uuid id);
  Async<std::vector<User>> list_users();
  /// Revokes the user's tokens as well. `not_found`.
  Async<void> delete_user(tracker::Uuid id, std::string actor);

 private:
  Pool& pool_;
};

}  // namespace tally::db
