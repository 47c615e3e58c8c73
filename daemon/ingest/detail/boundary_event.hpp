#pragma once
#include "daemon/ingest/detail/values.hpp"
#include "tracker/record.hpp"

namespace tally::ingest::detail {

/// `{"workspace_id", "owner_id", "allowed", "denied", "time"?}`: the schema of boundary usage events, as the envelope
/// wants it.
struct BoundaryEvent {
  using Event = tracker::Increment;
  using Encoder = tracker::BoundaryEncoder;
  using KeyedEncoder = tracker::KeyedEncoder;
  static constexpr tracker::RecordType kRecord = tracker::RecordType::boundary;
  static constexpr tracker::RecordType kKeyedRecord = tracker::RecordType::boundary_keyed;
  static constexpr std::string_view kRoute = "boundary-usage/events";
  static constexpr std::string_view kCloudEventType = "tallyd.boundary_usage.v1";

  /// The strict reading, which decides and explains.
  static void read(JsonReader& reader, const Place& place, Findings& findings, Event& out);

  /// Reads an event of the expected shape that starts at `at` and returns where it ends; null: unusual or wrong, let
  /// `read` decide. Whatever this takes, `read` takes with the same result. `kLines`: the event may not hold a line
  /// break.
  template <bool kLines>
  static const char* scan(const char* at, const char* end, Event& out);

  /// What two events with the same key must agree in: what is counted. Member order, letter case, `time` and unknown
  /// members are left out, so that a client may send the same event again in another spelling.
  static void append_canonical(const Event& event, std::string& out);
};

extern template const char* BoundaryEvent::scan<true>(const char*, const char*, Event&);
extern template const char* BoundaryEvent::scan<false>(const char*, const char*, Event&);

}  // namespace tally::ingest::detail
