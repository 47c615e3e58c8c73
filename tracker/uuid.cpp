#include "tracker/uuid.hpp"

#include <sys/random.h>

#include <system_error>

#include "tracker/uuid_decode.hpp"

namespace tally::tracker {
std::optional<Uuid> Uuid::parse(std::string_view text) noexcept {
  Uuid uuid;
  if (text.size() != 36 || !parse_uuid(text.data(), uuid)) return std::nullopt;
  return uuid;
}

Uuid Uuid::random() {
  Uuid uuid;
  if (::getrandom(uuid.bytes.data(), uuid.bytes.size(), 0) != static_cast<ssize_t>(uuid.bytes.size()))
    throw std::system_error(errno, std::generic_category(), "getrandom");
  uuid.bytes[6] = (uuid.bytes[6] & 0x0f) | 0x40;
  uuid.bytes[8] = (uuid.bytes[8] & 0x3f) | 0x80;
  return uuid;
}

void Uuid::format_to(char* out) const noexcept {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (std::size_t i = 0; i < 16; ++i) {
    out[detail::kPairAt[i]] = kDigits[bytes[i] >> 4];
    out[detail::kPairAt[i] + 1] = kDigits[bytes[i] & 15];
  }
  out[8] = out[13] = out[18] = out[23] = '-';
}

std::string Uuid::to_string() const {
  std::string text(36, '\0');
  format_to(text.data());
  return text;
}

}  // namespace tally::tracker
