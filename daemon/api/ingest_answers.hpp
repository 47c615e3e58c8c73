#pragma once
#include <array>

#include "daemon/api/context.hpp"
#include "daemon/ingest/request.hpp"

/// What the ingest handlers of all kinds of events answer alike.
namespace tally::daemon::api {

/// 202; `skipped` is told where a request can hold what does not count.
http::Response accepted(std::uint32_t events, std::optional<std::uint32_t> skipped = std::nullopt);
/// The journal did not take the record.
http::Response not_journalled(const boost::system::error_code& error);
/// A key that could not be looked up everywhere must not be acknowledged yet (accounting.md section 5).
http::Response keys_not_yet();
http::Response key_conflict();
/// The body is not what the route takes; counted as invalid.
http::Response refuse(Context& context, const http::Request& request, metrics::EventKind kind,
                      const ingest::Refusal& refusal);

inline constexpr std::string_view kOwnOnly = "An agent may report for its own workspace and owner only.";

/// The request as the parsers take it. Belongs to the call in which it was made.
class IngestBody {
 public:
  explicit IngestBody(const http::Request& request);
  IngestBody(const IngestBody&) = delete;
  IngestBody& operator=(const IngestBody&) = delete;
  const ingest::Request& request() const { return request_; }

 private:
  std::array<ingest::Header, 64> headers_;  // the server lets no more through
  ingest::Request request_;
};

}  // namespace tally::daemon::api
