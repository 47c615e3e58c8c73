#include "daemon/ingest/detail/boundary_scanner.hpp"

#include <simdjson.h>

#include <cstring>

#include "daemon/ingest/detail/text_scan.hpp"
#include "daemon/ingest/request.hpp"
#include "daemon/ingest/rfc3339.hpp"
#include "tracker/uuid_decode.hpp"

namespace tally::ingest::detail {
namespace {

template <std::size_t Size>
bool starts_with(const char* at, const char (&text)[Size]) {
  return std::memcmp(at, text, Size - 1) == 0;
}

template <bool kLines>
const char* skip_space(const char* at, const char* end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || (!kLines && *at == '\n'))) ++at;
  return at;
}

/// The UTF-16 unit of an escape such as `\u00e9`, or above all of them if there is none at `at`.
unsigned escaped_unit(const char* at, const char* end) {
  constexpr unsigned kNone = 0x10000;
  if (end - at < 6 || at[0] != '\\' || at[1] != 'u') return kNone;
  unsigned code = 0;
  for (int i = 2; i < 6; ++i) {
    const unsigned digit = tracker::detail::kHexValues[static_cast<unsigned char>(at[i])];
    if (digit > 15) return kNone;
    code = code << 4 | digit;
  }
  return code;
}

/// Behind the escape of one character, which may be two units.
const char* skip_escape(const char* at, const char* end) {
  if (end - at < 2) return nullptr;
  switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      return at + 2;
    default:
      break;
  }
  const unsigned unit = escaped_unit(at, end);
  if (unit < 0xd800 || (unit >= 0xe000 && unit < 0x10000)) return at + 6;
  if (unit >= 0xdc00) return nullptr;
  const unsigned low = escaped_unit(at + 6, end);
  return low >= 0xdc00 && low < 0xe000 ? at + 12 : nullptr;
}

/// Behind a string that starts at its quote. Only a value may hold escapes: a name could be a known one in disguise.
template <bool kEscapes>
const char* skip_string(const char* at, const char* end) {
  const char* const start = ++at;
  bool ascii = true;
  while ((at = find_special(at, end)) < end) {
    if (*at == '"') {
      const auto size = static_cast<std::size_t>(at - start);
      return ascii || simdjson::validate_utf8(start, size) ? at + 1 : nullptr;
    }
    if (static_cast<signed char>(*at) < 0) {
      ascii = false;
      ++at;
    } else if (!kEscapes || *at != '\\' || (at = skip_escape(at, end)) == nullptr) {
      return nullptr;
    }
  }
  return nullptr;
}

const char* skip_digits(const char* at, const char* end) {
  const char* const start = at;
  while (at < end && is_digit(*at)) ++at;
  return at == start ? nullptr : at;
}

const char* skip_number(const char* at, const char* end) {
  if (*at == '-') ++at;
  if (at < end && *at == '0')
    ++at;
  else if (!(at = skip_digits(at, end)))
    return nullptr;
  if (at < end && *at == '.' && !(at = skip_digits(at + 1, end))) return nullptr;
  if (at < end && (*at | 0x20) == 'e') {
    ++at;
    if (at < end && (*at == '+' || *at == '-')) ++at;
    return skip_digits(at, end);
  }
  return at;
}

/// Containers that may open inside an unknown member: with the three that can be around it, safely within the limit.
constexpr int kNestingLimit = 4;
static_assert(kNestingLimit + 3 < kDepthLimit);

template <bool kLines>
const char* skip_value(const char* at, const char* end, int containers);

/// Behind an object or array that starts here.
template <bool kLines>
const char* skip_container(const char* at, const char* end, int containers) {
  if (containers == 0) return nullptr;
  const bool object = *at == '{';
  const char closing = object ? '}' : ']';
  at = skip_space<kLines>(at + 1, end);
  if (at < end && *at == closing) return at + 1;
  for (;; at = skip_space<kLines>(at + 1, end)) {
    if (object) {
      at = at < end && *at == '"' ? skip_string<false>(at, end) : nullptr;
      if (at == nullptr) return nullptr;
      at = skip_space<kLines>(at, end);
      if (at == end || *at != ':') return nullptr;
      at = skip_space<kLines>(at + 1, end);
    }
    at = skip_value<kLines>(at, end, containers - 1);
    if (at == nullptr) return nullptr;
    at = skip_space<kLines>(at, end);
    if (at == end) return nullptr;
    if (*at == closing) return at + 1;
    if (*at != ',') return nullptr;
  }
}

