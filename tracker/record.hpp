#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>

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
  /// Keyed effects, each all or nothing: u32 effects, then each as key (16 bytes), body hash (8), u32 count,
  /// increments.
  boundary_keyed = 2,
  /// The row of the stream whose id (16 bytes) is the payload exists in the store.
  registered = 3,
  /// Connection events, with keys or without: connection.hpp.
  connection = 4,
  /// Usage events: usage.hpp.
  usage = 5,
};

inline constexpr std::uint64_t kLargestCount = (1ULL << 53) - 1;

/// "Workspace W of owner U made `allowed` allowed and `denied` denied requests." Counts are at most `kLargestCount`.
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

/// Two ids and two LEB128 numbers. Counts in range take 8 bytes at most; there is room for any.
inline constexpr std::size_t kLargestIncrementBytes = 16 + 16 + 10 + 10;

namespace detail {

/// Writes behind the end of a string without a call per field; the string is longer than its content until `finish`.
class PayloadWriter {
 public:
  /// `expected_bytes`: how much will about be written; only a guess that saves growing.
  PayloadWriter(std::string& out, std::size_t expected_bytes);
  PayloadWriter(const PayloadWriter&) = delete;
  PayloadWriter& operator=(const PayloadWriter&) = delete;

  std::size_t size() const { return static_cast<std::size_t>(at_ - out_.data()); }
  template <class Word>
  void put_word(const Word& word) {
    static_assert(sizeof word <= kLargestIncrementBytes);
    make_room();
    std::memcpy(at_, &word, sizeof word);
    at_ += sizeof word;
  }
  void put(const Increment& increment) {
    make_room();
    std::memcpy(at_, increment.workspace.bytes.data(), 16);
    std::memcpy(at_ + 16, increment.owner.bytes.data(), 16);
    at_ += 32;
    put_number(increment.allowed);
    put_number(increment.denied);
  }
  template <class Word>
  void overwrite(std::size_t at, const Word& word) {
    std::memcpy(out_.data() + at, &word, sizeof word);
  }
  void finish();

 private:
  void make_room() {
    if (static_cast<std::size_t>(end_ - at_) < kLargestIncrementBytes) [[unlikely]]
      grow();
  }
  void grow();
  void put_number(std::uint64_t number) {
    if (number < 0x4000) [[likely]] {  // both lengths without a branch, which no predictor would get right
      const unsigned more = number >= 0x80;
      at_[0] = static_cast<char>(number | more << 7);
      at_[1] = static_cast<char>(number >> 7);
      at_ += 1 + more;
      return;
    }
    while (number >= 0x80) {
      *at_++ = static_cast<char>(number | 0x80);
      number >>= 7;
    }
    *at_++ = static_cast<char>(number);
  }
  std::string& out_;
  char* at_ = nullptr;
  char* end_ = nullptr;
};

}  // namespace detail

/// Encodes one `boundary` payload behind what `out` holds. Counts above `kLargestCount` are the caller's mistake.
class BoundaryEncoder {
 public:
  explicit BoundaryEncoder(std::string& out, std::size_t expected_bytes = 0);
  void add(const Increment& increment) {
    writer_.put(increment);
    ++count_;
  }
  std::uint32_t count() const { return count_; }
  /// Writes the count into its place; the payload is complete after this, and nothing may be added.
  void finish();

 private:
  detail::PayloadWriter writer_;
  std::size_t start_;
  std::uint32_t count_ = 0;
};

/// Encodes one `boundary_keyed` payload: `begin_effect`, its increments, and again; `finish` at the end.
class KeyedEncoder {
 public:
  explicit KeyedEncoder(std::string& out, std::size_t expected_bytes = 0);
  /// `key`: accounting.md section 9. `body`: first 8 bytes of SHA-256 of the request body, to tell conflicts.
  void begin_effect(const Uuid& key, std::uint64_t body);
  void add(const Increment& increment) {
    writer_.put(increment);
    ++count_;
  }
  std::uint32_t effects() const { return effects_; }
  void finish();

 private:
  void end_effect();
  detail::PayloadWriter writer_;
  std::size_t start_;
  std::size_t effect_count_at_ = 0;
  std::uint32_t effects_ = 0;
  std::uint32_t count_ = 0;
};

/// Each reads from `bytes` starting at `*at`; false when malformed (never reads past the end).
bool decode_u32(std::span<const std::byte> bytes, std::size_t& at, std::uint32_t& out) noexcept;
bool decode_u64(std::span<const std::byte> bytes, std::size_t& at, std::uint64_t& out) noexcept;
bool decode_uuid(std::span<const std::byte> bytes, std::size_t& at, Uuid& out) noexcept;

namespace detail {

inline bool decode_number(std::span<const std::byte> bytes, std::size_t& at, std::uint64_t& out) noexcept {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 56; shift += 7) {
    if (at == bytes.size()) return false;
    const auto byte = static_cast<std::uint64_t>(bytes[at++]);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      out = value;
      return value <= kLargestCount;
    }
  }
  return false;
}

}  // namespace detail

inline bool decode_increment(std::span<const std::byte> bytes, std::size_t& at, Increment& out) noexcept {
  if (bytes.size() - at < 34) return false;
  std::memcpy(out.workspace.bytes.data(), bytes.data() + at, 16);
  std::memcpy(out.owner.bytes.data(), bytes.data() + at + 16, 16);
  at += 32;
  return detail::decode_number(bytes, at, out.allowed) && detail::decode_number(bytes, at, out.denied);
}

/// Walks a `boundary_keyed` payload: `on_effect(key, body, increments)` and then `on_increment(increment)` for each of
/// its own. False: malformed; what preceded the damage has been handed out. Records are checksummed, so that is a
/// broken writer.
template <class OnEffect, class OnIncrement>
bool for_each_effect(std::span<const std::byte> payload, OnEffect&& on_effect, OnIncrement&& on_increment) {
  std::size_t at = 0;
  std::uint32_t effects = 0;
  if (!decode_u32(payload, at, effects)) return false;
  for (; effects > 0; --effects) {
    Uuid key;
    std::uint64_t body = 0;
    std::uint32_t count = 0;
    if (!decode_uuid(payload, at, key) || !decode_u64(payload, at, body) || !decode_u32(payload, at, count))
      return false;
    on_effect(std::as_const(key), body, count);
    for (Increment increment; count > 0; --count) {
      if (!decode_increment(payload, at, increment)) return false;
      on_increment(std::as_const(increment));
    }
  }
  return at == payload.size();
}

/// Walks the increments of a `boundary` or `boundary_keyed` payload, whatever their keys. False as above, and for other
/// types.
template <class OnIncrement>
bool for_each_increment(RecordType type, std::span<const std::byte> payload, OnIncrement&& on_increment) {
  if (type == RecordType::boundary_keyed)
    return for_each_effect(
        payload, [](const Uuid&, std::uint64_t, std::uint32_t) {}, on_increment);
  std::size_t at = 0;
  std::uint32_t count = 0;
  if (type != RecordType::boundary || !decode_u32(payload, at, count)) return false;
  for (Increment increment; count > 0; --count) {
    if (!decode_increment(payload, at, increment)) return false;
    on_increment(std::as_const(increment));
  }
  return at == payload.size();
}

}  // namespace tally::tracker
