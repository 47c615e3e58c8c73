#pragma once
#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/http/response.hpp"
#include "tracker/uuid.hpp"

namespace tally::daemon::api {

class JsonNode;

/// A request body of JSON, read strictly: wrong types, missing members and members that come twice are gathered, each
/// with its JSON Pointer. Members that nobody asks for are ignored, whatever number they hold. At most 8 containers
/// deep. Not for several threads.
class JsonBody {
 public:
  /// Takes a copy of the text.
  explicit JsonBody(std::string_view text);
  JsonBody(const JsonBody&) = delete;
  JsonBody& operator=(const JsonBody&) = delete;

  JsonNode root();
  /// What is wrong with all that was read so far: 400 if it is not JSON or too deep, else 422.
  std::optional<http::Response> refusal() const;

 private:
  friend class JsonNode;
  simdjson::padded_string text_;
  simdjson::dom::parser parser_;
  simdjson::dom::element root_;
  bool is_too_deep_;
  bool is_json_ = false;
  std::vector<http::BodyError> errors_;
};

/// One value of a body, or the place where one is missing. Reading what is not there or of another type adds an error
/// and answers an empty value. Must not outlive the body.
class JsonNode {
 public:
  bool present() const { return value_.has_value(); }
  const std::string& pointer() const { return pointer_; }

  /// Of an object.
  JsonNode member(std::string_view name) const;
  std::vector<std::pair<std::string, JsonNode>> members(std::size_t at_most) const;
  /// Of an array.
  std::vector<JsonNode> elements(std::size_t at_most) const;

  bool boolean() const;
  /// Any text of at most `most_bytes` without control characters.
  std::string text(std::size_t most_bytes) const;
  /// The same and not blank.
  std::string name(std::size_t most_bytes) const;
  /// The canonical form, and never the nil uuid.
  tracker::Uuid uuid() const;
  std::vector<std::string> texts(std::size_t at_most, std::size_t most_bytes) const;

  void refuse(std::string detail) const;

 private:
  friend class JsonBody;
  JsonNode(JsonBody& body, std::optional<simdjson::dom::element> value, std::string pointer)
      : body_(&body), value_(value), pointer_(std::move(pointer)) {}
  template <class T>
  std::optional<T> as(const char* wanted) const;

  JsonBody* body_;
  std::optional<simdjson::dom::element> value_;
  std::string pointer_;
};

}  // namespace tally::daemon::api
