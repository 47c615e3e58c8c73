#pragma once
#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/beast/http/verb.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "tracker/clock.hpp"

namespace tally::http {

using Verb = boost::beast::http::verb;

/// Who is at the other end. Unix-socket peers have no address.
struct Peer {
  boost::asio::ip::address address;
  bool unix_socket = false;
};

struct Field {
  std::string_view name;  ///< as the client wrote it
  std::string_view value;
};

inline constexpr std::size_t kMaxCaptures = 4;

/// One request whose header section is complete. Every view points into the connection's buffers and is valid until the
/// request has been answered. Belongs to one http thread.
struct Request {
  Verb method = Verb::unknown;  ///< `head` is routed to the row of `get`
  std::string_view path;        ///< without the query, still percent-encoded
  std::string_view query;       ///< without the `?`, still percent-encoded
  std::span<const Field> fields;
  std::string_view content_type;   ///< as sent, with parameters; empty when absent
  std::string_view authorization;  ///< empty when absent
  /// Decoded: chunks joined, gzip inflated. Empty until the gate has admitted the request.
  std::string_view body;
  /// Which of the row's `accepts` the Content-Type names (parameters apart). 0 when the client named none.
  std::size_t accepted_type = 0;
  std::string_view id;                                    ///< X-Request-Id: the client's if it was sane, else made here
  std::array<std::string_view, kMaxCaptures> captures{};  ///< what `{...}` matched, in order, still percent-encoded
  const Peer* peer = nullptr;
  std::uint32_t thread = 0;  ///< index of the http thread
  tracker::SteadyTime received_at{};
  /// What the gate made of the caller. The type is the daemon's business.
  std::shared_ptr<const void> subject;

  /// Value of the first field of that name (any letter case), or nothing.
  std::optional<std::string_view> header(std::string_view name) const noexcept;

  template <class T>
  const T& subject_as() const {
    return *static_cast<const T*>(subject.get());
  }
};

}  // namespace tally::http
