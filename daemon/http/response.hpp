#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/beast/http/status.hpp>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tracker/errors.hpp"

namespace tally::http {

using Status = boost::beast::http::status;

inline constexpr std::string_view kJson = "application/json";
inline constexpr std::string_view kProblemJson = "application/problem+json";

/// A body that is made while it is sent, a piece at a time: the next is asked for once the client has taken the last.
class BodySource {
 public:
  virtual ~BodySource() = default;
  /// On the request's http thread, after the handler has answered: nothing of the request may be used any more. An
  /// empty piece is the end. An error cuts the connection, so that no client takes half an answer for a whole one.
  virtual boost::asio::awaitable<tracker::Result<std::string>> next() = 0;
};

/// What a handler answers. The server adds the status line, Date, Content-Length, Connection and X-Request-Id.
struct Response {
  Status status = Status::ok;
  std::string_view content_type = kJson;  ///< constant text; left out when the body is empty
  std::string body;
  std::string_view fixed_body;         ///< instead of `body`: constant text that outlives the server
  std::shared_ptr<BodySource> source;  ///< instead of both
  std::string headers;                 ///< complete lines; use `add_header`
  bool close = false;                  ///< end the connection after this answer

  /// Line breaks in `value` are replaced by spaces, so that no value can add a header of its own.
  Response& add_header(std::string_view name, std::string_view value);
};

Response json(Status status, std::string body);
Response no_content();

/// One entry of a problem's `errors`: where in the body (JSON Pointer) and what is wrong.
struct BodyError {
  std::string pointer;
  std::string detail;
};

/// RFC 9457. `detail` may hold text from a client: it is escaped, and invalid UTF-8 is replaced.
Response problem(Status status, std::string_view detail, std::span<const BodyError> errors = {});
/// 401 with `WWW-Authenticate: Bearer`.
Response unauthorized(std::string_view detail);
/// 429 or 503 with `Retry-After`.
Response retry_later(Status status, std::string_view detail, std::chrono::seconds after);

/// Appends `text` as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace tally::http
