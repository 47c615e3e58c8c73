#pragma once
#include <boost/asio/generic/stream_protocol.hpp>
#include <string>
#include <string_view>

#include "tracker/errors.hpp"

namespace tally::http {

/// Where to listen: an IP address and port, or a Unix socket. A plain value.
struct Endpoint {
  std::string host;  ///< a numeric address; empty for a Unix socket
  std::uint16_t port = 0;
  std::string path;  ///< of a Unix socket

  bool is_unix() const noexcept { return !path.empty(); }
  bool is_loopback() const;
  /// The form that `parse` reads.
  std::string to_string() const;

  /// `127.0.0.1:7290`, `[::1]:7290`, `localhost:7290`, `*:7290` (every address) or `unix:/path`. `invalid_argument`
  /// else.
  static tracker::Result<Endpoint> parse(std::string_view text);
};

}  // namespace tally::http
