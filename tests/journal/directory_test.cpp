#include "journal/directory.hpp"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fixture.hpp"

namespace tally::journal {
namespace {

using std::chrono::hours;
using testing::HasSubstr;
using tracker::Errc;
using tracker::Lsn;

/// Real files in a directory of their own.
class OnRealFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "journal_test.XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
    options_.path = path_ + "/state";
    options_.segment_bytes = 64 << 10;
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  std::string refusal() {
    try {
      Directory second(disk_, options_, seen_);
      return "";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }

  std::string path_;
  PosixDisk disk_;
  DirectoryOptions options_;
  Seen seen_;
  tracker::SystemClock clock_;
  Delivered delivered_;
};

using RealDirectory = OnRealFiles;

TEST_F(RealDirectory, KeepsTheReplicaId) {
  tracker::Uuid id;
  {
    const Directory first(disk_, options_, seen_);
    id = first.replica_id();
    EXPECT_FALSE(id.is_nil());
  }
  const Directory second(disk_, options_, seen_);
  EXPECT_EQ(second.replica_id(), id);
}

TEST_F(RealDirectory, SaysWhatIsWrongWithAReplicaId) {
  { const Directory first(disk_, options_, seen_); }
  std::ofstream(options_.path + "/replica_id") << "rubbish\n";
  EXPECT_THAT(refusal(), HasSubstr("replica_id"));
}

TEST_F(RealDirectory, SaysWhoHoldsTheLock) {
  const Directory first(disk_, options_, seen_);
  EXPECT_THAT(refusal(), HasSubstr("in use by process " + std::to_string(::getpid())));
}

TEST_F(RealDirectory, SaysWhenItCannotBeMade) {
  options_.path = path_ + "/missing/state";
  EXPECT_THAT(refusal(), HasSubstr(options_.path));
}

TEST_F(RealDirectory, OfADeadProcessIsTakenOverWithItsStream) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    Directory theirs(disk_, options_, seen_);
    StreamWriter writer(theirs, clock_, delivered_);
    writer.append(a_group({"theirs"}));
    [[maybe_unused]] const auto written = ::write(ends[1], writer.stream()->uuid.bytes.data(), 16);
    ::pause();
    ::_exit(0);
  }
  tracker::StreamId stream;
  ASSERT_EQ(::read(ends[0], stream.uuid.bytes.data(), 16), 16);
  EXPECT_THAT(refusal(), HasSubstr("in use by process " + std::to_string(child)));

  // Correctness does not rest on the lock: somebody who ignores it sees a live stream, and leaves it alone.
  options_.exclusive = false;
  Directory ours(disk_, options_, seen_);
  StreamWriter writer(ours, clock_, delivered_);
  writer.append(a_group({"ours"}));
  EXPECT_NE(writer.stream(), stream);
  ASSERT_EQ(ours.streams()->size(), 2u);
  for (const auto& info : *ours.streams()) EXPECT_TRUE(info.live);
  EXPECT_EQ(ours.claim(stream).error(), Errc::conflict);
  EXPECT_EQ(ours.remove(stream, clock_.wall() + hours(1)).error(), Errc::conflict);

  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(ends[0]);
  ::close(ends[1]);
  for (const auto& info : *ours.streams()) EXPECT_EQ(info.live, info.id != stream);
  const auto claim = ours.claim(stream);
  ASSERT_TRUE(claim);
  Reader reader(ours);
  EXPECT_EQ(read_all(reader, stream).payloads, std::vector<std::string>{"theirs"});
}

TEST_F(RealDirectory, CountsWhatItFinds) {
  std::uint64_t used = 0;
  {
    Directory first(disk_, options_, seen_);
    StreamWriter writer(first, clock_, delivered_);
    for (int i = 0; i < 200; ++i) writer.append(a_group({std::string(1000, 'x')}));
    used = first.quota().used();
    EXPECT_EQ(used, 4 * options_.segment_bytes);
  }
  std::filesystem::create_directory(options_.path + "/streams/not-a-stream");
  std::ofstream(options_.path + "/streams/file") << "x";
  Directory second(disk_, options_, seen_);
  EXPECT_EQ(second.quota().used(), used);
  ASSERT_EQ(second.streams()->size(), 1u);
  EXPECT_EQ(second.streams()->front().segments, 4u);
  EXPECT_EQ(second.streams()->front().bytes, used);
}

