#include <cstring>

#include "daemon/ingest/detail/boundary_event.hpp"
#include "daemon/ingest/rfc3339.hpp"
#include "tracker/uuid_decode.hpp"

/// The fast reading of a boundary usage event. It knows plain ASCII without escapes; a null anywhere means "not for
/// me", never "wrong", so what it leaves out costs time and changes nothing.
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

/// Behind a plain string that starts at its quote.
const char* skip_string(const char* at, const char* end) {
  for (++at; at < end; ++at) {
    if (*at == '"') return at + 1;
    if (*at == '\\' || static_cast<signed char>(*at) < 0x20) return nullptr;
  }
  return nullptr;
}

const char* skip_digits(const char* at, const char* end) {
  const char* const start = at;
  while (at < end && *at >= '0' && *at <= '9') ++at;
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

/// Behind a value that is neither object nor array.
const char* skip_scalar(const char* at, const char* end) {
  if (at == end) return nullptr;
  if (*at == '"') return skip_string(at, end);
  const auto left = static_cast<std::size_t>(end - at);
  if (*at == 't') return left >= 4 && starts_with(at, "true") ? at + 4 : nullptr;
  if (*at == 'n') return left >= 4 && starts_with(at, "null") ? at + 4 : nullptr;
  if (*at == 'f') return left >= 5 && starts_with(at, "false") ? at + 5 : nullptr;
  return skip_number(at, end);
}

const char* scan_uuid(const char* at, const char* end, tracker::Uuid& out) {
  if (end - at < 38 || at[0] != '"' || at[37] != '"' || !tracker::parse_uuid(at + 1, out)) return nullptr;
  return at + 38;
}

const char* scan_count(const char* at, const char* end, std::uint64_t& out) {
  std::uint64_t value = 0;
  const char* const start = at;
  for (; at < end; ++at) {
    const auto digit = static_cast<unsigned>(*at - '0');
    if (digit > 9) break;
    value = value * 10 + digit;
  }
  const auto digits = at - start;
  if (digits == 0 || digits > 16 || value > tracker::kLargestCount || (digits > 1 && *start == '0')) return nullptr;
  out = value;
  return at;  // what follows decides: a fraction or an exponent is neither comma nor brace
}

const char* scan_time(const char* at, const char* end) {
  const char* const behind = at < end && *at == '"' ? skip_string(at, end) : nullptr;
  if (behind == nullptr || behind - at - 2 > static_cast<std::ptrdiff_t>(kTextLimitBytes)) return nullptr;
  return parse_rfc3339({at + 1, behind - 1}) ? behind : nullptr;
}

enum Member : unsigned { kWorkspace = 1, kOwner = 2, kAllowed = 4, kDenied = 8, kTime = 16, kUnknown = 32 };

/// The shortest member with what must follow it, `"denied":0}`: any known name can be compared without a look at the
/// end.
constexpr std::ptrdiff_t kShortestMember = 11;

/// Which member's name starts at `at`, and where it ends.
Member name_at(const char*& at, const char* end) {
  if (end - at >= kShortestMember) {
    if (starts_with(at, "\"workspac") && end - at >= 14 && starts_with(at + 9, "e_id\"")) return at += 14, kWorkspace;
    if (starts_with(at, "\"owner_id\"")) return at += 10, kOwner;
    if (starts_with(at, "\"allowed\"")) return at += 9, kAllowed;
    if (starts_with(at, "\"denied\"")) return at += 8, kDenied;
    if (starts_with(at, "\"time\"")) return at += 6, kTime;
  } else if (end - at >= 6 && starts_with(at, "\"time\"")) {
    return at = nullptr, kTime;  // too short to be a time
  }
  at = at < end && *at == '"' ? skip_string(at, end) : nullptr;
  return kUnknown;
}

}  // namespace

template <bool kLines>
const char* BoundaryEvent::scan(const char* at, const char* end, Event& out) {
  if (at == end || *at != '{') return nullptr;
  out.allowed = out.denied = 0;
  unsigned seen = 0;
  for (++at;; ++at) {
    at = skip_space<kLines>(at, end);
    const Member member = name_at(at, end);
    if (at == nullptr) return nullptr;
    at = skip_space<kLines>(at, end);
    if (at == end || *at != ':') return nullptr;
    at = skip_space<kLines>(at + 1, end);
    if ((seen & member & ~kUnknown) != 0) return nullptr;
    seen |= member;
    switch (member) {
      case kWorkspace:
        at = scan_uuid(at, end, out.workspace);
        break;
      case kOwner:
        at = scan_uuid(at, end, out.owner);
        break;
      case kAllowed:
        at = scan_count(at, end, out.allowed);
        break;
      case kDenied:
        at = scan_count(at, end, out.denied);
        break;
      case kTime:
        at = scan_time(at, end);
        break;
      case kUnknown:
        at = skip_scalar(at, end);
        break;
    }
    if (at == nullptr) return nullptr;
    at = skip_space<kLines>(at, end);
    if (at == end) return nullptr;
    if (*at == ',') continue;
    const bool complete = (seen & (kWorkspace | kOwner)) == (kWorkspace | kOwner) && (seen & (kAllowed | kDenied)) != 0;
    return *at == '}' && complete ? at + 1 : nullptr;
  }
}

template const char* BoundaryEvent::scan<true>(const char*, const char*, Event&);
template const char* BoundaryEvent::scan<false>(const char*, const char*, Event&);

}  // namespace tally::ingest::detail
