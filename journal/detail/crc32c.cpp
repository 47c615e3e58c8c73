#include "journal/detail/crc32c.hpp"

#include <array>
#include <cstring>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace tally::journal::detail {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // reflected

// Slicing by 8: table[k][b] is the effect of byte b, k bytes before the end of a word.
constexpr auto make_tables() {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (kPolynomial & (0u - (crc & 1)));
    tables[0][byte] = crc;
  }
  for (std::uint32_t byte = 0; byte < 256; ++byte)
    for (std::size_t k = 1; k < 8; ++k)
      tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xff];
  return tables;
}
constexpr auto kTables = make_tables();

}  // namespace

std::uint32_t crc32c_software(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  crc = ~crc;
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    word ^= crc;
    crc = 0;
    for (std::size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; left > 0; ++at, --left) crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<std::uint32_t>(*at)) & 0xff];
  return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_hardware(std::span<const std::byte> bytes,
                                                                std::uint32_t crc) noexcept {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t wide = static_cast<std::uint32_t>(~crc);
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  auto narrow = static_cast<std::uint32_t>(wide);
  if (left >= 4) {
    std::uint32_t word;
    std::memcpy(&word, at, 4);
    narrow = _mm_crc32_u32(narrow, word);
    at += 4;
    left -= 4;
  }
  for (; left > 0; ++at, --left) narrow = _mm_crc32_u8(narrow, static_cast<std::uint8_t>(*at));
  return ~narrow;
}
bool has_crc32c_hardware() noexcept {
  return __builtin_cpu_supports("sse4.2");
}
#else
std::uint32_t crc32c_hardware(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  return crc32c_software(bytes, crc);
}
bool has_crc32c_hardware() noexcept {
  return false;
}
#endif

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  static const bool hardware = has_crc32c_hardware();
  return hardware ? crc32c_hardware(bytes, crc) : crc32c_software(bytes, crc);
}

}  // namespace tally::journal::detail
