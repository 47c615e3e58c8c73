#include "daemon/auth/token_secret.hpp"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <system_error>

namespace tally::daemon {
namespace {

constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kIdLength = 10;
constexpr std::size_t kSecretLength = 43;  // 62^43 is just above 2^256

void fill_randomly(std::span<std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw std::system_error(errno, std::system_category(), "no random numbers from the kernel");
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

std::string random_id() {
  std::string id;
  while (id.size() < kIdLength) {
    std::uint8_t byte;
    fill_randomly({&byte, 1});
    if (byte < 4 * kDigits.size()) id += kDigits[byte % kDigits.size()];  // the rest would favour some digits
  }
  return id;
}

}  // namespace

TokenSecret::~TokenSecret() {
  OPENSSL_cleanse(secret.data(), secret.size());
}

std::string base62(const std::array<std::uint8_t, 32>& number) {
  std::array<std::uint8_t, 32> rest = number;
  std::string text(kSecretLength, '0');
  for (std::size_t digit = kSecretLength; digit-- > 0;) {
    unsigned remainder = 0;
    for (std::uint8_t& byte : rest) {
      const unsigned value = remainder * 256 + byte;
      byte = static_cast<std::uint8_t>(value / 62);
      remainder = value % 62;
    }
    text[digit] = kDigits[remainder];
  }
  OPENSSL_cleanse(rest.data(), rest.size());
  return text;
}

bool is_token_id(std::string_view text) {
  return text.size() == kIdLength && text.find_first_not_of(kDigits) == text.npos;
}

TokenSecret make_token_secret() {
  std::array<std::uint8_t, 32> random;
  fill_randomly(random);
  TokenSecret token;
  token.id = random_id();
  token.secret = base62(random);
  OPENSSL_cleanse(random.data(), random.size());
  ::SHA256(reinterpret_cast<const unsigned char*>(token.secret.data()), token.secret.size(),
           token.secret_sha256.data());
  return token;
}

}  // namespace tally::daemon
