#pragma once
#include <cstddef>
#include <string>
#include <string_view>

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
  void enter_object();
  void enter_array();
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

}  // namespace tally::ingest::detail
