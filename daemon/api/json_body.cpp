#include "daemon/api/json_body.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace tally::daemon::api {
namespace {

// More would tell nobody anything, and each costs memory.
constexpr std::size_t kMostErrors = 100;

/// One step of a JSON Pointer.
std::string step(std::string_view name) {
  std::string text = "/";
  for (const char c : name) {
    if (c == '~')
      text += "~0";
    else if (c == '/')
      text += "~1";
    else
      text += c;
  }
  return text;
}

/// As everywhere: a body that needs more is nobody's.
constexpr int kDeepest = 8;

/// Behind the string whose opening quote is at `at`.
std::size_t behind_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\')
      ++at;
    else if (text[at] == '"')
      return at + 1;
  }
  return text.size();
}

bool is_too_deep(std::string_view text) {
  int depth = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      at = behind_string(text, at);
      continue;
    }
    if ((text[at] == '{' || text[at] == '[') && ++depth > kDeepest) return true;
    if (text[at] == '}' || text[at] == ']') --depth;
    ++at;
  }
  return false;
}

/// Behind the number that starts at `at`, if one does by the grammar of JSON; else `at`.
std::size_t behind_number(std::string_view text, std::size_t at) {
  const std::size_t start = at;
  const auto is = [&](std::string_view any) { return at < text.size() && any.find(text[at]) != any.npos; };
  const auto digits = [&] {
    const std::size_t first = at;
    while (is("0123456789")) ++at;
    return at > first;
  };
  if (is("-")) ++at;
  if (is("0"))
    ++at;
  else if (!digits())
    return start;
  if (is(".") && (++at, !digits())) return start;
  if (is("eE")) {
    ++at;
    if (is("+-")) ++at;
    if (!digits()) return start;
  }
  return at;
}

/// More than a double holds, or more digits than an integer of 64 bits has for certain.
bool is_out_of_range(const std::string& number) {
  constexpr std::size_t kSureDigits = 18;
  if (number.find_first_of(".eE") == number.npos) return number.size() > kSureDigits + (number[0] == '-');
  return std::isinf(std::strtod(number.c_str(), nullptr));
}

/// Makes null of each number that is out of range: where it is read it is refused, and elsewhere it is nobody's
/// business.
void blank_numbers(char* text, std::size_t size) {
  const std::string_view all(text, size);
  for (std::size_t at = 0; at < size;) {
    if (text[at] == '"') {
      at = behind_string(all, at);
      continue;
    }
    const std::size_t end = behind_number(all, at);
    if (end > at && is_out_of_range(std::string(all.substr(at, end - at)))) {
      constexpr std::string_view kNull = "null";  // shorter than any such number
      std::fill(std::copy(kNull.begin(), kNull.end(), text + at), text + end, ' ');
    }
    at = std::max(end, at + 1);
  }
}

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

}  // namespace

JsonBody::JsonBody(std::string_view text) : text_(text), is_too_deep_(is_too_deep(text)) {
  if (text.empty() || is_too_deep_) return;
  simdjson::error_code error = parser_.parse(text_).get(root_);
  if (error == simdjson::NUMBER_ERROR) {
    blank_numbers(text_.data(), text_.size());
    error = parser_.parse(text_).get(root_);
  }
  is_json_ = error == simdjson::SUCCESS;
}

JsonNode JsonBody::root() {
  if (!is_json_) return {*this, std::nullopt, ""};
  return {*this, root_, ""};
}

std::optional<http::Response> JsonBody::refusal() const {
  if (is_too_deep_)
    return http::problem(http::Status::bad_request, fmt::format("The body is nested deeper than {}.", kDeepest));
  if (!is_json_) return http::problem(http::Status::bad_request, "The body is not JSON.");
  if (errors_.empty()) return std::nullopt;
  return http::problem(http::Status::unprocessable_entity, "The body is not as it must be.", errors_);
}

void JsonNode::refuse(std::string detail) const {
  auto& errors = body_->errors_;
  const auto is_known = [&](const http::BodyError& each) { return each.pointer == pointer_ && each.detail == detail; };
  if (errors.size() >= kMostErrors || std::any_of(errors.begin(), errors.end(), is_known)) return;
  errors.push_back({pointer_, std::move(detail)});
}

template <class T>
std::optional<T> JsonNode::as(const char* wanted) const {
  T value;
  if (!value_) {
    refuse("is missing");
  } else if (value_->get(value) == simdjson::SUCCESS) {
    return value;
  } else {
    refuse(std::string("must be ") + wanted);
  }
  return std::nullopt;
}

JsonNode JsonNode::member(std::string_view name) const {
  JsonNode found(*body_, std::nullopt, pointer_ + step(name));
  const auto object = as<simdjson::dom::object>("an object");
  if (!object) return found;
  for (const auto& [key, value] : *object) {
    if (key != name) continue;
    if (found.value_) {
      found.refuse("appears twice");
      break;
    }
    found.value_ = value;
  }
  return found;
}

std::vector<std::pair<std::string, JsonNode>> JsonNode::members(std::size_t at_most) const {
  std::vector<std::pair<std::string, JsonNode>> all;
  const auto object = as<simdjson::dom::object>("an object");
  if (!object) return all;
  if (object->size() > at_most) {
    refuse(fmt::format("at most {} members", at_most));
    return all;
  }
  std::vector<std::string_view> names;
  for (const auto& [key, value] : *object) {
    all.emplace_back(std::string(key), JsonNode(*body_, value, pointer_ + step(key)));
    names.push_back(key);
  }
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
    JsonNode(*body_, std::nullopt, pointer_ + step(*twice)).refuse("appears twice");
  return all;
}

std::vector<JsonNode> JsonNode::elements(std::size_t at_most) const {
  std::vector<JsonNode> all;
  const auto array = as<simdjson::dom::array>("an array");
  if (!array) return all;
  if (array->size() > at_most) {
    refuse(fmt::format("at most {} elements", at_most));
    return all;
  }
  for (const simdjson::dom::element value : *array)
    all.push_back(JsonNode(*body_, value, fmt::format("{}/{}", pointer_, all.size())));
  return all;
}

bool JsonNode::boolean() const {
  return as<bool>("true or false").value_or(false);
}

std::string JsonNode::text(std::size_t most_bytes) const {
  const auto text = as<std::string_view>("a string");
  if (!text) return {};
  if (text->size() > most_bytes)
    refuse(fmt::format("at most {} bytes", most_bytes));
  else if (has_control_characters(*text))
    refuse("control characters cannot be part of it");
  else
    return std::string(*text);
  return {};
}

std::string JsonNode::name(std::size_t most_bytes) const {
  const std::size_t before = body_->errors_.size();
  std::string value = text(most_bytes);
  if (body_->errors_.size() == before && value.find_first_not_of(' ') == value.npos) refuse("must not be empty");
  return value;
}

tracker::Uuid JsonNode::uuid() const {
  const auto text = as<std::string_view>("a UUID");
  if (!text) return {};
  const auto uuid = tracker::Uuid::parse(*text);
  if (!uuid)
    refuse("not a UUID");
  else if (uuid->is_nil())
    refuse("the nil UUID names nothing");
  return uuid.value_or(tracker::Uuid{});
}

std::vector<std::string> JsonNode::texts(std::size_t at_most, std::size_t most_bytes) const {
  std::vector<std::string> all;
  for (const JsonNode& each : elements(at_most)) all.push_back(each.text(most_bytes));
  return all;
}

}  // namespace tally::daemon::api
