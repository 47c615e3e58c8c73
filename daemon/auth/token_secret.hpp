#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace tally::daemon {

/// A bearer token at the one moment when its secret is known: `tly_<id>_<secret>`. Only the hash may be kept.
struct TokenSecret {
  std::string id;      ///< 10 characters of base62
  std::string secret;  ///< 43 characters of base62, 256 bits from the kernel
  std::array<std::uint8_t, 32> secret_sha256{};

  TokenSecret() = default;
  TokenSecret(TokenSecret&&) = default;
  TokenSecret& operator=(TokenSecret&&) = default;
  ~TokenSecret();  ///< wipes

  std::string text() const { return "tly_" + id + "_" + secret; }
};

TokenSecret make_token_secret();

/// A 256-bit number, most significant byte first, in 43 digits of 0-9A-Za-z.
std::string base62(const std::array<std::uint8_t, 32>& number);
bool is_token_id(std::string_view text);

}  // namespace tally::daemon
