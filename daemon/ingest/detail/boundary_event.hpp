#pragma once
#include "daemon/ingest/detail/boundary_scanner.hpp"
#include "daemon/ingest/detail/values.hpp"
#include "tracker/record.hpp"

namespace tally::ingest::detail {

/// `{"workspace_id", "owner_id", "allowed", "denied", "time"?}`: the schema of boundary usage events, as the envelope
/// wants it.
struct BoundaryEvent {
  using Event = tracker::Increment;
  using Scanner = BoundaryScanner;
  using Encoder = tracker::BoundaryEncoder;
  using KeyedEncoder = tracker::KeyedEncoder;
  static constexpr tracker::RecordType kRecord = tracker::RecordType::boundary;
  static constexpr tracker::RecordType kKeyedRecord = tracker::RecordType::boundary_keyed;
  static constexpr std::string_view kRoute = "boundary-usage/events";
  static constexpr std::string_view kCloudEventType = "tallyd.boundary_usage.v1";

  /// The strict reading, which decides and explains.
  static void read(JsonReader& reader, const Place& place, Findings& findings, Event& out);

  /// What two events with the same key must agree in: what is counted. Member order, letter case, `time` and unknown
  /// members are left out, so that a client may send the same event again in another spelling.
  static void append_canonical(const Event& event, std::string& out);
};

}  // namespace tally::ingest::detail
