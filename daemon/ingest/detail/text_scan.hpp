#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/// The characters of JSON, for both of its readers.
namespace tally::ingest::detail {

constexpr bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// The first quote, backslash, control character or byte beyond ASCII at or after `at`.
inline const char* find_special(const char* at, const char* end) {
#if defined(__SSE2__)
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    const __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    const __m128i low_or_high = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));  // signed: bytes beyond ASCII are negative
    const int mask = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), low_or_high));
    if (mask != 0) return at + __builtin_ctz(static_cast<unsigned>(mask));
  }
#endif
  while (at < end && *at != '"' && *at != '\\' && static_cast<signed char>(*at) >= 0x20) ++at;
  return at;
}

}  // namespace tally::ingest::detail
