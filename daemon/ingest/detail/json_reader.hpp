#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/ingest/detail/text_scan.hpp"
#include "daemon/ingest/request.hpp"

namespace tally::ingest::detail {

enum class JsonKind { object, array, string, number, boolean, null, none };

/// Pulls one JSON text apart, front to back and strictly (RFC 8259, valid UTF-8, no lone surrogates, at most
/// `kDepthLimit` deep, also in what is skipped). Numbers stay text and members come as written, repeats included, so
/// that the caller can judge what a parser that builds values would already have rounded or merged.
///
/// The first failure is kept: from then on `peek` says `none` and every loop ends.
class JsonReader {
 public:
  /// `origin`: where offsets count from, at or before `text`. `depth`: how many containers around `text` are open.
  explicit JsonReader(std::string_view text, const char* origin, int depth = 0)
      : at_(text.data()), end_(text.data() + text.size()), origin_(origin), depth_(depth) {}

  /// What starts here, behind white space. `none`: nothing that JSON knows, which is a failure.
  JsonKind peek();

  /// Each is called when `peek` has said so.
  void enter_object() { enter(); }
  void enter_array() { enter(); }
  bool boolean();
  /// Decoded, valid until the next call of any kind but `peek`.
  std::string_view string();
  /// As written; it follows the grammar of JSON.
  std::string_view number();

  /// False: the container has ended (or all has failed). Otherwise a value follows, which must be taken or skipped.
  bool next_member(std::string_view& name);
  bool next_element();
  /// Passes over the value that starts here.
  void skip();

  /// Only white space is left; anything else is a failure.
  void expect_end();

  /// For another reader of the same text: where this one is, and where it goes on. White space has been passed after
  /// `peek`.
  const char* position() const { return at_; }
  const char* end() const { return end_; }
  void resume_behind_value(const char* at) { at_ = at; }

  bool failed() const { return failure_ != nullptr; }
  const char* failure() const { return failure_; }
  std::size_t failure_offset() const { return static_cast<std::size_t>(failed_at_ - origin_); }

 private:
  void fail(const char* why, const char* where);
  void fail(const char* why) { fail(why, at_); }
  void skip_space();
  bool leave_or_separate(char closing);
  void enter();
  void literal(std::string_view word);
  /// Behind the opening quote. The text between the quotes, `decoded` used only if it holds escapes.
  std::string_view quoted(std::string& decoded, bool wanted);
  std::string_view quoted_slowly(std::string& decoded, bool wanted);
  bool escape(std::string* decoded);
  bool four_digits(unsigned& out);

  const char* at_;
  const char* end_;
  const char* origin_;
  int depth_;
  bool fresh_ = false;  // a container was entered and nothing of it was read
  const char* failure_ = nullptr;
  const char* failed_at_ = nullptr;
  std::string name_;
  std::string value_;
};

inline void JsonReader::skip_space() {
  while (at_ < end_ && is_space(*at_)) ++at_;
}

inline JsonKind JsonReader::peek() {
  skip_space();
  if (at_ < end_) {
    switch (*at_) {
      case '"':
        return JsonKind::string;
      case '{':
        return JsonKind::object;
      case '[':
        return JsonKind::array;
      case 't':
      case 'f':
        return JsonKind::boolean;
      case 'n':
        return JsonKind::null;
      default:
        if (is_digit(*at_) || *at_ == '-') return JsonKind::number;
        break;
    }
  }
  fail(at_ == end_ ? "a value is missing" : "expected a value");
  return JsonKind::none;
}

inline void JsonReader::enter() {
  ++at_;
  fresh_ = true;
  if (++depth_ > kDepthLimit) fail("nested deeper than 8", at_ - 1);
}

inline bool JsonReader::leave_or_separate(char closing) {
  skip_space();
  const bool first = std::exchange(fresh_, false);
  if (at_ < end_) {
    if (*at_ == closing) {
      ++at_;
      --depth_;
      return false;
    }
    if (first) return true;
    if (*at_ == ',') {
      ++at_;
      skip_space();
      return true;
    }
  }
  fail(closing == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
  return false;
}

inline bool JsonReader::next_member(std::string_view& name) {
  if (!leave_or_separate('}')) return false;
  if (at_ == end_ || *at_ != '"') {
    fail("expected the name of a member");
    return false;
  }
  ++at_;
  name = quoted(name_, true);
  skip_space();
  if (at_ == end_ || *at_ != ':') {
    fail("expected ':'");
    return false;
  }
  ++at_;
  return true;
}

inline bool JsonReader::next_element() {
  return leave_or_separate(']') && peek() != JsonKind::none;
}

inline std::string_view JsonReader::string() {
  ++at_;
  return quoted(value_, true);
}

inline std::string_view JsonReader::quoted(std::string& decoded, bool wanted) {
  const char* const special = find_special(at_, end_);
  if (special == end_ || *special != '"') [[unlikely]]
    return quoted_slowly(decoded, wanted);
  const std::string_view text(at_, static_cast<std::size_t>(special - at_));
  at_ = special + 1;
  return text;
}

}  // namespace tally::ingest::detail
