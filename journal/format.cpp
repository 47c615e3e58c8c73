#include "journal/format.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "journal/detail/crc32c.hpp"

namespace tally::journal {
namespace {

static_assert(std::endian::native == std::endian::little, "the journal's format is little-endian");

constexpr char kMagic[8] = {'t', 'a', 'l', 'l', 'y', 'j', 'r', 'n'};

template <class Word>
void put(std::byte* at, Word word) noexcept {
  std::memcpy(at, &word, sizeof word);
}

template <class Word>
Word get(const std::byte* at) noexcept {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

}  // namespace

void encode(const SegmentHeader& header, std::span<std::byte, kSegmentHeaderBytes> out) noexcept {
  std::byte* at = out.data();
  std::memcpy(at, kMagic, 8);
  put(at + 8, kFormatVersion);
  put(at + 12, header.number);
  std::memcpy(at + 16, header.stream.uuid.bytes.data(), 16);
  put(at + 32, header.first);
  put(at + 40, header.chain);
  put(at + 48, static_cast<std::int64_t>(header.made_at.time_since_epoch().count()));
  put(at + 56, std::uint32_t{0});
  put(at + 60, detail::crc32c(out.first<60>()));
}

tracker::Result<SegmentHeader> decode_segment_header(std::span<const std::byte> bytes) {
  if (bytes.size() < kSegmentHeaderBytes) return tracker::Errc::corrupt;
  const std::byte* at = bytes.data();
  if (std::memcmp(at, kMagic, 8) != 0 || get<std::uint32_t>(at + 60) != detail::crc32c(bytes.first(60)))
    return tracker::Errc::corrupt;
  if (get<std::uint32_t>(at + 8) > kFormatVersion)
    return boost::system::errc::make_error_code(boost::system::errc::not_supported);
  SegmentHeader header;
  header.number = get<std::uint32_t>(at + 12);
  std::memcpy(header.stream.uuid.bytes.data(), at + 16, 16);
  header.first = get<std::uint64_t>(at + 32);
  header.chain = get<std::uint64_t>(at + 40);
  header.made_at = tracker::WallTime(std::chrono::milliseconds(get<std::int64_t>(at + 48)));
  if (get<std::uint32_t>(at + 8) == 0 || header.first == 0 || header.number == 0) return tracker::Errc::corrupt;
  return header;
}

std::uint32_t crc_seed(const tracker::StreamId& stream) noexcept {
  return detail::crc32c(std::as_bytes(std::span(stream.uuid.bytes)));
}

void seal_record(const RecordHeader& header, std::uint32_t seed, std::span<std::byte> out) noexcept {
  std::byte* at = out.data();
  put(at + 4, header.payload_bytes);
  put(at + 8, header.lsn);
  const auto appended = static_cast<std::uint64_t>(header.appended_at.time_since_epoch().count()) & kTimeMask;
  put(at + 16, appended | static_cast<std::uint64_t>(header.type) << 48);
  put(at + 24, header.unsynced);
  put(at, detail::crc32c(out.subspan(4), seed));
}

bool crc_matches(std::span<const std::byte> record, std::uint32_t seed) noexcept {
  return get<std::uint32_t>(record.data()) == detail::crc32c(record.subspan(4), seed);
}

tracker::Chain next_chain(std::span<const std::byte> record, tracker::Chain before) noexcept {
  return XXH3_64bits_withSeed(record.data(), record.size(), before);
}

std::string segment_name(std::uint32_t number) {
  char name[16];
  std::snprintf(name, sizeof name, "%08u.seg", number);
  return name;
}

std::uint32_t segment_number(std::string_view name) noexcept {
  std::uint32_t number = 0;
  if (name.size() < 12 || !name.ends_with(".seg")) return 0;
  const auto digits = name.substr(0, name.size() - 4);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size()) return 0;
  return name == segment_name(number) ? number : 0;
}

}  // namespace tally::journal
