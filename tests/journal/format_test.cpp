#include "journal/format.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string_view>

#include "journal/detail/crc32c.hpp"

namespace tally::journal {
namespace {

using tracker::RecordType;
using tracker::StreamId;
using tracker::WallTime;

const StreamId kStream{*tracker::Uuid::parse("00112233-4455-4677-8899-aabbccddeeff")};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const auto byte : bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[static_cast<unsigned>(byte) >> 4];
    text += kDigits[static_cast<unsigned>(byte) & 15];
  }
  return text;
}

std::vector<std::byte> a_record(std::string_view payload, RecordHeader header) {
  std::vector<std::byte> record(kRecordHeaderBytes + payload.size());
  std::memcpy(record.data() + kRecordHeaderBytes, payload.data(), payload.size());
  header.payload_bytes = static_cast<std::uint32_t>(payload.size());
  seal_record(header, crc_seed(kStream), record);
  return record;
}

const RecordHeader kHeader{.lsn = 7,
                           .appended_at = WallTime(std::chrono::milliseconds(1'700'000'000'123)),
                           .type = RecordType::boundary,
                           .unsynced = 2};

TEST(Crc32c, HasTheValueOfRfc3720) {
  EXPECT_EQ(detail::crc32c(bytes_of("123456789")), 0xe3069283u);
}

TEST(Crc32c, IsTheSameInSoftwareAndHardwareAndInPieces) {
  std::string text(1000, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 131 + 7);
  for (std::size_t size = 0; size < text.size(); size += 13) {
    const auto bytes = bytes_of(text).first(size);
    const auto software = detail::crc32c_software(bytes, 0);
    if (detail::has_crc32c_hardware()) {
      EXPECT_EQ(detail::crc32c_hardware(bytes, 0), software);
    }
    EXPECT_EQ(detail::crc32c(bytes.subspan(size / 3), detail::crc32c(bytes.first(size / 3))), software);
  }
}

TEST(SegmentHeader, ReadsBackWhatWasWritten) {
  const SegmentHeader header{kStream, 3, 1000, 0xfeedfacecafebeef, kHeader.appended_at};
  std::array<std::byte, kSegmentHeaderBytes> bytes;
  encode(header, bytes);
  EXPECT_EQ(decode_segment_header(bytes).value(), header);
}

TEST(SegmentHeader, NoticesEveryFlippedBitAndEveryTruncation) {
  std::array<std::byte, kSegmentHeaderBytes> bytes;
  encode({kStream, 3, 1000, 5, kHeader.appended_at}, bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
    EXPECT_EQ(decode_segment_header(bytes).error(), tracker::Errc::corrupt) << bit;
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
  }
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_TRUE(decode_segment_header(std::span(bytes).first(size)).has_error()) << size;
}

TEST(SegmentHeader, OfANewerVersionIsNotTakenForDamage) {
  std::array<std::byte, kSegmentHeaderBytes> bytes;
  encode({kStream, 1, 1, 0, kHeader.appended_at}, bytes);
  bytes[8] = std::byte{kFormatVersion + 1};
  const auto crc = detail::crc32c(std::span(bytes).first(60));
  std::memcpy(bytes.data() + 60, &crc, 4);
  EXPECT_EQ(decode_segment_header(bytes).error(), boost::system::errc::not_supported);
}

TEST(Record, ReadsBackWhatWasWritten) {
  const auto record = a_record("payload", kHeader);
  ASSERT_TRUE(crc_matches(record, crc_seed(kStream)));
  const auto header = decode_record_header(record.data());
  EXPECT_EQ(header.payload_bytes, 7u);
  EXPECT_EQ(header.lsn, 7u);
  EXPECT_EQ(header.appended_at, kHeader.appended_at);
  EXPECT_EQ(header.type, RecordType::boundary);
  EXPECT_EQ(header.unsynced, 2u);
}

TEST(Record, NoticesEveryFlippedBit) {
  auto record = a_record("payload", kHeader);
  for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
    record[bit / 8] ^= std::byte{1} << bit % 8;
    EXPECT_FALSE(crc_matches(record, crc_seed(kStream))) << bit;
    record[bit / 8] ^= std::byte{1} << bit % 8;
  }
}

TEST(Record, OfAnotherStreamDoesNotMatch) {
  EXPECT_FALSE(crc_matches(a_record("payload", kHeader), crc_seed(StreamId{})));
}

TEST(Record, ZerosAreNotARecord) {
  const std::vector<std::byte> zeros(kRecordHeaderBytes);
  EXPECT_FALSE(crc_matches(zeros, crc_seed(kStream)));
}

TEST(Chain, DependsOnEveryRecordBefore) {
  const auto a = a_record("a", kHeader);
  const auto b = a_record("b", kHeader);
  EXPECT_NE(next_chain(b, next_chain(a, 0)), next_chain(b, next_chain(b, 0)));
}

// Released bytes: a change here makes the journals of running replicas unreadable.
TEST(Format, IsTheGoldenOne) {
  std::array<std::byte, kSegmentHeaderBytes> header;
  encode({kStream, 3, 1000, 0x0123456789abcdef, kHeader.appended_at}, header);
  EXPECT_EQ(hex(header),
            "74616c6c796a726e010000000300000000112233445546778899aabbccddeeff"
            "e803000000000000efcdab89674523017b68e5cf8b01000000000000321e01b1");
  const auto record = a_record("payload", kHeader);
  EXPECT_EQ(hex(record), "e7e8605b0700000007000000000000007b68e5cf8b010100020000007061796c6f6164");
  EXPECT_EQ(next_chain(record, 42), 5391634794140807594u);
}

TEST(SegmentName, GivesBackItsNumber) {
  EXPECT_EQ(segment_name(1), "00000001.seg");
  EXPECT_EQ(segment_number("00000001.seg"), 1u);
  EXPECT_EQ(segment_number(segment_name(4294967295)), 4294967295u);
  for (const auto* other : {"lock", "", ".seg", "1.seg", "00000000.seg", "00000001.tmp", "0000000x.seg",
                            "000000001.seg", "-0000001.seg", "99999999999.seg"})
    EXPECT_EQ(segment_number(other), 0u) << other;
}

}  // namespace
}  // namespace tally::journal