template <bool kLines>
const char* skip_value(const char* at, const char* end, int containers) {
  if (at == end) return nullptr;
  const auto left = static_cast<std::size_t>(end - at);
  switch (*at) {
    case '"':
      return skip_string<true>(at, end);
    case '{':
    case '[':
      return skip_container<kLines>(at, end, containers);
    case 't':
      return left >= 4 && starts_with(at, "true") ? at + 4 : nullptr;
    case 'n':
      return left >= 4 && starts_with(at, "null") ? at + 4 : nullptr;
    case 'f':
      return left >= 5 && starts_with(at, "false") ? at + 5 : nullptr;
    default:
      return skip_number(at, end);
  }
}

[[gnu::noinline]] const char* scan_long_count(const char* at, const char* end, std::uint64_t& out) {
  std::uint64_t value = 0;
  const char* const start = at;
  for (; at < end && is_digit(*at); ++at) value = value * 10 + static_cast<std::uint64_t>(*at - '0');
  const auto digits = at - start;
  if (digits == 0 || digits > 16 || value > tracker::kLargestCount || (digits > 1 && *start == '0')) return nullptr;
  out = value;
  return at;
}

/// Up to seven digits without a loop, whose length no predictor would get right. What follows decides whether they were
/// the whole number: a fraction or an exponent is neither comma nor brace.
[[gnu::always_inline]] inline const char* scan_count(const char* at, const char* end, std::uint64_t& out) {
  if constexpr (std::endian::native == std::endian::big) return scan_long_count(at, end, out);
  if (end - at < 8) return scan_long_count(at, end, out);
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  word ^= 0x3030303030303030;  // digits to their values, everything else to above 9
  const std::uint64_t others = ((word + 0x0606060606060606) | word) & 0xf0f0f0f0f0f0f0f0;
  if (others == 0) return scan_long_count(at, end, out);
  const int digits = std::countr_zero(others) / 8;  // right for the first one: a carry only goes upwards
  if (digits == 0 || (digits > 1 && *at == '0')) return nullptr;
  word <<= 64 - 8 * digits;  // zeros in front
  word = word * 10 + (word >> 8);
  constexpr std::uint64_t kPairs = 0x000000ff000000ff;
  out = ((word & kPairs) * 0x000f424000000064 + (word >> 16 & kPairs) * 0x0000271000000001) >> 32;
  return at + digits;
}

/// Between the quotes.
const char* scan_uuid(const char* at, const char* end, tracker::Uuid& out) {
  return end - at >= 36 && tracker::parse_uuid(at, out) ? at + 36 : nullptr;
}

const char* scan_time(const char* at, const char* end) {
  const char* const behind = end - at >= 1 && *at == '"' ? skip_rfc3339(at + 1, end) : nullptr;
  if (behind == nullptr || behind == end || *behind != '"') return nullptr;
  return behind - at - 1 <= static_cast<std::ptrdiff_t>(kTextLimitBytes) ? behind + 1 : nullptr;
}

/// The shortest member with what must follow it, `"denied":0}`: any known name can be compared without a look at the
/// end.
constexpr std::ptrdiff_t kShortestMember = 11;

}  // namespace

BoundaryScanner::Member BoundaryScanner::name_at(const char*& at, const char* end) {
  if (end - at >= kShortestMember) {
    if (starts_with(at, "\"workspac") && end - at >= 14 && starts_with(at + 9, "e_id\""))
      return at += 14, Member::workspace;
    if (starts_with(at, "\"owner_id\"")) return at += 10, Member::owner;
    if (starts_with(at, "\"allowed\"")) return at += 9, Member::allowed;
    if (starts_with(at, "\"denied\"")) return at += 8, Member::denied;
    if (starts_with(at, "\"time\"")) return at += 6, Member::time;
  } else if (end - at >= 6 && starts_with(at, "\"time\"")) {
    return at = nullptr, Member::time;  // too short to be a time
  }
  at = at < end && *at == '"' ? skip_string<false>(at, end) : nullptr;
  return Member::unknown;
}

[[gnu::always_inline]] inline bool BoundaryScanner::matches(const Piece& piece, const char* at) {
#if defined(__SSE2__)
  const auto same = [&](std::size_t from) {
    const __m128i mine = _mm_loadu_si128(reinterpret_cast<const __m128i*>(piece.text.data() + from));
    const __m128i theirs = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + from));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(mine, theirs)));
  };
  return (piece.mask & ~(same(0) | same(16) << 16)) == 0;
