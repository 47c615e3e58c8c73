#include "journal/reader.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "fixture.hpp"
#include "journal/detail/crc32c.hpp"

namespace tally::journal {
namespace {

using testing::ElementsAre;
using tracker::Errc;
using tracker::Lsn;

class ReaderOf : public JournalOnFaultDisk {
 protected:
  /// Records "0.", "1.", ... in groups of one to three.
  void write(int records, std::size_t size) {
    start();
    stream_ = *writer->stream();
    for (int i = 0, group_size = 1; i < records; group_size = group_size % 3 + 1) {
      tracker::AppendGroup group;
      for (int k = 0; k < group_size && i < records; ++k, ++i) {
        payloads_.push_back(std::to_string(i) + "." + std::string(size + static_cast<std::size_t>(i) % 7, 'x'));
        group.push_back(a_record(payloads_.back()));
      }
      last_group_ = group.size();
      writer->append(std::move(group));
    }
    writer->cut(0);
    segments_ = *directory->segments(stream_);
  }
  bool is_prefix(const std::vector<std::string>& found) const {
    return found.size() <= payloads_.size() && std::equal(found.begin(), found.end(), payloads_.begin());
  }
  std::vector<std::byte>& content(std::uint32_t number) { return disk.content(segment_path(stream_, number)); }
  Lsn first_of(std::uint32_t number) { return decode_segment_header(content(number))->first; }

