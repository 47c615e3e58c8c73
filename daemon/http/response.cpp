#include "daemon/http/response.hpp"

#include <charconv>

namespace tally::http {
namespace {

/// Length of the valid UTF-8 sequence at the start of `text`, or 0.
std::size_t utf8_sequence(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool second = continues(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF);
    return second && continues(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool second = continues(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF);
    return second && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

void append_number(std::string& out, unsigned long number) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
      text.remove_prefix(1);
    } else if (c < 0x20 || c == 0x7F) {
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
      text.remove_prefix(1);
    } else if (const std::size_t length = utf8_sequence(text)) {
      out += text.substr(0, length);
      text.remove_prefix(length);
    } else {
      out += "\xEF\xBF\xBD";
      text.remove_prefix(1);
    }
  }
  out += '"';
}

Response& Response::add_header(std::string_view name, std::string_view value) {
  headers += name;
  headers += ": ";
  for (const char c : value) headers += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  headers += "\r\n";
  return *this;
}

Response json(Status status, std::string body) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

Response no_content() {
  Response response;
  response.status = Status::no_content;
  return response;
}

Response problem(Status status, std::string_view detail, std::span<const BodyError> errors) {
  Response response;
  response.status = status;
  response.content_type = kProblemJson;
  std::string& body = response.body;
  body = R"({"type":"about:blank","title":)";
  append_json_string(body, boost::beast::http::obsolete_reason(status));
  body += R"(,"status":)";
  append_number(body, static_cast<unsigned>(status));
  body += R"(,"detail":)";
  append_json_string(body, detail);
  if (!errors.empty()) {
    body += R"(,"errors":[)";
    for (const BodyError& error : errors) {
      if (&error != errors.data()) body += ',';
      body += R"({"pointer":)";
      append_json_string(body, error.pointer);
      body += R"(,"detail":)";
      append_json_string(body, error.detail);
      body += '}';
    }
    body += ']';
  }
  body += '}';
  return response;
}

Response unauthorized(std::string_view detail) {
  Response response = problem(Status::unauthorized, detail);
  response.add_header("WWW-Authenticate", "Bearer");
  return response;
}

Response retry_later(Status status, std::string_view detail, std::chrono::seconds after) {
  Response response = problem(status, detail);
  response.add_header("Retry-After", std::to_string(after.count()));
  return response;
}

}  // namespace tally::http
