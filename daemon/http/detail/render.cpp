#include "daemon/http/detail/render.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <charconv>

namespace tally::http::detail {
namespace {

constexpr unsigned kFirstStatus = 100;
constexpr unsigned kPastStatus = 600;

std::string_view status_line(Status status) {
  static const auto kLines = [] {
    std::array<std::string, kPastStatus - kFirstStatus> lines;
    for (unsigned code = kFirstStatus; code < kPastStatus; ++code) {
      const auto reason = boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(code));
      lines[code - kFirstStatus] =
          fmt::format("HTTP/1.1 {} {}\r\n", code, std::string_view(reason.data(), reason.size()));
    }
    return lines;
  }();
  const auto code = static_cast<unsigned>(status);
  return kLines[(code >= kFirstStatus && code < kPastStatus ? code : 500) - kFirstStatus];
}

}  // namespace

std::string date_header(tracker::WallTime now) {
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  return fmt::format("Date: {:%a, %d %b %Y %H:%M:%S} GMT\r\n", fmt::gmtime(seconds));
}

void render_head(std::string& out, const Response& response, const AnswerFrame& frame) {
  const std::string_view body = body_of(response);
  out += status_line(response.status);
  out += frame.date;
  out += "X-Request-Id: ";
  out += frame.request_id;
  if (!body.empty() || response.source) {
    out += "\r\nContent-Type: ";
    out += response.content_type;
  }
  if (response.source) {
    if (!frame.http_1_0) out += "\r\nTransfer-Encoding: chunked";
  } else if (response.status != Status::no_content) {
    char digits[20];
    out += "\r\nContent-Length: ";
    out.append(digits, std::to_chars(digits, digits + sizeof digits, body.size()).ptr);
  }
  out += "\r\n";
  out += response.headers;
  if (frame.close) {
    out += "Connection: close\r\n";
  } else if (frame.http_1_0) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
}

}  // namespace tally::http::detail
