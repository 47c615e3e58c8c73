#include "daemon/http/detail/head.hpp"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <cstring>
#include <utility>

namespace tally::http::detail {
namespace {

namespace beast = boost::beast;
using boost::system::error_code;
using BeastView = beast::string_view;
using BeastField = beast::http::field;

std::string_view plain(BeastView text) {
  return {text.data(), text.size()};
}

bool is_alphanumeric(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_token_char(char c) {
  static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return is_alphanumeric(c) || kMarks.find(c) != kMarks.npos;
}

bool is_sane_id(std::string_view id) {
  return !id.empty() && id.size() <= 128 &&
         std::ranges::all_of(id, [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

std::optional<std::uint64_t> parse_length(std::string_view text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  std::uint64_t length = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    length = length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return length;
}

/// Beast splits the head into a request line and fields; what they mean for framing is decided here, more strictly.
class Parser final : public beast::http::basic_parser<true> {
 public:
  Parser(Head& head, const Limits& limits) : head_(head), most_fields_(std::min(limits.header_fields, kMostFields)) {
    header_limit(static_cast<std::uint32_t>(limits.header_section + limits.request_line + 4));
    body_limit(boost::none);
  }

  HeadFault fault;

 private:
  void refuse(Status status, std::string_view detail, error_code& ec) {
    fault = {status, detail};
    ec = beast::http::error::bad_field;
  }

  void on_request_impl(Verb method, BeastView, BeastView target, int version, error_code& ec) override {
    head_.method = method;
    head_.http_1_0 = version == 10;
    set_target(plain(target), ec);
  }

  void set_target(std::string_view target, error_code& ec) {
    if (!target.starts_with('/') && target != "*") {
      // The absolute form, as proxies send it: the authority is not ours to judge.
      const std::size_t scheme = target.find("://");
      const std::string_view name = target.substr(0, scheme);
      if (scheme == target.npos || !(beast::iequals(name, "http") || beast::iequals(name, "https"))) {
        return refuse(Status::bad_request, "the request target is not a path", ec);
      }
      target.remove_prefix(scheme + 3);
      const std::size_t path = std::min(target.find_first_of("/?"), target.size());
      if (path == 0) return refuse(Status::bad_request, "the request target has no host", ec);
      target.remove_prefix(path);
    }
    if (target.find('#') != target.npos) return refuse(Status::bad_request, "the request target has a fragment", ec);
    const std::size_t question = std::min(target.find('?'), target.size());
    head_.path = question == 0 ? std::string_view("/") : target.substr(0, question);
    head_.query = target.substr(std::min(question + 1, target.size()));
  }

  void on_field_impl(BeastField name, BeastView text, BeastView value_text, error_code& ec) override {
    if (head_.field_count == most_fields_) {
      return refuse(Status::request_header_fields_too_large, "too many header fields", ec);
    }
    const std::string_view value = plain(value_text);
    head_.fields[head_.field_count++] = {plain(text), value};
    switch (name) {
      case BeastField::host:
        if (std::exchange(has_host_, true)) refuse(Status::bad_request, "more than one Host", ec);
        break;
      case BeastField::content_length:
        if (head_.content_length) return refuse(Status::bad_request, "more than one Content-Length", ec);
        head_.content_length = parse_length(value);
        if (!head_.content_length) refuse(Status::bad_request, "a bad Content-Length", ec);
        break;
      case BeastField::transfer_encoding:
        if (head_.chunked || !beast::iequals(value, "chunked")) {
          return refuse(Status::bad_request, "a Transfer-Encoding other than chunked", ec);
        }
        head_.chunked = true;
        break;
      case BeastField::expect:
        (beast::iequals(value, "100-continue") ? head_.expects_continue : head_.unknown_expectation) = true;
        break;
      case BeastField::content_type:
        once(head_.content_type, value, "more than one Content-Type", ec);
        break;
      case BeastField::content_encoding:
        once(head_.content_encoding, value, "more than one Content-Encoding", ec);
        break;
      case BeastField::authorization:
        once(head_.authorization, value, "more than one Authorization", ec);
        break;
      case BeastField::unknown:
        if (head_.request_id.empty() && beast::iequals(text, "X-Request-Id") && is_sane_id(value))
          head_.request_id = value;
        break;
      default:
        break;
    }
  }

  void once(std::string_view& slot, std::string_view value, std::string_view complaint, error_code& ec) {
    if (slot.data()) return refuse(Status::bad_request, complaint, ec);
    slot = value;
  }

  void on_header_impl(error_code& ec) override {
    if (head_.chunked && head_.content_length) {
      return refuse(Status::bad_request, "both Content-Length and Transfer-Encoding", ec);
    }
    if (head_.chunked && head_.http_1_0) return refuse(Status::bad_request, "Transfer-Encoding in HTTP/1.0", ec);
    if (!has_host_ && !head_.http_1_0) return refuse(Status::bad_request, "no Host", ec);
    head_.keep_alive = keep_alive();
  }

  void on_response_impl(int, BeastView, int, error_code&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}
  std::size_t on_body_impl(BeastView, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, BeastView, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, BeastView, error_code&) override { return 0; }
  void on_finish_impl(error_code&) override {}

  Head& head_;
  std::size_t most_fields_;
  bool has_host_ = false;
};

HeadFault explain(const error_code& ec) {
  using beast::http::error;
  if (ec == error::bad_transfer_encoding || ec == error::bad_content_length || ec == error::multiple_content_length) {
    return {Status::bad_request, "contradicting or malformed Content-Length or Transfer-Encoding"};
  }
  if (ec == error::bad_version) return {Status::bad_request, "not HTTP/1.1"};
  if (ec == error::bad_method || ec == error::bad_target) return {Status::bad_request, "malformed request line"};
  return {Status::bad_request, "malformed header section"};
}

/// A line that starts with a blank continues the one before it (obs-fold): other parsers may not see it so.
bool has_folded_line(std::string_view text) {
  for (std::size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1)) {
    if (at + 1 < text.size() && (text[at + 1] == ' ' || text[at + 1] == '\t')) return true;
  }
  return false;
}

}  // namespace

std::size_t find_head_end(std::string_view text, std::size_t searched) noexcept {
  const std::size_t from = searched > 3 ? searched - 3 : 0;
  if (text.size() <= from) return 0;
  const void* end = memmem(text.data() + from, text.size() - from, "\r\n\r\n", 4);
  return end ? static_cast<std::size_t>(static_cast<const char*>(end) - text.data()) + 4 : 0;
}

HeadFault check_partial(std::string_view text, const Limits& limits) noexcept {
  const std::size_t line_end = text.find('\n');
  const std::string_view line = text.substr(0, line_end);
  std::size_t method = 0;
  while (method < line.size() && is_token_char(line[method])) ++method;
  if (method == 0 || (method < line.size() && line[method] != ' ')) return {Status::bad_request, "not an HTTP request"};
  if (line.size() > limits.request_line) return {Status::uri_too_long, "the request line is too long"};
  if (line_end == text.npos) return {};
  constexpr std::string_view kVersion = " HTTP/1.";
  const std::size_t version = line.size() - std::min(line.size(), kVersion.size() + 2);  // behind it: a digit and \r
  if (line.substr(version, kVersion.size()) != kVersion || line.back() != '\r') {
    return {Status::bad_request, "not an HTTP/1.1 request"};
  }
  if (text.size() - line_end - 1 > limits.header_section) {
    return {Status::request_header_fields_too_large, "the header section is too long"};
  }
  return {};
}

HeadFault parse_head(std::string_view text, const Limits& limits, Head& head) {
  if (HeadFault fault = check_partial(text, limits)) return fault;
  if (has_folded_line(text)) return {Status::bad_request, "a folded header line"};
  Parser parser(head, limits);
  error_code ec;
  parser.put(boost::asio::buffer(text.data(), text.size()), ec);
  if (parser.fault) return parser.fault;
  if (ec) return explain(ec);
  if (!parser.is_header_done()) return {Status::bad_request, "malformed header section"};
  return {};
}

}  // namespace tally::http::detail
