#include "daemon/ingest/key.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>

namespace tally::ingest {
namespace {

/// SHA-256 with everything looked up once per thread: OpenSSL 3's one-shot call searches its providers every time.
class Sha256 {
 public:
  Sha256()
      : algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr), &EVP_MD_free),
        context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    if (!algorithm_ || !context_) throw std::runtime_error("OpenSSL offers no SHA-256");
  }
  void begin() { check(EVP_DigestInit_ex2(context_.get(), algorithm_.get(), nullptr)); }
  void add(std::string_view bytes) { check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size())); }
  std::array<std::uint8_t, 32> end() {
    std::array<std::uint8_t, 32> digest;
    check(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr));
    return digest;
  }

 private:
  static void check(int ok) {
    if (ok != 1) throw std::runtime_error("SHA-256 failed");
  }
  std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> algorithm_;
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

Sha256& begin_sha256() {
  thread_local Sha256 sha256;
  sha256.begin();
  return sha256;
}

void add_part(Sha256& sha256, std::string_view part) {
  const auto size = static_cast<std::uint32_t>(part.size());
  std::array<char, sizeof size> length;
  std::memcpy(length.data(), &size, sizeof size);
  sha256.add({length.data(), length.size()});
  sha256.add(part);
}

tracker::Uuid first_half(const std::array<std::uint8_t, 32>& digest) {
  tracker::Uuid id;
  std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
  return id;
}

}  // namespace

bool is_idempotency_key(std::string_view key) noexcept {
  return !key.empty() && key.size() <= kIdempotencyKeyLimitBytes &&
         std::all_of(key.begin(), key.end(), [](char c) { return c >= 0x21 && c <= 0x7e; });
}

tracker::Uuid key_id(const KeySubject& subject, std::string_view route, std::initializer_list<std::string_view> parts) {
  Sha256& sha256 = begin_sha256();
  const char kind = static_cast<char>(subject.kind);
  add_part(sha256, {&kind, 1});
  add_part(sha256, subject.name);
  add_part(sha256, route);
  for (const std::string_view part : parts) add_part(sha256, part);
  return first_half(sha256.end());
}

tracker::Uuid hash_of(std::initializer_list<std::string_view> parts) {
  Sha256& sha256 = begin_sha256();
  for (const std::string_view part : parts) add_part(sha256, part);
  return first_half(sha256.end());
}

std::uint64_t body_hash(std::string_view body) {
  Sha256& sha256 = begin_sha256();
  sha256.add(body);
  const auto digest = sha256.end();
  std::uint64_t hash;
  std::memcpy(&hash, digest.data(), sizeof hash);
  return hash;
}

}  // namespace tally::ingest
