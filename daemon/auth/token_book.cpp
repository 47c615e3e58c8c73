#include "daemon/auth/token_book.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <tuple>
#include <utility>

#include "daemon/auth/detail/book_file.hpp"
#include "daemon/log.hpp"

namespace tally::daemon {
namespace {

constexpr std::size_t kIdLength = 10;
constexpr std::size_t kSecretLength = 43;

constexpr auto kBase62 = [] {
  std::array<bool, 256> known{};
  for (const char c : std::string_view("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
    known[static_cast<unsigned char>(c)] = true;
  return known;
}();

/// Looks at every character whatever it finds: no branch that cannot be foreseen.
bool is_base62(std::string_view text) {
  bool all = true;
  for (const char c : text) all &= kBase62[static_cast<unsigned char>(c)];
  return all;
}

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b;
         });
}

/// Whether they allow the same: what the file holds of a token, but for its version.
bool same_rights(const db::Token& a, const db::Token& b) {
  const auto rights = [](const db::Token& token) {
    return std::tie(token.id, token.secret_sha256, token.kind, token.system_subject, token.user_id, token.agent,
                    token.scopes, token.allow_list, token.expires_at_us, token.revoked_at_us);
  };
  return rights(a) == rights(b);
}

/// The functions of SHA-256 itself: around one block OpenSSL 3's EVP costs more than the hash, and every request pays
/// it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
std::array<std::uint8_t, 32> sha256(std::string_view text) {
  SHA256_CTX context;
  std::array<std::uint8_t, 32> digest;
  SHA256_Init(&context);
  SHA256_Update(&context, text.data(), text.size());
  SHA256_Final(digest.data(), &context);
  return digest;
}
#pragma GCC diagnostic pop

}  // namespace

std::optional<Bearer> parse_bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer";
  if (authorization.size() < kScheme.size() + 1 ||
      !equals_ignoring_case(authorization.substr(0, kScheme.size()), kScheme) || authorization[kScheme.size()] != ' ')
    return std::nullopt;
  std::string_view token = authorization.substr(kScheme.size());
  token.remove_prefix(std::min(token.find_first_not_of(' '), token.size()));
  constexpr std::string_view kPrefix = "tly_";
  if (token.size() != kPrefix.size() + kIdLength + 1 + kSecretLength || !token.starts_with(kPrefix))
    return std::nullopt;
  const Bearer bearer{token.substr(kPrefix.size(), kIdLength), token.substr(kPrefix.size() + kIdLength + 1)};
  if (token[kPrefix.size() + kIdLength] != '_' || !is_base62(bearer.id) || !is_base62(bearer.secret))
    return std::nullopt;
  return bearer;
}

TokenBook::TokenBook(std::string file, const tracker::Clock& clock, std::size_t prepared_bound)
    : file_(std::move(file)), clock_(clock), prepared_bound_(std::max<std::size_t>(prepared_bound / kShards, 1)) {
  load();
}

TokenBook::Shard& TokenBook::shard_of(std::string_view id) const {
  return shards_[IdHash{}(id) % kShards];
}

authz::Result<std::shared_ptr<const Caller>> TokenBook::prepare(const db::Token& token) const {
  const std::lock_guard lock(directory_mutex_);
  const tracker::Uuid* id = acts_for(token);
  const auto user = id ? users_.find(*id) : users_.end();
  return make_caller(token, user == users_.end() ? nullptr : &user->second, roles_);
}

/// Lets go of callers that nobody asked for since the hand last came by.
void TokenBook::Shard::make_room(std::size_t bound) {
  while (prepared.size() >= bound) {
    if (hand >= prepared.size()) hand = 0;
    const auto found = entries.find(prepared[hand]);
    if (found != entries.end() && found->second.caller && std::exchange(found->second.needed, false)) {
      ++hand;
      continue;
    }
    if (found != entries.end()) {
      found->second.caller.reset();
      found->second.listed = false;
    }
    std::swap(prepared[hand], prepared.back());
    prepared.pop_back();
  }
}

