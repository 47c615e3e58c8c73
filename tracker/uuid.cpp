#include "tracker/uuid.hpp"

#include <sys/random.h>

#include <system_error>

namespace tally::tracker {
namespace {

constexpr std::array<std::int8_t, 256> make_hex_table() {
  std::array<std::int8_t, 256> table{};
  for (auto& value : table) value = -1;
  for (int i = 0; i < 10; ++i) table['0' + i] = static_cast<std::int8_t>(i);
  for (int i = 0; i < 6; ++i) table['a' + i] = table['A' + i] = static_cast<std::int8_t>(10 + i);
  return table;
}
constexpr auto kHex = make_hex_table();

// Where the 16 pairs of digits start in the 36 characters.
constexpr std::array<std::uint8_t, 16> kPairAt = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

}  // namespace

std::optional<Uuid> Uuid::parse(std::string_view text) noexcept {
  if (text.size() != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') return std::nullopt;
  Uuid uuid;
  int bad = 0;
  for (std::size_t i = 0; i < 16; ++i) {
    const int high = kHex[static_cast<std::uint8_t>(text[kPairAt[i]])];
    const int low = kHex[static_cast<std::uint8_t>(text[kPairAt[i] + 1])];
    bad |= high | low;  // negative if either is
    uuid.bytes[i] = static_cast<std::uint8_t>((high << 4) | (low & 15));
  }
  if (bad < 0) return std::nullopt;
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
    out[kPairAt[i]] = kDigits[bytes[i] >> 4];
    out[kPairAt[i] + 1] = kDigits[bytes[i] & 15];
  }
  out[8] = out[13] = out[18] = out[23] = '-';
}

std::string Uuid::to_string() const {
  std::string text(36, '\0');
  format_to(text.data());
  return text;
}

}  // namespace tally::tracker
