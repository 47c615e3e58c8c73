#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tracker/record.hpp"

/// From an ingest request to one journal record, or to the reasons why not. Pure functions: no clock, no IO, no state
/// between calls; any thread.
namespace tally::ingest {

enum class SubjectKind : std::uint8_t { system = 1, user = 2, agent = 3 };

/// Whose idempotency keys these are (accounting.md section 9): two subjects never share a key.
struct KeySubject {
  SubjectKind kind = SubjectKind::system;
  /// The system subject's name, or the 16 bytes of the user's id, or of the agent's workspace id.
  std::string_view name;

  /// `id` must outlive the result.
  static KeySubject user(const tracker::Uuid& id) { return {SubjectKind::user, text(id)}; }
  static KeySubject agent(const tracker::Uuid& workspace) { return {SubjectKind::agent, text(workspace)}; }
  static KeySubject system(std::string_view name) { return {SubjectKind::system, name}; }

 private:
  static std::string_view text(const tracker::Uuid& id) {
    return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
  }
};

struct Header {
  std::string_view name;
  std::string_view value;
};

/// What HTTP knows about the request. Everything is only looked at during the call.
struct Request {
  std::string_view content_type;  ///< the header's value; empty if there is none
  /// The headers whose name starts with "ce-" (any letter case), undecoded; passing others does no harm.
  std::span<const Header> headers;
  std::string_view body;                            ///< decoded (no gzip left); needs no padding
  std::optional<std::string_view> idempotency_key;  ///< the header's value, also when it is empty
  KeySubject subject;
};

/// One finding in a body. `pointer` is a JSON Pointer (RFC 6901); in an NDJSON body its first token is the line, from
/// 0.
struct Problem {
  std::string pointer;
  std::string detail;
  friend bool operator==(const Problem&, const Problem&) = default;
};

/// At most this many problems are told; the rest is checked, so that the status is right, and not told.
inline constexpr std::size_t kMostProblems = 100;
/// Text that is kept or compared. What is only skipped may be longer.
inline constexpr std::size_t kTextLimitBytes = 256;
inline constexpr int kDepthLimit = 8;
inline constexpr std::size_t kCloudEventLimit = 1000;
inline constexpr std::size_t kIdempotencyKeyLimitBytes = 128;

/// Why a request is not taken; nothing of it counts. Details hold no text of the client's, so they may be logged.
struct Refusal {
  int status = 0;  ///< 400, 413, 415 or 422
  std::string detail;
  std::vector<Problem> errors;
};

/// What goes into the journal, and what the answer says.
struct Accepted {
  tracker::RecordType type{};
  std::string payload;       ///< cleared and filled; keeps its capacity when the same object is used again
  std::uint32_t events = 0;  ///< the `accepted` of the answer
  /// False: no events and no key, so there is nothing to journal and the answer is 202 at once.
  bool needs_record() const { return !payload.empty(); }
};

}  // namespace tally::ingest
