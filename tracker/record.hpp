#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "tracker/clock.hpp"
#include "tracker/uuid.hpp"

namespace tally::tracker {

/// Position of a record in its stream: 1, 2, 3, ... without gaps. 0 is "before the first".
using Lsn = std::uint64_t;
/// Running hash over all records of a stream up to an LSN; 0 before the first.
using Chain = std::uint64_t;
using PeriodId = std::int64_t;

struct StreamId {
  Uuid uuid;
  friend auto operator<=>(const StreamId&, const StreamId&) = default;
};

/// Numbers are part of the journal's format: never renumbered.
enum class RecordType : std::uint8_t {
  /// Increments without a key: u32 count, then the increments.
  boundary = 1,
  /// Keyed effects, each all or nothing: u32 effects, then each as key (16 bytes), body hash (8), u32 count, increments.
  boundary_keyed = 2,
  /// The stream's row exists in the store. Empty payload.
  registered = 3,
  connection = 4,
  usage = 5,
};

/// "Workspace W of owner U made `allowed` allowed and `denied` denied requests." Counts are at most 2^53-1.
struct Increment {
  Uuid workspace;
  Uuid owner;
  std::uint64_t allowed = 0;
  std::uint64_t denied = 0;
  friend bool operator==(const Increment&, const Increment&) = default;
};

/// A record as a reader hands it out; `payload` is valid only during the call.
struct RecordView {
  Lsn lsn = 0;
  Chain chain = 0;  ///< after this record
  RecordType type{};
  WallTime appended_at{};
  std::span<const std::byte> payload;
};

/// Encodes one `boundary` payload in place: 16 + 16 bytes and two LEB128 numbers per increment, little-endian count.
/// The caller keeps one and clears it per request, so that the hot path does not allocate.
class BoundaryEncoder {
 public:
  explicit BoundaryEncoder(std::string& out) : out_(out) { begin(); }
  void begin();
  void add(const Increment& increment);
  std::uint32_t count() const { return count_; }
  /// Writes the count into its place; the payload is complete after this.
  void finish();

 private:
  std::string& out_;
  std::size_t start_ = 0;
  std::uint32_t count_ = 0;
};

/// Encodes one `boundary_keyed` payload: `begin_effect`, its increments, and again; `finish` at the end.
class KeyedEncoder {
 public:
  explicit KeyedEncoder(std::string& out);
  /// `key`: accounting.md section 9. `body`: first 8 bytes of SHA-256 of the request body, to tell conflicts.
  void begin_effect(const Uuid& key, std::uint64_t body);
  void add(const Increment& increment);
  std::uint32_t effects() const { return effects_; }
  void finish();

 private:
  void end_effect();
  std::string& out_;
  std::size_t start_ = 0;
  std::size_t effect_count_at_ = 0;
  std::uint32_t effects_ = 0;
  std::uint32_t count_ = 0;
};

/// Reads increments from `bytes` starting at `*at`; false when malformed (never reads past the end).
bool decode_increment(std::span<const std::byte> bytes, std::size_t& at, Increment& out) noexcept;
bool decode_u32(std::span<const std::byte> bytes, std::size_t& at, std::uint32_t& out) noexcept;
bool decode_u64(std::span<const std::byte> bytes, std::size_t& at, std::uint64_t& out) noexcept;
bool decode_uuid(std::span<const std::byte> bytes, std::size_t& at, Uuid& out) noexcept;

}  // namespace tally::tracker
