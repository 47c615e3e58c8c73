#pragma once
#include <array>
#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "daemon/auth/caller.hpp"
#include "tracker/clock.hpp"

namespace tally::daemon {

/// The two parts of `tly_<id>_<secret>`; views into the text that was parsed.
struct Bearer {
  std::string_view id;
  std::string_view secret;
};
/// Of an Authorization header: `Bearer tly_<10 base62>_<43 base62>`, the scheme in any letter case.
std::optional<Bearer> parse_bearer(std::string_view authorization);

/// Every token and user this replica has heard of: what requests are checked against, also while the database is away.
/// Kept in a file of the state directory (hashes, never secrets). Thread-safe.
class TokenBook {
 public:
  /// Reads the file if there is one; a damaged one is as good as none.
  /// Callers made ready are kept up to about `prepared_bound`; one that was not needed for long is made anew at its
  /// next request.
  TokenBook(std::string file, const tracker::Clock& clock, std::size_t prepared_bound = 16'384);

  enum class Verdict {
    good,
    refused,  ///< wrong secret, revoked, expired, or its rights no longer expand
    unknown,  ///< no such id here; the database may know it
  };
  struct Answer {
    Verdict verdict = Verdict::unknown;
    std::shared_ptr<const Caller> caller;  ///< only if good
    std::uint64_t learnt = 0;              ///< for `keep`
    bool kept = false;                     ///< the file holds it
  };
  /// Compares hashes in constant time.
  Answer check(const Bearer& bearer) const;

  bool knows(std::string_view id) const;
  /// The caller's roles and scope as they are written now, for `authz::explain`.
  authz::Result<authz::Subject> written_subject(const Caller& caller) const;

  /// Takes over what changed after `version()`, revocations too. Called by one thread.
  void apply(const db::RightsChanges& changes);
  /// The same, as everything there is: the database was restored to an older state, or no longer tells all that
  /// changed. Revocations stay.
  void replace(const db::RightsChanges& everything);
  /// Drops what ended before that (Unix time): the database has dropped it too.
  void drop_ended(std::int64_t before_us);
  /// One token that was just found (and its user): not a new version. An older view replaces nothing.
  void learn(const db::Token& token, const std::optional<db::User>& user);
  /// Revoked on this replica: refused from now on, also when the book hears of the token only now, or once more from a
  /// look-up that saw it good.
  void forget(db::Token token, std::int64_t revoked_at_us);

  /// Tokens that were used for the first time since `start_use_interval`, each once; who asks has them noted.
  std::vector<std::string> take_used();
  void start_use_interval() { ++use_interval_; }
  /// How many callers are kept ready now.
  std::size_t prepared() const;

  /// Rights version up to which everything is known; 0: nothing.
  std::int64_t version() const { return version_.load(); }
  bool dirty() const { return dirty_.load(); }
  /// Writes the file (new file, fsync, rename). False: it could not be written.
  bool save();
  /// The same, unless a save since has brought it to disk: what waits for the disk together is written together.
  /// Afterwards the answers learnt until `learnt` count as kept, also when the file could not be written: that is
  /// logged and tried again, and refuses nobody. Calls of `save` and `keep` must not overlap (the disk thread).
  void keep(std::uint64_t learnt);

 private:
  struct Entry {                           // what a check reads comes first
    std::shared_ptr<const Caller> caller;  ///< made at first use
    bool broken = false;                   ///< its rights do not expand
    bool listed = false;                   ///< in its shard's `prepared`
    bool needed = false;                   ///< asked for since the last look at it
    std::uint32_t noted = 0;               ///< the last interval of use in which it was listed as used
    std::uint64_t learnt = 0;              ///< 0: from the file
    db::Token token;
  };
  struct IdHash {
    using is_transparent = void;
    /// Ids are drawn at random by whoever makes a token, so their own bytes spread well enough.
    std::size_t operator()(std::string_view id) const noexcept {
      if (id.size() < sizeof(std::uint64_t)) return std::hash<std::string_view>{}(id);
      std::uint64_t first, last;
      std::memcpy(&first, id.data(), sizeof first);
      std::memcpy(&last, id.data() + id.size() - sizeof last, sizeof last);
      const std::uint64_t mixed = (first ^ (last << 23 | last >> 41)) * 0x9E3779B97F4A7C15;
      return mixed ^ mixed >> 32;
    }
  };
  struct Shard {
    std::mutex mutex;  ///< guards the rest
    boost::unordered_flat_map<std::string, Entry, IdHash, std::equal_to<>> entries;
    std::vector<std::string> prepared;  ///< ids of the entries with a caller
    std::size_t hand = 0;               ///< where the search for one to let go continues
    std::vector<std::string> used;
    void make_room(std::size_t bound);
  };
  static constexpr std::size_t kShards = 16;

  Shard& shard_of(std::string_view id) const;
  authz::Result<std::shared_ptr<const Caller>> prepare(const db::Token& token) const;
  void drop_callers_of(const std::set<tracker::Uuid>& users);
  void drop_all_but(const std::vector<db::Token>& tokens);
  void load();
  enum class Source {
    file,
    database,
    whole_database,  ///< what it does not hold is no more, and its versions may be lower
  };
  void take_over(const db::RightsChanges& changes, Source source);
  void put(const db::Token& token, Source source);

  std::string file_;
  const tracker::Clock& clock_;
  mutable std::array<Shard, kShards> shards_;
  const std::size_t prepared_bound_;    ///< of one shard
  mutable std::mutex directory_mutex_;  ///< guards `users_` and `roles_`; taken after a shard's, never before
  std::map<tracker::Uuid, db::User> users_;
  std::map<std::string, db::CustomRole> stored_roles_;  // by `name:org`
  CustomRoles roles_;                                   // the same, to be held
  std::atomic<std::uint32_t> use_interval_{1};
  std::atomic<std::int64_t> version_{0};
  std::atomic<bool> dirty_{false};
  std::atomic<std::uint64_t> learnt_{0};  ///< tokens taken over so far
  std::atomic<std::uint64_t> kept_{0};    ///< of those, how many the file holds, or could not be made to hold
};

}  // namespace tally::daemon