TokenBook::Answer TokenBook::check(const Bearer& bearer) const {
  const auto digest = sha256(bearer.secret);
  Shard& shard = shard_of(bearer.id);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(bearer.id);
  if (found == shard.entries.end()) return {Verdict::unknown, nullptr};
  Entry& entry = found->second;
  if (CRYPTO_memcmp(digest.data(), entry.token.secret_sha256.data(), digest.size()) != 0)
    return {Verdict::refused, nullptr};
  if (entry.token.revoked_at_us || entry.broken) return {Verdict::refused, nullptr};
  if (entry.token.expires_at_us) {
    const auto now_us = std::chrono::duration_cast<std::chrono::microseconds>(clock_.wall().time_since_epoch()).count();
    if (*entry.token.expires_at_us <= now_us) return {Verdict::refused, nullptr};
  }
  if (!entry.caller) {
    auto caller = prepare(entry.token);
    if (!caller) {
      entry.broken = true;
      log::error("a token's rights do not expand; it is refused",
                 {{"token", entry.token.id}, {"error", caller.error().message()}});
      return {Verdict::refused, nullptr};
    }
    if (!entry.listed) {
      shard.make_room(prepared_bound_);
      shard.prepared.push_back(entry.token.id);
      entry.listed = true;
    }
    entry.caller = std::move(*caller);
  }
  entry.needed = true;
  if (const std::uint32_t interval = use_interval_.load(std::memory_order_relaxed); entry.noted != interval) {
    entry.noted = interval;
    shard.used.push_back(entry.token.id);
  }
  return {Verdict::good, entry.caller, entry.learnt, entry.learnt <= kept_.load()};
}

bool TokenBook::knows(std::string_view id) const {
  Shard& shard = shard_of(id);
  const std::lock_guard lock(shard.mutex);
  return shard.entries.contains(id);
}

authz::Result<authz::Subject> TokenBook::written_subject(const Caller& caller) const {
  const std::lock_guard lock(directory_mutex_);
  return daemon::written_subject(caller, roles_);
}

void TokenBook::put(const db::Token& token, Source source) {
  Shard& shard = shard_of(token.id);
  const std::lock_guard lock(shard.mutex);
  Entry& entry = shard.entries[token.id];
  if (entry.token.version > token.version && source != Source::whole_database) return;
  // A revocation is never taken back by an older view of the token.
  const auto revoked_at = entry.token.revoked_at_us;
  // What the file holds already need not be written before it is used again.
  const bool unchanged = same_rights(entry.token, token);
  entry.token = token;
  if (revoked_at && !entry.token.revoked_at_us) entry.token.revoked_at_us = revoked_at;
  if (unchanged) return;
  // Numbered while the shard is locked: a save that has counted it finds it here.
  entry.learnt = source == Source::file ? 0 : ++learnt_;
  entry.caller.reset();
  entry.broken = false;
}

void TokenBook::drop_callers_of(const std::set<tracker::Uuid>& users) {
  if (users.empty()) return;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (auto& [id, entry] : shard.entries)
      if (const tracker::Uuid* user = acts_for(entry.token); user && users.contains(*user)) {
        entry.caller.reset();
        entry.broken = false;
      }
  }
}

void TokenBook::apply(const db::RightsChanges& changes) {
  take_over(changes, Source::database);
}