TEST_F(RealDirectory, AFullFileIsAnErrorAndNotASignal) {
  const pid_t child = ::fork();
  if (child == 0) {
    Directory directory(disk_, options_, seen_);
    StreamWriter writer(directory, clock_, delivered_);
    writer.append(a_group({"before"}));
    rlimit limit{2000, 2000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    writer.append(a_group({std::string(5000, 'x')}));
    writer.append(a_group({"no stream"}));
    const bool right = delivered_.good.size() == 1 && delivered_.refused.size() == 2 && seen_.sealed == 1 &&
                       delivered_.refused[0].second == Errc::journal_failed &&
                       delivered_.refused[1].second == Errc::journal_full;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

class DeadStream : public JournalOnFaultDisk {
 protected:
  /// A stream of a dead process with several segments.
  tracker::StreamId dead_stream(int records = 60) {
    start();
    const auto stream = *writer->stream();
    for (int i = 0; i < records; ++i) writer->append(a_group({std::to_string(i) + std::string(60, 'x')}));
    start();
    return stream;
  }
  std::size_t segments(const tracker::StreamId& stream) { return directory->segments(stream)->size(); }
};

TEST_F(DeadStream, IsTrimmedToWhatWasApplied) {
  const auto stream = dead_stream();
  const auto later = clock.wall() + hours(1);
  const auto used = directory->quota().used();
  const auto before = segments(stream);
  EXPECT_EQ(directory->trim(stream, 0, later).value(), 0u);
  for (Lsn applied = 1; applied <= 60; ++applied) {
    ASSERT_TRUE(directory->trim(stream, applied, later));
    ASSERT_FALSE(read(stream, applied).error) << "what is not applied is there";
    ASSERT_EQ(read(stream, applied).payloads.size(), 60 - applied);
  }
  EXPECT_EQ(segments(stream), 1u) << "the newest stays";
  EXPECT_EQ(used - directory->quota().used(), (before - 1) * options.segment_bytes);
  EXPECT_EQ(seen.used, directory->quota().used());
}

TEST_F(DeadStream, IsKeptForTheRetention) {
  const auto stream = dead_stream();
  EXPECT_EQ(directory->trim(stream, 60, clock.wall() - hours(24)).value(), 0u);
  EXPECT_FALSE(directory->remove(stream, clock.wall() - hours(24)).value());
  clock.advance(hours(25));
  EXPECT_GT(directory->trim(stream, 60, clock.wall() - hours(24)).value(), 0u);
  EXPECT_TRUE(directory->remove(stream, clock.wall() - hours(24)).value());
  EXPECT_EQ(directory->segments(stream).error(), Errc::not_found);
  EXPECT_EQ(directory->streams()->size(), 1u);
  EXPECT_EQ(directory->quota().used(), options.segment_bytes);
}

TEST_F(DeadStream, GoesEarlierWhenTheQuotaIsShort) {
  options.max_bytes = 10 * options.segment_bytes;
  const auto stream = dead_stream(40);
  writer->close();
  ASSERT_FALSE(directory->quota().is_short());
  EXPECT_EQ(directory->trim(stream, 60, {}).value(), 0u);
  directory->quota().add(5 * options.segment_bytes);
  EXPECT_EQ(directory->trim(stream, 40, {}).value(), 2 * options.segment_bytes) << "no more than needed";
  EXPECT_FALSE(directory->quota().is_short());
}

TEST_F(DeadStream, ThatCannotBeUnlinkedFreesNothing) {
  const auto stream = dead_stream();
  const auto used = directory->quota().used();
  disk.fail_calls(test::FaultDisk::Call::remove, EROFS);
  EXPECT_TRUE(directory->trim(stream, 60, clock.wall() + hours(1)).has_error());
  EXPECT_EQ(directory->quota().used(), used);
}

TEST_F(DeadStream, IsScanned) {
  const auto stream = dead_stream();
  auto scan = directory->scan(stream, 0).value();
  EXPECT_EQ(scan.first, 1u);
  EXPECT_EQ(scan.last, 60u);
  EXPECT_EQ(scan.records, 60u);
  EXPECT_EQ(scan.end, StreamEnd::clean);
  EXPECT_FALSE(scan.gap);
  EXPECT_EQ(scan.chain, read(stream).end.chain);
  EXPECT_EQ(seen.recovered_records, 60u);
  scan = directory->scan(stream, 45).value();
  EXPECT_EQ(scan.last, 60u);
  EXPECT_EQ(scan.records, 15u);
  scan = directory->scan(stream, 100).value();
  EXPECT_EQ(scan.last, 60u);
  EXPECT_EQ(scan.records, 0u);
}

TEST_F(DeadStream, TellsATornEndFromDamage) {
  const auto stream = dead_stream(55);
  auto& tail = disk.content(segment_path(stream, static_cast<std::uint32_t>(segments(stream))));
  const auto whole = tail;
  tail[tail.size() - 200] = std::byte{1};
  EXPECT_EQ(directory->scan(stream, 0)->end, StreamEnd::torn);
  EXPECT_EQ(directory->scan(stream, 0)->last, 55u);
  tail = whole;
  tail[kSegmentHeaderBytes + 5] ^= std::byte{1};
  const auto scan = directory->scan(stream, 0).value();
  EXPECT_EQ(scan.end, StreamEnd::corrupt);
  EXPECT_EQ(scan.last, decode_segment_header(tail)->first - 1);
  EXPECT_EQ(scan.records, scan.last);
}

TEST_F(DeadStream, SaysWhatIsMissingAtItsFront) {
  const auto stream = dead_stream();
  ASSERT_TRUE(disk.remove(segment_path(stream, 1)));
  const auto first = decode_segment_header(disk.content(segment_path(stream, 2)))->first;
  EXPECT_TRUE(directory->scan(stream, 0)->gap);
  EXPECT_EQ(directory->scan(stream, 0)->first, first);
  EXPECT_EQ(directory->scan(stream, 0)->records, 60 - first + 1);
  EXPECT_FALSE(directory->scan(stream, first - 1)->gap);
}

TEST_F(DeadStream, MayHaveNoSegment) {
  start();
  const tracker::StreamId stream{tracker::Uuid::random()};
  ASSERT_TRUE(disk.make_directory(directory->stream_path(stream)));
  EXPECT_EQ(directory->scan(stream, 0)->last, 0u);
  EXPECT_FALSE(read(stream).error);
  EXPECT_TRUE(directory->remove(stream, {}).value());
}

}  // namespace
}  // namespace tally::journal
