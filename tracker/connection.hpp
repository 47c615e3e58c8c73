#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "tracker/record.hpp"

namespace tally::tracker {

/// Numbers are part of the journal's format and of the database's rows.
enum class ConnectionStatus : std::uint8_t { connected = 0, disconnected = 1 };

/// What an agent or a proxy said about one connection, checked and brought to one spelling. Texts are valid UTF-8
/// without NUL. Times are microseconds since the Unix epoch, by the sender's clock.
struct ConnectionEvent {
  /// Which entry of the log it belongs to: a hash of (connection, workspace, agent, organization), as `mark_entry`
  /// leaves it, or for a point in time of (id, workspace, organization).
  Uuid entry;
  /// What people see as the entry's id.
  Uuid id;
  /// First half of the SHA-256 of everything below: tells events of one instant apart.
  Uuid hash;

  std::int64_t time_us = 0;
  ConnectionStatus status = ConnectionStatus::connected;
  Uuid organization;
  Uuid owner;
  Uuid workspace;
  std::string workspace_name;
  std::string agent_name;
  std::string type;
  std::optional<Uuid> connection;  ///< nothing: a point in time, which has no other half
  std::optional<std::string> ip;   ///< as PostgreSQL spells an `inet`
  std::optional<std::string> user_agent;
  std::optional<Uuid> user;
  std::optional<std::string> slug_or_port;
  std::optional<std::int64_t> code;
  std::optional<std::string> reason;
  friend bool operator==(const ConnectionEvent&, const ConnectionEvent&) = default;
};

/// Puts four bytes that the connection alone decides in front of the hash: the entries of a connection stand together,
/// between these two. Others may stand there too.
void mark_entry(Uuid& entry, const Uuid& connection) noexcept;
std::pair<Uuid, Uuid> entries_of(const Uuid& connection) noexcept;

/// Orders the events of one entry, whatever order they arrive in (accounting.md section 10).
struct EventRank {
  std::int64_t time_us = 0;
  ConnectionStatus status = ConnectionStatus::connected;
  Uuid hash;
  friend auto operator<=>(const EventRank&, const EventRank&) = default;

  static constexpr std::size_t kBytes = 8 + 1 + 16;
  /// Sorts as bytes as it does as a rank: what the database keeps.
  std::array<std::uint8_t, kBytes> to_bytes() const;
};

/// A value and the event that it is from.
template <class T>
struct Said {
  T value;
  EventRank by;
  friend bool operator==(const Said&, const Said&) = default;
};

/// The latest disconnect with its code and reason; of several at one instant, the one that says more. A point in time
/// is its own end.
struct ConnectionEnd {
  std::int64_t time_us = 0;
  std::optional<std::int64_t> code;
  std::optional<std::string> reason;
  Uuid hash;
  friend bool operator==(const ConnectionEnd&, const ConnectionEnd&) = default;
};

/// What all events of one entry say together. What no event said is nothing, never a stand-in.
struct ConnectionEntry {
  Uuid entry;
  Uuid id;
  Uuid organization;
  Uuid workspace;
  std::optional<Uuid> connection;

  EventRank first;  ///< the earliest event, which these are from:
  Uuid owner;
  std::string workspace_name;
  std::string agent_name;
  std::string type;

  std::optional<std::int64_t> first_connect_us;
  std::optional<std::int64_t> last_connect_us;
  std::optional<ConnectionEnd> end;

  /// Each from the earliest event that has it.
  std::optional<Said<std::string>> ip;
  std::optional<Said<std::string>> user_agent;
  std::optional<Said<Uuid>> user;
  std::optional<Said<std::string>> slug_or_port;
  /// Of a session's connects; a point in time has its own in `end`.
  std::optional<Said<std::int64_t>> connect_code;
  std::optional<Said<std::string>> connect_reason;

  /// No disconnect, or a connect later than it. A point in time is never ongoing.
  bool ongoing() const;
  friend bool operator==(const ConnectionEntry&, const ConnectionEntry&) = default;
};

/// What one event alone says.
ConnectionEntry to_entry(ConnectionEvent event);

/// Joins what others said about the same entry into `whole`. Commutative, associative and idempotent, so that order,
/// grouping and repeats make no difference; db/migrations/0003_connections.sql does the same.
void join(ConnectionEntry& whole, ConnectionEntry&& part);

/// Encodes one `connection` payload behind what `out` holds: u32 groups, each as u8 keyed, then (if keyed) key and body
/// hash, u32 count, events. Events without a key are one group; a key's events are applied together or not at all.
class ConnectionEncoder {
 public:
  explicit ConnectionEncoder(std::string& out);
  /// As `KeyedEncoder::begin_effect`.
  void begin_effect(const Uuid& key, std::uint64_t body);
  void add(const ConnectionEvent& event);
  std::uint32_t groups() const { return groups_; }
  void finish();

 private:
  void begin_group(bool keyed);
  void end_group();
  std::string& out_;
  std::size_t start_;
  std::size_t count_at_ = 0;
  std::uint32_t groups_ = 0;
  std::uint32_t count_ = 0;
};

/// Appends what the event says, without `entry`, `id` and `hash`: the canonical event, of which `hash` is taken.
void append_canonical(std::string& out, const ConnectionEvent& event);

/// The key of a group and the hash of the body it came with.
struct GroupKey {
  Uuid key;
  std::uint64_t body = 0;
};

/// All groups of a payload have keys, or its only one has none.
bool has_keys(std::span<const std::byte> connections) noexcept;

namespace detail {

struct ConnectionGroup {
  std::optional<GroupKey> key;
  std::uint32_t count = 0;
};
bool decode_group(std::span<const std::byte> bytes, std::size_t& at, ConnectionGroup& out);
bool decode_event(std::span<const std::byte> bytes, std::size_t& at, ConnectionEvent& out);

}  // namespace detail

/// Walks a `connection` payload: `on_group(key, count)` and then `on_event(event)`, which may move from it, for each of
/// its own. False: malformed, as for `for_each_effect`.
template <class OnGroup, class OnEvent>
bool for_each_connection(std::span<const std::byte> payload, OnGroup&& on_group, OnEvent&& on_event) {
  std::size_t at = 0;
  std::uint32_t groups = 0;
  if (!decode_u32(payload, at, groups)) return false;
  for (; groups > 0; --groups) {
    detail::ConnectionGroup group;
    if (!detail::decode_group(payload, at, group)) return false;
    on_group(std::as_const(group.key), group.count);
    for (; group.count > 0; --group.count) {
      ConnectionEvent event;
      if (!detail::decode_event(payload, at, event)) return false;
      on_event(event);
    }
  }
  return at == payload.size();
}

}  // namespace tally::tracker
