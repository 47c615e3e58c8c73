#pragma once
#include <optional>
#include <string>

#include "daemon/ingest/detail/values.hpp"
#include "tracker/connection.hpp"

namespace tally::ingest::detail {

/// The schema of connection events (http-api.md, Connection log), as the envelope wants it.
struct ConnectionSchema {
  using Event = tracker::ConnectionEvent;

  /// There is no short cut: every event is read strictly.
  struct Scanner {
    template <bool kLines>
    const char* scan(const char*, const char*, Event&) {
      return nullptr;
    }
  };

  /// Says which entry an event belongs to while it encodes it.
  class Encoder {
   public:
    explicit Encoder(std::string& out, std::size_t expected_bytes = 0);
    void begin_effect(const tracker::Uuid& key, std::uint64_t body);
    void add(Event event);
    std::uint32_t effects() const { return encoder_.groups(); }
    void finish() { encoder_.finish(); }

   private:
    tracker::ConnectionEncoder encoder_;
    std::optional<tracker::Uuid> key_;
    std::uint32_t number_ = 0;  // of the event behind its key
    std::string canonical_;
  };
  using KeyedEncoder = Encoder;

  static constexpr tracker::RecordType kRecord = tracker::RecordType::connection;
  static constexpr tracker::RecordType kKeyedRecord = tracker::RecordType::connection;
  static constexpr std::string_view kRoute = "connection-log/events";
  static constexpr std::string_view kCloudEventType = "tallyd.connection.v1";

  static void read(JsonReader& reader, const Place& place, Findings& findings, Event& out);
  static void append_canonical(const Event& event, std::string& out) { tracker::append_canonical(out, event); }
};

/// An address as PostgreSQL spells it; `localhost` is 127.0.0.1. Nothing for anything else.
std::optional<std::string> normal_ip(std::string_view text);

/// `[a-z0-9_]{1,64}`.
bool is_connection_type(std::string_view text);

}  // namespace tally::ingest::detail
