#include "daemon/http/response.hpp"

#include <charconv>

#include "daemon/http/detail/utf8.hpp"

namespace tally::http {
namespace {

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
    } else if (const std::size_t length = detail::utf8_sequence(text)) {
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
