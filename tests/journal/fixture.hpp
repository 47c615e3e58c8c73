#pragma once
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "../support/fault_disk.hpp"
#include "journal/reader.hpp"
#include "journal/stream_writer.hpp"

namespace tally::journal {

class ManualClock final : public tracker::Clock {
 public:
  tracker::WallTime wall() const override { return wall_; }
  tracker::SteadyTime steady() const override { return steady_; }
  void advance(std::chrono::milliseconds by) {
    wall_ += by;
    steady_ += by;
  }

 private:
  tracker::WallTime wall_{std::chrono::milliseconds(1'700'000'000'000)};
  tracker::SteadyTime steady_{std::chrono::seconds(1000)};
};

/// Keeps what came back. The payload of each record names it.
struct Delivered final : tracker::Completions {
  struct Item {
    tracker::StreamId stream;
    tracker::Lsn lsn;
    std::string payload;
    std::uint32_t shard;
  };
  std::vector<Item> good;
  std::vector<std::pair<std::string, boost::system::error_code>> refused;
  std::vector<tracker::Cut> cuts;
  std::vector<std::string> order;  ///< payloads, "!" before refused ones, and cuts as "|", sealed ones as "||"

  void deliver(std::uint32_t shard, tracker::AppendGroup group) override {
    for (const auto& append : group) {
      EXPECT_EQ(append->shard, shard);
      if (append->error) {
        refused.emplace_back(append->payload, append->error);
        order.push_back("!" + append->payload);
      } else {
        good.push_back({append->stream, append->lsn, append->payload, shard});
        order.push_back(append->payload);
      }
    }
  }
  void cut(const tracker::Cut& cut) override {
    cuts.push_back(cut);
    order.push_back(cut.sealed ? "||" : "|");
  }
};

struct Seen final : Observer {
  std::size_t sealed = 0, opened = 0, corruptions = 0, open_failures = 0, full = 0, syncs = 0;
  std::uint64_t recovered_records = 0, used = 0;
  void group_written(std::size_t, std::size_t, std::chrono::nanoseconds) override { ++syncs; }
  void stream_opened(const tracker::StreamId&) override { ++opened; }
  void stream_sealed(const tracker::StreamId&, tracker::Lsn, boost::system::error_code) override { ++sealed; }
  void open_failed(boost::system::error_code, std::chrono::milliseconds) override { ++open_failures; }
  void corrupt(const tracker::StreamId&, const std::string&, std::uint64_t, tracker::Lsn) override { ++corruptions; }
  void recovered(const tracker::StreamId&, std::uint64_t records) override { recovered_records += records; }
  void quota(std::uint64_t bytes, std::uint64_t, bool is_full) override {
    used = bytes;
    full += is_full;
  }
};

inline std::unique_ptr<tracker::Append> a_record(std::string payload, std::uint32_t shard = 0) {
  auto append = std::make_unique<tracker::Append>();
  append->type = tracker::RecordType::boundary;
  append->payload = std::move(payload);
  append->shard = shard;
  return append;
}

inline tracker::AppendGroup a_group(std::initializer_list<std::string> payloads) {
  tracker::AppendGroup group;
  for (const auto& payload : payloads) group.push_back(a_record(payload));
  return group;
}

struct ReadBack {
  std::vector<std::string> payloads;
  std::vector<tracker::Chain> chains;
  tracker::ReadEnd end;
  boost::system::error_code error;
};

inline ReadBack read_all(tracker::JournalReader& reader, const tracker::StreamId& stream, tracker::Lsn after = 0,
                         tracker::Lsn upto = ~tracker::Lsn{0}, std::size_t max_bytes = ~std::size_t{0}) {
  ReadBack back;
  const auto end = reader.read(stream, after, upto, max_bytes, [&](const tracker::RecordView& record) {
    EXPECT_EQ(record.lsn, after + back.payloads.size() + 1);
    back.payloads.emplace_back(reinterpret_cast<const char*>(record.payload.data()), record.payload.size());
    back.chains.push_back(record.chain);
    return true;
  });
  if (end)
    back.end = *end;
  else
    back.error = end.error();
  return back;
}

inline DirectoryOptions small_segments(std::uint64_t bytes = 1024) {
  DirectoryOptions options;
  options.path = "/state";
  options.segment_bytes = bytes;
  options.max_bytes = 1u << 20;
  options.make_id = [next = std::make_shared<std::uint8_t>(0)] {
    tracker::Uuid id;
    id.bytes[0] = 0xaa;
    id.bytes[15] = ++*next;
    return id;
  };
  return options;
}

/// A journal on a disk in memory, with segments of 1 KiB.
struct JournalOnFaultDisk : testing::Test {
  test::FaultDisk disk;
  Seen seen;
  ManualClock clock;
  Delivered delivered;
  DirectoryOptions options = small_segments();
  WriterOptions writer_options;
  std::unique_ptr<Directory> directory;
  std::unique_ptr<StreamWriter> writer;

  /// Also after a crash: what belonged to the dead process goes first.
  void start() {
    stop();
    disk.set_time(clock.wall());
    directory = std::make_unique<Directory>(disk, options, seen);
    writer = std::make_unique<StreamWriter>(*directory, clock, delivered, writer_options);
    writer->open();
  }
  void stop() {
    writer.reset();
    directory.reset();
  }
  ReadBack read(const tracker::StreamId& stream, tracker::Lsn after = 0) {
    Reader reader(*directory);
    return read_all(reader, stream, after);
  }
  std::string segment_path(const tracker::StreamId& stream, std::uint32_t number) {
    return directory->stream_path(stream) + "/" + segment_name(number);
  }
};

}  // namespace tally::journal
