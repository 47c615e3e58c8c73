#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "daemon/http/response.hpp"
#include "tracker/clock.hpp"

namespace tally::http::detail {

/// `Date: ...` with its line break (RFC 9110 section 5.6.7).
std::string date_header(tracker::WallTime now);

struct AnswerFrame {
  std::string_view date;  ///< a complete line
  std::string_view request_id;
  bool http_1_0 = false;
  bool close = false;
};

inline std::string_view body_of(const Response& response) {
  return response.fixed_body.empty() ? std::string_view(response.body) : response.fixed_body;
}

/// Appends everything up to and including the empty line.
void render_head(std::string& out, const Response& response, const AnswerFrame& frame);

}  // namespace tally::http::detail
