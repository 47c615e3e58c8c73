#pragma once
#include <bit>

#include "tracker/uuid.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tally::tracker {
namespace detail {

/// The value of each hex digit; 0xff for anything else.
consteval std::array<std::uint8_t, 256> make_hex_values() {
  std::array<std::uint8_t, 256> table{};
  for (auto& value : table) value = 0xff;
  for (unsigned i = 0; i < 10; ++i) table['0' + i] = static_cast<std::uint8_t>(i);
  for (unsigned i = 0; i < 6; ++i) table['a' + i] = table['A' + i] = static_cast<std::uint8_t>(10 + i);
  return table;
}
inline constexpr auto kHexValues = make_hex_values();

/// Where the 16 pairs of digits start in the 36 characters.
inline constexpr std::array<std::uint8_t, 16> kPairAt = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

inline bool has_uuid_dashes(const char* text) noexcept {
  std::uint64_t from_8, from_16;
  std::memcpy(&from_8, text + 8, sizeof from_8);
  std::memcpy(&from_16, text + 16, sizeof from_16);
  if constexpr (std::endian::native == std::endian::big) {
    from_8 = __builtin_bswap64(from_8);
    from_16 = __builtin_bswap64(from_16);
  }
  constexpr std::uint64_t kAt8And13 = 0x0000'ff00'0000'00ff, kAt18And23 = 0xff00'0000'00ff'0000,
                          kDashes = 0x2d2d'2d2d'2d2d'2d2d;
  return (((from_8 ^ kDashes) & kAt8And13) | ((from_16 ^ kDashes) & kAt18And23)) == 0;
}

inline bool parse_uuid_portable(const char* text, Uuid& out) noexcept {
  unsigned seen = 0;  // 0x80 and above: some character was not a digit
  for (std::size_t i = 0; i < 16; ++i) {
    const unsigned high = kHexValues[static_cast<std::uint8_t>(text[kPairAt[i]])];
    const unsigned low = kHexValues[static_cast<std::uint8_t>(text[kPairAt[i] + 1])];
    seen |= high | low;
    out.bytes[i] = static_cast<std::uint8_t>((high << 4) | low);
  }
  return seen < 0x80 && has_uuid_dashes(text);
}

#if defined(__SSE2__)
/// 16 hex digits to 8 numbers, each in the low byte of a 16-bit lane. `bad` gets the high bit of every other
/// character's lane. Numbers and letters are moved to 0..9 and 10..15 apart from each other, everything else to above
/// 15 in both; the least counts.
inline __m128i decode_16_digits(__m128i digits, __m128i& bad) noexcept {
  const __m128i top = _mm_add_epi8(digits, _mm_set1_epi8(static_cast<char>(0xff - '9')));
  const __m128i number = _mm_sub_epi8(_mm_subs_epu8(top, _mm_set1_epi8(6)), _mm_set1_epi8(static_cast<char>(0xf0)));
  const __m128i upper = _mm_and_si128(digits, _mm_set1_epi8(static_cast<char>(0xdf)));
  const __m128i letter = _mm_adds_epu8(_mm_sub_epi8(upper, _mm_set1_epi8('A')), _mm_set1_epi8(10));
  const __m128i values = _mm_min_epu8(number, letter);
  bad = _mm_or_si128(bad, _mm_adds_epu8(values, _mm_set1_epi8(127 - 15)));
  return _mm_and_si128(_mm_or_si128(_mm_slli_epi16(values, 4), _mm_srli_epi16(values, 8)), _mm_set1_epi16(0xff));
}

/// SSE2 alone, which every x86-64 has: the groups between the dashes are loaded as whole words, so no byte shuffle is
/// needed and nothing has to be chosen at run time.
inline bool parse_uuid_sse2(const char* text, Uuid& out) noexcept {
  const auto eight = [&](std::size_t at) {
    std::uint64_t word;
    std::memcpy(&word, text + at, sizeof word);
    return word;
  };
  const auto four = [&](std::size_t at) {
    std::uint32_t word;
    std::memcpy(&word, text + at, sizeof word);
    return std::uint64_t{word};
  };
  const __m128i first =
      _mm_set_epi64x(static_cast<long long>(four(9) | four(14) << 32), static_cast<long long>(eight(0)));
  const __m128i last =
      _mm_set_epi64x(static_cast<long long>(eight(28)), static_cast<long long>(four(19) | four(24) << 32));
  __m128i bad = _mm_setzero_si128();
  const __m128i high = decode_16_digits(first, bad);
  const __m128i low = decode_16_digits(last, bad);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out.bytes.data()), _mm_packus_epi16(high, low));
  return _mm_movemask_epi8(bad) == 0 && has_uuid_dashes(text);
}
#endif

}  // namespace detail

/// `Uuid::parse` over exactly 36 readable characters, inline for hot loops. False leaves `out` unspecified.
inline bool parse_uuid(const char* text, Uuid& out) noexcept {
#if defined(__SSE2__)
  return detail::parse_uuid_sse2(text, out);
#else
  return detail::parse_uuid_portable(text, out);
#endif
}

}  // namespace tally::tracker
