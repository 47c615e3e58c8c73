#include "daemon/ingest/detail/json_reader.hpp"

#include <simdjson.h>

#include <utility>

#include "tracker/uuid_decode.hpp"

namespace tally::ingest::detail {
namespace {

void append_utf8(std::string& out, unsigned code) {
  const auto put = [&](unsigned byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

}  // namespace

void JsonReader::fail(const char* why, const char* where) {
  if (failure_ == nullptr) {
    failure_ = why;
    failed_at_ = where;
  }
  at_ = end_;
}

void JsonReader::literal(std::string_view word) {
  if (std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(word))
    at_ += word.size();
  else
    fail("expected a value");
}

bool JsonReader::boolean() {
  const bool value = *at_ == 't';
  literal(value ? "true" : "false");
  return value;
}

std::string_view JsonReader::number() {
  const char* const start = at_;
  const auto digits = [&] {
    const char* const first = at_;
    while (at_ < end_ && is_digit(*at_)) ++at_;
    if (at_ == first) fail("expected a digit");
  };
  if (*at_ == '-') ++at_;
  if (at_ < end_ && *at_ == '0')
    ++at_;  // a digit behind it is not part of the number, and so a failure of what comes next
  else
    digits();
  if (at_ < end_ && *at_ == '.') {
    ++at_;
    digits();
  }
  if (at_ < end_ && (*at_ == 'e' || *at_ == 'E')) {
    ++at_;
    if (at_ < end_ && (*at_ == '+' || *at_ == '-')) ++at_;
    digits();
  }
  return failed() ? std::string_view{} : std::string_view(start, static_cast<std::size_t>(at_ - start));
}

void JsonReader::skip() {
  std::string_view name;
  switch (peek()) {
    case JsonKind::object:
      enter_object();
      while (next_member(name)) skip();
      return;
    case JsonKind::array:
      enter_array();
      while (next_element()) skip();
      return;
    case JsonKind::string:
      ++at_;
      quoted(value_, false);
      return;
    case JsonKind::number:
      number();
      return;
    case JsonKind::boolean:
      boolean();
      return;
    case JsonKind::null:
      literal("null");
      return;
    case JsonKind::none:
      return;
  }
}

void JsonReader::expect_end() {
  if (failed()) return;
  skip_space();
  if (at_ != end_) fail("something follows the value");
}

bool JsonReader::four_digits(unsigned& out) {
  if (end_ - at_ < 4) return false;
  out = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned digit = tracker::detail::kHexValues[static_cast<unsigned char>(*at_++)];
    if (digit > 15) return false;
    out = out << 4 | digit;
  }
  return true;
}

bool JsonReader::escape(std::string* decoded) {
  const char* const start = at_++;
  if (at_ == end_) {
    fail("a string does not end", start);
    return false;
  }
  const auto is = [&](char plain) {
    if (decoded != nullptr) *decoded += plain;
    return true;
  };
  switch (*at_++) {
    case '"':
      return is('"');
    case '\\':
      return is('\\');
    case '/':
      return is('/');
    case 'b':
      return is('\b');
    case 'f':
      return is('\f');
    case 'n':
      return is('\n');
    case 'r':
      return is('\r');
    case 't':
      return is('\t');
    case 'u':
      break;
    default:
      fail("no such escape", start);
      return false;
  }
  unsigned code = 0;
  if (!four_digits(code)) {
    fail("expected four hexadecimal digits", start);
    return false;
  }
  if (code >= 0xd800 && code < 0xe000) {
    unsigned low = 0;
    const bool pair = code < 0xdc00 && end_ - at_ >= 6 && at_[0] == '\\' && at_[1] == 'u' &&
                      (at_ += 2, four_digits(low)) && low >= 0xdc00 && low < 0xe000;
    if (!pair) {
      fail("a lone surrogate", start);
      return false;
    }
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  if (decoded != nullptr) append_utf8(*decoded, code);
  return true;
}

std::string_view JsonReader::quoted_slowly(std::string& decoded, bool wanted) {
  const char* const start = at_;
  bool escaped = false;
  bool beyond_ascii = false;
  for (;;) {
    const char* const plain = at_;
    at_ = find_special(at_, end_);
    if (escaped && wanted) decoded.append(plain, at_);
    if (at_ == end_) {
      fail("a string does not end", start - 1);
      return {};
    }
    if (*at_ == '"') break;
    if (*at_ == '\\') {
      if (!escaped && wanted) decoded.assign(start, at_);
      escaped = true;
      if (!escape(wanted ? &decoded : nullptr)) return {};
    } else if (static_cast<signed char>(*at_) < 0) {
      beyond_ascii = true;
      if (escaped && wanted) decoded += *at_;
      ++at_;
    } else {
      fail("a control character in a string");
      return {};
    }
  }
  const std::string_view raw(start, static_cast<std::size_t>(at_ - start));
  if (beyond_ascii && !simdjson::validate_utf8(raw.data(), raw.size())) {
    fail("not UTF-8", start);
    return {};
  }
  ++at_;
  return escaped && wanted ? std::string_view(decoded) : raw;
}

}  // namespace tally::ingest::detail