  tracker::StreamId stream_;
  std::vector<std::string> payloads_;
  std::vector<std::uint32_t> segments_;
  std::size_t last_group_ = 0;
};

TEST_F(ReaderOf, AWholeStreamGivesWhatWasWrittenWithTheWritersChain) {
  write(50, 40);
  const auto back = read(stream_);
  EXPECT_EQ(back.payloads, payloads_);
  EXPECT_EQ(back.end.last, 50u);
  EXPECT_EQ(back.end.chain, delivered.cuts.back().chain);
  EXPECT_FALSE(back.end.more);
}

TEST_F(ReaderOf, AnyRangeGivesThatRange) {
  write(30, 40);
  const auto all = read(stream_);
  for (Lsn after = 0; after <= 30; ++after)
    for (Lsn upto = after; upto <= 31; ++upto) {
      Reader reader(*directory);
      const auto part = read_all(reader, stream_, after, upto);
      ASSERT_FALSE(part.error);
      const auto end = std::min<Lsn>(upto, 30);
      ASSERT_EQ(part.payloads, std::vector<std::string>(payloads_.begin() + static_cast<long>(after),
                                                        payloads_.begin() + static_cast<long>(end)));
      ASSERT_EQ(part.end.last, end);
      ASSERT_EQ(part.end.chain, end == 0 ? 0 : all.chains[end - 1]);
      ASSERT_EQ(part.end.more, upto <= 30);
      ASSERT_EQ(reader.chain_at(stream_, end).value(), part.end.chain);
    }
}

TEST_F(ReaderOf, ManySmallReadsAddUpToTheWhole) {
  write(60, 40);
  Reader reader(*directory);
  std::vector<std::string> found;
  Lsn after = 0;
  for (bool more = true; more;) {
    const auto part = read_all(reader, stream_, after, ~Lsn{0}, 100);
    ASSERT_FALSE(part.error);
    ASSERT_TRUE(!part.payloads.empty() || !part.end.more);
    found.insert(found.end(), part.payloads.begin(), part.payloads.end());
    after = part.end.last;
    more = part.end.more;
  }
  EXPECT_EQ(found, payloads_);
}

TEST_F(ReaderOf, ARecordThatTheSinkRefusesComesAgain) {
  write(10, 40);
  Reader reader(*directory);
  std::vector<Lsn> offered;
  const auto end = reader.read(stream_, 0, 10, 1 << 20, [&](const tracker::RecordView& record) {
    offered.push_back(record.lsn);
    return record.lsn < 4;
  });
  EXPECT_EQ(end->last, 3u);
  EXPECT_TRUE(end->more);
  EXPECT_EQ(reader.chain_at(stream_, 3).value(), end->chain);
  EXPECT_EQ(read_all(reader, stream_, 3).payloads.size(), 7u);
}

TEST_F(ReaderOf, TheOwnStreamSeesWhatWasDeliveredSinceTheLastRead) {
  write(5, 40);
  Reader reader(*directory);
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(read_all(reader, stream_, delivered.good.back().lsn - 1, delivered.good.back().lsn).payloads.back(),
              delivered.good.back().payload);
    writer->append(a_group({"more" + std::to_string(i)}));
  }
}

TEST_F(ReaderOf, PastTheEndIsAnEmptyRead) {
  write(5, 40);
  const auto back = read(stream_, 1000);
  EXPECT_FALSE(back.error);
  EXPECT_TRUE(back.payloads.empty());
  EXPECT_EQ(back.end.last, 1000u);
  Reader reader(*directory);
  EXPECT_EQ(reader.chain_at(stream_, 6).error(), Errc::not_found);
}

TEST_F(ReaderOf, AnUnknownStreamIsNotFound) {
  start();
  EXPECT_EQ(read({tracker::Uuid::random()}).error, Errc::not_found);
}

TEST_F(ReaderOf, AMissingOldSegmentIsLegalOnlyWhenItWasApplied) {
  write(50, 40);
  const auto second = first_of(2);
  ASSERT_TRUE(disk.remove(segment_path(stream_, 1)));
  EXPECT_EQ(read(stream_, 0).error, Errc::not_found);
  EXPECT_EQ(read(stream_, second - 2).error, Errc::not_found);
  const auto back = read(stream_, second - 1);
  EXPECT_FALSE(back.error);
  EXPECT_EQ(back.payloads.size(), 50 - (second - 1));
  Reader reader(*directory);
  EXPECT_EQ(reader.chain_at(stream_, second - 2).error(), Errc::not_found);
  EXPECT_TRUE(reader.chain_at(stream_, second - 1));
  EXPECT_EQ(seen.corruptions, 0u);
}

TEST_F(ReaderOf, AMissingSegmentInTheMiddleIsDamage) {
  write(50, 40);
  const auto second = first_of(2), third = first_of(3);
  ASSERT_TRUE(disk.remove(segment_path(stream_, 2)));
  const auto back = read(stream_);
  EXPECT_EQ(back.error, Errc::corrupt);
  EXPECT_EQ(back.payloads.size(), second - 1);
  EXPECT_TRUE(is_prefix(back.payloads));
  EXPECT_EQ(seen.corruptions, 1u);
  EXPECT_FALSE(read(stream_, third - 1).error) << "what was applied may be gone";
}

TEST_F(ReaderOf, AMissingSegmentBeforeAnUnfinishedOneIsDamage) {
  write(50, 40);
  for (auto number = segments_.back(); number > 3; --number) ASSERT_TRUE(disk.remove(segment_path(stream_, number)));
  std::fill(content(3).begin(), content(3).end(), std::byte{0});
  EXPECT_FALSE(read(stream_).error);
  ASSERT_TRUE(disk.remove(segment_path(stream_, 2)));
  EXPECT_EQ(read(stream_).error, Errc::corrupt);
}

TEST_F(ReaderOf, ASegmentOfAForkOfTheStreamIsDamage) {
  write(50, 40);
  auto& header = content(2);
  SegmentHeader fork = *decode_segment_header(header);
  fork.chain ^= 1;
  encode(fork, std::span(header).first<kSegmentHeaderBytes>());
  EXPECT_EQ(read(stream_).error, Errc::corrupt);
}

TEST_F(ReaderOf, ASegmentOfAnotherStreamIsDamage) {
  write(50, 40);
  auto& header = content(2);
  SegmentHeader other = *decode_segment_header(header);
  other.stream = {tracker::Uuid::random()};
  encode(other, std::span(header).first<kSegmentHeaderBytes>());
  EXPECT_EQ(read(stream_).error, Errc::corrupt);
}

TEST_F(ReaderOf, ANewerVersionIsToldApartFromDamage) {
  write(50, 40);
  auto& header = content(2);
  header[8] = std::byte{kFormatVersion + 1};
  const auto crc = detail::crc32c(std::span(header).first(60));
  std::memcpy(header.data() + 60, &crc, 4);
  const auto back = read(stream_);
  EXPECT_EQ(back.error, boost::system::errc::not_supported);
  EXPECT_TRUE(is_prefix(back.payloads));
  EXPECT_EQ(seen.corruptions, 0u);
}

// The last group cannot be told from a torn one; everything before it can.
TEST_F(ReaderOf, EveryFlippedByteEndsTheReadBeforeItAndIsReported) {
  write(40, 30);
  ASSERT_GT(segments_.size(), 2u);
  for (const auto mask : {std::byte{0xff}, std::byte{0x01}, std::byte{0x80}}) {
    for (const auto number : segments_) {
      auto& bytes = content(number);
      for (std::size_t at = 0; at < bytes.size(); ++at) {
        bytes[at] ^= mask;
        seen.corruptions = 0;
        const auto back = read(stream_);
        ASSERT_TRUE(is_prefix(back.payloads)) << number << ":" << at;
        ASSERT_EQ(seen.corruptions, back.error == Errc::corrupt ? 1u : 0u);
        ASSERT_TRUE(back.payloads.size() + last_group_ >= payloads_.size() || back.error == Errc::corrupt)
            << number << ":" << at << " lost " << payloads_.size() - back.payloads.size() << " in silence";
        bytes[at] ^= mask;
      }
    }
  }
  EXPECT_EQ(read(stream_).payloads, payloads_);
}

TEST_F(ReaderOf, EveryTruncationGivesThePrefix) {
  write(40, 30);
  for (const auto number : segments_) {
    const auto whole = content(number);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      content(number).resize(size);
      const auto back = read(stream_);
      ASSERT_TRUE(is_prefix(back.payloads));
      const bool complete = back.payloads.size() == payloads_.size();
      if (number != segments_.back()) {
        ASSERT_TRUE(complete || back.error == Errc::corrupt) << number << ":" << size;
      } else {
        ASSERT_FALSE(back.error) << number << ":" << size;
      }
      content(number) = whole;
    }
  }
}

