#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "tracker/errors.hpp"
#include "tracker/record.hpp"

/// The bytes of a journal. All numbers are little-endian.
///
///     <state-dir>/lock                              flock: one daemon; holds its process id
///     <state-dir>/replica_id                        36 characters and a newline, made once
///     <state-dir>/streams/<stream id>/lock          flock: whoever appends or drains
///     <state-dir>/streams/<stream id>/00000001.seg  segments, numbered without gaps from 1; old ones may be gone
///
/// Segment header, 64 bytes:
///
///      0  magic "tallyjrn"       8  u32 version (1)        12  u32 number of the segment
///     16  stream id, 16 bytes   32  u64 LSN of the first record that may follow
///     40  u64 chain before it   48  i64 made at, Unix ms   56  u32 zero   60  u32 crc32c of the 60 bytes before
///
/// Records follow without gaps; what is left of the segment is zeros (it is preallocated, a full disk shows early).
/// A record never spans segments. Record header, 28 bytes:
///
///      0  u32 crc32c of everything after it, payload included, continued from the crc32c of the stream id
///      4  u32 payload bytes
///      8  u64 LSN: the one before plus 1, also across segments
///     16  u64 appended at, Unix ms (low 48 bits) | type (8 bits) | zero (8 bits)
///     24  u32 LSN minus the last LSN known durable when this was written; 2^32-1: that or more
///
/// chain(n) = XXH3_64bits_withSeed(header and payload of record n, chain(n-1)), chain(0) = 0.
///
/// The valid records end at the first one whose checksum, LSN or size is wrong. In the last segment that is the normal
/// end: zeros, or the torn remains of a group that was never acknowledged. It is damage instead if a later segment
/// exists, or if a good record behind it says (offset 24) that the bad one had been durable before. One thing cannot be
/// told from a torn group: damage to the very last group of a stream.
///
/// A sector of 512 bytes is taken to be written whole or not at all, and to keep its old bytes when others in it
/// change.
namespace tally::journal {

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kSegmentHeaderBytes = 64;
inline constexpr std::size_t kRecordHeaderBytes = 28;
/// Above the largest request body (8 MiB) whatever its encoding; below a segment.
inline constexpr std::size_t kMaxPayloadBytes = 12u << 20;
inline constexpr std::uint64_t kSegmentBytes = 16u << 20;
inline constexpr std::uint64_t kTimeMask = (std::uint64_t{1} << 48) - 1;
inline constexpr std::uint32_t kUnsyncedMany = 0xffffffff;

struct SegmentHeader {
  tracker::StreamId stream;
  std::uint32_t number = 1;
  tracker::Lsn first = 1;
  tracker::Chain chain = 0;
  tracker::WallTime made_at{};
  friend bool operator==(const SegmentHeader&, const SegmentHeader&) = default;
};

struct RecordHeader {
  std::uint32_t crc = 0;
  std::uint32_t payload_bytes = 0;
  tracker::Lsn lsn = 0;
  tracker::WallTime appended_at{};
  tracker::RecordType type{};
  std::uint32_t unsynced = 0;
};

void encode(const SegmentHeader& header, std::span<std::byte, kSegmentHeaderBytes> out) noexcept;
/// `corrupt`: not a header. `not_supported` (generic): of a newer version.
tracker::Result<SegmentHeader> decode_segment_header(std::span<const std::byte> bytes);

/// What the checksum of each record of a stream is continued from.
std::uint32_t crc_seed(const tracker::StreamId& stream) noexcept;
/// Writes the header in front of a payload that is already in its place, so that `out` is the whole record.
void seal_record(const RecordHeader& header, std::uint32_t seed, std::span<std::byte> out) noexcept;
/// The fields as they stand; nothing is checked. `bytes` holds at least a header.
inline RecordHeader decode_record_header(const std::byte* bytes) noexcept {
  RecordHeader header;
  std::uint64_t word;
  std::memcpy(&header.crc, bytes, 4);
  std::memcpy(&header.payload_bytes, bytes + 4, 4);
  std::memcpy(&header.lsn, bytes + 8, 8);
  std::memcpy(&word, bytes + 16, 8);
  std::memcpy(&header.unsynced, bytes + 24, 4);
  header.appended_at = tracker::WallTime(std::chrono::milliseconds(word & kTimeMask));
  header.type = static_cast<tracker::RecordType>(word >> 48 & 0xff);
  return header;
}
/// `record`: header and payload.
bool crc_matches(std::span<const std::byte> record, std::uint32_t seed) noexcept;
tracker::Chain next_chain(std::span<const std::byte> record, tracker::Chain before) noexcept;

std::string segment_name(std::uint32_t number);
/// 0: not the name of a segment.
std::uint32_t segment_number(std::string_view name) noexcept;

}  // namespace tally::journal
