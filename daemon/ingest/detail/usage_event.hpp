#pragma once
#include <string>

#include "daemon/ingest/detail/values.hpp"
#include "tracker/usage.hpp"

namespace tally::ingest::detail {

/// The schema of usage events (http-api.md, Usage events), as the envelope wants it.
struct UsageSchema {
  using Event = tracker::UsageEvent;

  /// There is no short cut: every event is read strictly.
  struct Scanner {
    template <bool kLines>
    const char* scan(const char*, const char*, Event&) {
      return nullptr;
    }
  };

  class Encoder {
   public:
    explicit Encoder(std::string& out, std::size_t expected_bytes = 0) : encoder_(out) {
      out.reserve(out.size() + expected_bytes);
    }
    /// A usage event's key is its own id.
    void begin_effect(const tracker::Uuid&, std::uint64_t) {}
    void add(const Event& event) { encoder_.add(event); }
    std::uint32_t effects() const { return encoder_.count(); }
    void finish() { encoder_.finish(); }

   private:
    tracker::UsageEncoder encoder_;
  };
  using KeyedEncoder = Encoder;

  static constexpr tracker::RecordType kRecord = tracker::RecordType::usage;
  static constexpr tracker::RecordType kKeyedRecord = tracker::RecordType::usage;
  static constexpr std::string_view kRoute = "usage-events";
  static constexpr std::string_view kCloudEventType = "tallyd.usage.v1";

  static void read(JsonReader& reader, const Place& place, Findings& findings, Event& out);
  static void append_canonical(const Event& event, std::string& out);
};

/// `<name>_v<N>`: lower-case letters, digits and underscores, at most 64.
bool is_usage_type(std::string_view text);

}  // namespace tally::ingest::detail
