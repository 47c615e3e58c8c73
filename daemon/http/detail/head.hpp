#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "daemon/http/request.hpp"
#include "daemon/http/response.hpp"
#include "daemon/http/server.hpp"

namespace tally::http::detail {

inline constexpr std::size_t kMostFields = 64;

/// A request line and its header section, parsed. Views point into the parsed text.
struct Head {
  Verb method = Verb::unknown;
  std::string_view path;
  std::string_view query;
  bool http_1_0 = false;
  bool keep_alive = true;
  bool chunked = false;
  bool expects_continue = false;
  bool unknown_expectation = false;
  std::optional<std::uint64_t> content_length;
  std::string_view content_type;
  std::string_view content_encoding;
  std::string_view authorization;
  std::string_view request_id;  ///< empty unless the client sent a sane one
  std::size_t field_count = 0;
  std::array<Field, kMostFields> fields;

  /// Forgets the last request; the fields stay where they are, uncounted.
  void clear() noexcept {
    method = Verb::unknown;
    path = query = content_type = content_encoding = authorization = request_id = {};
    http_1_0 = chunked = expects_continue = unknown_expectation = false;
    keep_alive = true;
    content_length.reset();
    field_count = 0;
  }
  bool has_body() const noexcept { return chunked || content_length.value_or(0) > 0; }
};

/// Why a request cannot be read on. Status 0: nothing is wrong.
struct HeadFault {
  Status status{};
  std::string_view detail;
  explicit operator bool() const noexcept { return status != Status{}; }
};

/// Where the header section that starts at `text` ends (behind its empty line), or 0 if that is not in `text` yet. The
/// first `searched` bytes were looked at before.
std::size_t find_head_end(std::string_view text, std::size_t searched) noexcept;

/// Looks at a head that may not be complete yet: is it already certain that it will be refused?
HeadFault check_partial(std::string_view text, const Limits& limits) noexcept;

/// Parses a complete head. Refused is whatever two parsers could frame differently: Content-Length beside
/// Transfer-Encoding, any coding but `chunked`, several or odd lengths, folded lines, line feeds without carriage
/// returns.
HeadFault parse_head(std::string_view text, const Limits& limits, Head& head);

}  // namespace tally::http::detail
