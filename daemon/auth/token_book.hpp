#pragma once
#include <array>
#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
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
  TokenBook(std::string file, const tracker::Clock& clock);

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

  /// Takes over changed tokens and users, revoked ones too.
  void apply(const db::RightsChanges& changes);
  /// One token that was just made or found (and its user): not a new version.
  void learn(const db::Token& token, const std::optional<db::User>& user);
  /// Revoked on this replica: refused from now on.
  void forget(std::string_view id, std::int64_t revoked_at_us);

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
  struct Entry {
    db::Token token;
    std::shared_ptr<const Caller> caller;  ///< made at first use
    bool broken = false;                   ///< its rights do not expand
    std::uint64_t learnt = 0;              ///< 0: from the file
  };
  struct IdHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view id) const noexcept { return std::hash<std::string_view>{}(id); }
  };
  struct Shard {
    std::mutex mutex;  ///< guards `entries`
    boost::unordered_flat_map<std::string, Entry, IdHash, std::equal_to<>> entries;
  };
  static constexpr std::size_t kShards = 16;

  Shard& shard_of(std::string_view id) const;
  std::optional<db::User> user(const tracker::Uuid& id) const;
  void drop_callers_of(const tracker::Uuid& user);
  void load();
  enum class Source { file, database };
  void put(const db::Token& token, Source source);

  std::string file_;
  const tracker::Clock& clock_;
  mutable std::array<Shard, kShards> shards_;
  mutable std::mutex users_mutex_;  ///< guards `users_`
  std::map<tracker::Uuid, db::User> users_;
  std::atomic<std::int64_t> version_{0};
  std::atomic<bool> dirty_{false};
  std::atomic<std::uint64_t> learnt_{0};  ///< tokens taken over so far
  std::atomic<std::uint64_t> kept_{0};    ///< of those, how many the file holds, or could not be made to hold
};

}  // namespace tally::daemon