#else
  return std::memcmp(piece.text.data(), at, piece.size) == 0;
#endif
}

void BoundaryScanner::learn(const char* from, const char* to, Member next) {
  const auto size = static_cast<std::size_t>(to - from);
  if (pieces_ == kMostPieces || size > Piece::kLimitBytes) {
    pieces_ = kMostPieces + 1;  // until the end of this event
    return;
  }
  if (pieces_ > kMostPieces) return;
  Piece& piece = shape_[pieces_++];
  piece.text = {};
  std::memcpy(piece.text.data(), from, size);
  piece.mask = static_cast<std::uint32_t>((std::uint64_t{1} << size) - 1);
  piece.size = static_cast<std::uint8_t>(size);
  piece.next = next;
}

const char* BoundaryScanner::scan_alike(const char* at, const char* end, tracker::Increment& out) const {
  out.allowed = out.denied = 0;
  for (const Piece* piece = shape_.data();; ++piece) {
    if (end - at < static_cast<std::ptrdiff_t>(Piece::kLimitBytes) || !matches(*piece, at)) return nullptr;
    at += piece->size;
    switch (piece->next) {
      case Member::workspace:
        at = scan_uuid(at, end, out.workspace);
        break;
      case Member::owner:
        at = scan_uuid(at, end, out.owner);
        break;
      case Member::allowed:
        at = scan_count(at, end, out.allowed);
        break;
      case Member::denied:
        at = scan_count(at, end, out.denied);
        break;
      case Member::time:
        at = scan_time(at, end);
        break;
      case Member::unknown:
        at = skip_value<true>(at, end, kNestingLimit);
        break;
      case Member::end:
        return at;
    }
    if (at == nullptr) return nullptr;
  }
}

template <bool kLines>
const char* BoundaryScanner::scan_afresh(const char* at, const char* end, tracker::Increment& out) {
  pieces_ = 0;
  const char* const behind = scan_and_learn<kLines>(at, end, out);
  if (behind == nullptr || pieces_ > kMostPieces) pieces_ = 0;
  return behind;
}

template <bool kLines>
const char* BoundaryScanner::scan_and_learn(const char* at, const char* end, tracker::Increment& out) {
  if (at == end || *at != '{') return nullptr;
  out.allowed = out.denied = 0;
  const auto bit = [](Member member) { return 1u << static_cast<unsigned>(member); };
  const unsigned ids = bit(Member::workspace) | bit(Member::owner);
  const unsigned counts = bit(Member::allowed) | bit(Member::denied);
  unsigned seen = 0;
  const char* learnt = at;
  for (++at;; ++at) {
    at = skip_space<kLines>(at, end);
    const Member member = name_at(at, end);
    if (at == nullptr) return nullptr;
    at = skip_space<kLines>(at, end);
    if (at == end || *at != ':') return nullptr;
    at = skip_space<kLines>(at + 1, end);
    if (member != Member::unknown && (seen & bit(member)) != 0) return nullptr;
    seen |= bit(member);
    const bool id = (bit(member) & ids) != 0;
    if (id && (at == end || *at++ != '"')) return nullptr;
    learn(learnt, at, member);
    switch (member) {
      case Member::workspace:
        at = scan_uuid(at, end, out.workspace);
        break;
      case Member::owner:
        at = scan_uuid(at, end, out.owner);
        break;
      case Member::allowed:
        at = scan_count(at, end, out.allowed);
        break;
      case Member::denied:
        at = scan_count(at, end, out.denied);
        break;
      case Member::time:
        at = scan_time(at, end);
        break;
      case Member::unknown:
        at = skip_value<kLines>(at, end, kNestingLimit);
        break;
      case Member::end:
        return nullptr;
    }
    if (at == nullptr) return nullptr;
    learnt = at;
    if (id && (at == end || *at++ != '"')) return nullptr;
    at = skip_space<kLines>(at, end);
    if (at == end) return nullptr;
    if (*at == ',') continue;
    if (*at != '}' || (seen & ids) != ids || (seen & counts) == 0) return nullptr;
    learn(learnt, at + 1, Member::end);
    return at + 1;
  }
}

template const char* BoundaryScanner::scan_afresh<true>(const char*, const char*, tracker::Increment&);
template const char* BoundaryScanner::scan_afresh<false>(const char*, const char*, tracker::Increment&);

}  // namespace tally::ingest::detail
