#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tally::daemon::client {

/// Where a request goes.
struct Url {
  bool tls = false;
  std::string host;  ///< a name or a literal address, without brackets
  std::uint16_t port = 0;
  std::string target;  ///< path and query, percent-encoded, never empty
  friend bool operator==(const Url&, const Url&) = default;
};

/// `http` and `https` without user information; a fragment is dropped. Nothing for anything else.
std::optional<Url> parse_url(std::string_view text);
/// As a Host header names it: brackets around IPv6, the port unless it is the scheme's own.
std::string authority(const Url& url);

}  // namespace tally::daemon::client