TEST_F(ReaderOf, TenThousandRandomInjuriesNeverDoMoreThanEndIt) {
  options.segment_bytes = 8 << 10;
  write(400, 60);
  const std::uint64_t seed = testing::UnitTest::GetInstance()->random_seed();
  SCOPED_TRACE("--gtest_random_seed=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::vector<std::vector<std::byte>> whole;
  for (const auto number : segments_) whole.push_back(content(number));
  for (int round = 0; round < 10'000; ++round) {
    const auto hit = random() % segments_.size();
    auto& bytes = content(segments_[hit]);
    for (auto flips = random() % 4; flips < 4; ++flips) bytes[random() % bytes.size()] ^= std::byte(1 << random() % 8);
    if (round % 7 == 0) bytes.resize(random() % bytes.size());
    if (round % 11 == 0 && bytes.size() > 600)
      std::copy_n(bytes.begin() + static_cast<long>(random() % 300), 200,
                  bytes.begin() + static_cast<long>(random() % 300));
    const auto after = random() % 2 == 0 ? 0 : random() % 401;
    const auto back = read(stream_, after);
    ASSERT_TRUE(back.payloads.size() + after <= 400 || back.payloads.empty());
    ASSERT_TRUE(std::equal(back.payloads.begin(), back.payloads.end(), payloads_.begin() + static_cast<long>(after)));
    bytes = whole[hit];
  }
  EXPECT_EQ(read(stream_).payloads, payloads_);
}

TEST_F(ReaderOf, PayloadsThatLookLikeRecordsAreNotTakenForOnes) {
  start();
  stream_ = *writer->stream();
  std::string fake(600, '\0');
  for (std::size_t at = 0; at + kRecordHeaderBytes <= fake.size(); at += kRecordHeaderBytes) {
    const std::span out(reinterpret_cast<std::byte*>(fake.data() + at), kRecordHeaderBytes);
    seal_record({.payload_bytes = 0, .lsn = 3, .type = tracker::RecordType::boundary, .unsynced = 1}, crc_seed({}),
                out);
  }
  writer->append(a_group({"a", fake}));
  content(1)[kSegmentHeaderBytes + 30] ^= std::byte{1};  // tears the one group there is
  const auto back = read(stream_);
  EXPECT_FALSE(back.error) << "a record is bound to its stream by its checksum";
}

TEST(Golden, AJournalOfVersion1IsReadForEver) {
  const tracker::StreamId stream{*tracker::Uuid::parse("00112233-4455-4677-8899-aabbccddeeff")};
  test::FaultDisk disk;
  Seen seen;
  auto options = small_segments();
  Directory directory(disk, options, seen);
  ASSERT_TRUE(disk.make_directory(directory.stream_path(stream)));
  for (const auto* name : {"00000001.seg", "00000002.seg"}) {
    std::ifstream in(std::string(TALLY_GOLDEN_DIR) + "/journal-v1/" + name, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    ASSERT_FALSE(bytes.empty()) << name;
    auto file = disk.create(directory.stream_path(stream) + "/" + name);
    ASSERT_TRUE((*file)->write_at(0, std::as_bytes(std::span(bytes))));
  }
  Reader reader(directory);
  const auto back = read_all(reader, stream);
  EXPECT_FALSE(back.error);
  EXPECT_THAT(back.payloads, ElementsAre("one", "", std::string(900, 'x'), "four"));
  EXPECT_EQ(back.end.chain, 6367688283304810491u);
}

}  // namespace
}  // namespace tally::journal