void TokenBook::take_over(const db::RightsChanges& changes, Source source) {
  std::set<tracker::Uuid> touched;
  {
    const std::lock_guard lock(directory_mutex_);
    std::set<std::string> changed_roles;
    if (source == Source::whole_database) {
      for (const auto& [id, user] : users_) touched.insert(id);
      users_.clear();
      stored_roles_.clear();
      roles_.clear();
      dirty_ = true;
    }
    for (const db::CustomRole& role : changes.roles) {
      const std::string key = role_key(role);
      stored_roles_[key] = role;
      roles_[key] = authz::to_role(to_custom_role(role));
      changed_roles.insert(key);
    }
    for (const db::CustomRole& role : changes.deleted_roles) {
      const std::string key = role_key(role);
      stored_roles_.erase(key);
      roles_.erase(key);
      changed_roles.insert(key);
    }
    for (const db::User& user : changes.users) {
      users_[user.id] = user;
      touched.insert(user.id);
    }
    for (const tracker::Uuid& id : changes.deleted_users) {
      users_.erase(id);
      touched.insert(id);
    }
    if (!changed_roles.empty()) {
      for (const auto& [id, user] : users_)
        for (const std::string& role : user.org_roles)
          if (changed_roles.contains(role)) touched.insert(id);
      dirty_ = true;
    }
  }
  drop_callers_of(touched);
  if (source == Source::whole_database) drop_all_but(changes.tokens);
  for (const db::Token& token : changes.tokens) put(token, source);
  if (!changes.tokens.empty() || !touched.empty()) dirty_ = true;
  // Also down: a restored database counts on from where it was, and its next change must not be taken for one read.
  if (changes.version != version_) {
    version_ = changes.version;
    dirty_ = true;
  }
}

void TokenBook::replace(const db::RightsChanges& everything) {
  take_over(everything, Source::whole_database);
}

void TokenBook::drop_all_but(const std::vector<db::Token>& tokens) {
  std::set<std::string_view> there;
  for (const db::Token& token : tokens) there.insert(token.id);
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    boost::unordered::erase_if(shard.entries, [&there](const auto& each) {
      return !each.second.token.revoked_at_us && !there.contains(each.first);
    });
  }
}

void TokenBook::drop_ended(std::int64_t before_us) {
  std::size_t dropped = 0;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    dropped += boost::unordered::erase_if(shard.entries, [before_us](const auto& each) {
      const db::Token& token = each.second.token;
      return token.revoked_at_us.value_or(before_us) < before_us || token.expires_at_us.value_or(before_us) < before_us;
    });
  }
  if (dropped > 0) dirty_ = true;
}

void TokenBook::learn(const db::Token& token, const std::optional<db::User>& user) {
  if (user) {
    bool newer = false;
    {
      const std::lock_guard lock(directory_mutex_);
      db::User& known = users_[user->id];
      newer = known.version < user->version;
      if (newer || known.id != user->id) known = *user;
    }
    if (newer) drop_callers_of({user->id});
  }
  put(token, Source::database);
  dirty_ = true;
}

void TokenBook::forget(db::Token token, std::int64_t revoked_at_us) {
  Shard& shard = shard_of(token.id);
  const std::lock_guard lock(shard.mutex);
  Entry& entry = shard.entries[token.id];
  if (entry.token.id.empty()) entry.token = std::move(token);
  entry.token.revoked_at_us = revoked_at_us;
  entry.caller.reset();
  dirty_ = true;
}

std::vector<std::string> TokenBook::take_used() {
  std::vector<std::string> all;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    all.insert(all.end(), std::make_move_iterator(shard.used.begin()), std::make_move_iterator(shard.used.end()));
    shard.used.clear();
  }
  return all;
}

std::size_t TokenBook::prepared() const {
  std::size_t count = 0;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [id, entry] : shard.entries) count += entry.caller != nullptr;
  }
  return count;
}

void TokenBook::load() {
  const auto read = detail::read_book_file(file_);
  if (!read) return;
  take_over(*read, Source::file);
  dirty_ = false;
}

void TokenBook::keep(std::uint64_t learnt) {
  if (kept_.load() >= learnt) return;
  const std::uint64_t all = learnt_.load();
  if (save()) return;
  log::warn("the known rights could not be saved; they are lost with a restart while the database is away");
  kept_ = all;
}

bool TokenBook::save() {
  const std::uint64_t learnt = learnt_.load();
  dirty_ = false;
  db::RightsChanges all;
  all.version = version_;
  {
    const std::lock_guard lock(directory_mutex_);
    for (const auto& [id, user] : users_) all.users.push_back(user);
    for (const auto& [key, role] : stored_roles_) all.roles.push_back(role);
  }
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [id, entry] : shard.entries) all.tokens.push_back(entry.token);
  }
  if (detail::write_book_file(file_, all)) {
    kept_ = learnt;
    return true;
  }
  dirty_ = true;
  return false;
}

}  // namespace tally::daemon
