#include "daemon/auth/token_book.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "daemon/auth/detail/book_file.hpp"
#include "daemon/log.hpp"

namespace tally::daemon {
namespace {

constexpr std::size_t kIdLength = 10;
constexpr std::size_t kSecretLength = 43;

bool is_base62(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); });
}

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b;
         });
}

/// One digest context a thread: making one costs more than the hash.
std::array<std::uint8_t, 32> sha256(std::string_view text) {
  struct Context {
    EVP_MD* algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    EVP_MD_CTX* state = EVP_MD_CTX_new();
    ~Context() {
      EVP_MD_CTX_free(state);
      EVP_MD_free(algorithm);
    }
  };
  thread_local Context context;
  std::array<std::uint8_t, 32> digest{};
  EVP_DigestInit_ex2(context.state, context.algorithm, nullptr);
  EVP_DigestUpdate(context.state, text.data(), text.size());
  EVP_DigestFinal_ex(context.state, digest.data(), nullptr);
  return digest;
}

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

TokenBook::TokenBook(std::string file, const tracker::Clock& clock) : file_(std::move(file)), clock_(clock) {
  load();
}

TokenBook::Shard& TokenBook::shard_of(std::string_view id) const {
  return shards_[IdHash{}(id) % kShards];
}

std::optional<db::User> TokenBook::user(const tracker::Uuid& id) const {
  const std::lock_guard lock(users_mutex_);
  const auto found = users_.find(id);
  if (found == users_.end()) return std::nullopt;
  return found->second;
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
    std::optional<db::User> owner;
    if (entry.token.user_id) owner = user(*entry.token.user_id);
    auto caller = make_caller(entry.token, owner ? &*owner : nullptr);
    if (!caller) {
      entry.broken = true;
      log::error("a token's rights do not expand; it is refused",
                 {{"token", entry.token.id}, {"error", caller.error().message()}});
      return {Verdict::refused, nullptr};
    }
    entry.caller = std::move(*caller);
  }
  return {Verdict::good, entry.caller, entry.learnt, entry.learnt <= kept_.load()};
}

void TokenBook::put(const db::Token& token, Source source) {
  Shard& shard = shard_of(token.id);
  const std::lock_guard lock(shard.mutex);
  Entry& entry = shard.entries[token.id];
  // A revocation is never taken back by an older view of the token.
  const auto revoked_at = entry.token.revoked_at_us;
  // Numbered while the shard is locked: a save that has counted it finds it here.
  entry = Entry{token, nullptr, false, source == Source::file ? 0 : ++learnt_};
  if (revoked_at && !entry.token.revoked_at_us) entry.token.revoked_at_us = revoked_at;
}

void TokenBook::drop_callers_of(const tracker::Uuid& user) {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (auto& [id, entry] : shard.entries)
      if (entry.token.user_id == user) {
        entry.caller.reset();
        entry.broken = false;
      }
  }
}

void TokenBook::apply(const db::RightsChanges& changes) {
  {
    const std::lock_guard lock(users_mutex_);
    for (const db::User& user : changes.users) users_[user.id] = user;
    for (const tracker::Uuid& id : changes.deleted_users) users_.erase(id);
  }
  for (const db::User& user : changes.users) drop_callers_of(user.id);
  for (const tracker::Uuid& id : changes.deleted_users) drop_callers_of(id);
  for (const db::Token& token : changes.tokens) put(token, Source::database);
  if (!changes.tokens.empty() || !changes.users.empty() || !changes.deleted_users.empty()) dirty_ = true;
  // Also down: a restored database counts on from where it was, and its next change must not be taken for one read.
  if (changes.version != version_) {
    version_ = changes.version;
    dirty_ = true;
  }
}

void TokenBook::learn(const db::Token& token, const std::optional<db::User>& user) {
  if (user) {
    const std::lock_guard lock(users_mutex_);
    users_[user->id] = *user;
  }
  put(token, Source::database);
  dirty_ = true;
}

void TokenBook::forget(std::string_view id, std::int64_t revoked_at_us) {
  Shard& shard = shard_of(id);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(id);
  if (found == shard.entries.end()) return;
  found->second.token.revoked_at_us = revoked_at_us;
  found->second.caller.reset();
  dirty_ = true;
}

void TokenBook::load() {
  auto read = detail::read_book_file(file_);
  if (!read) return;
  version_ = read->version;
  for (const db::User& user : read->users) users_[user.id] = user;
  for (const db::Token& token : read->tokens) put(token, Source::file);
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
    const std::lock_guard lock(users_mutex_);
    for (const auto& [id, user] : users_) all.users.push_back(user);
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
