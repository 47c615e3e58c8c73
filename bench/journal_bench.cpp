// Target 9: the journal against a bare loop that writes and syncs the same bytes, and against SQLite; target 13:
// reading it back against reading the file with its checksum. And what the gathering of WriterThread is tuned with:
// clients that wait for their answer, and a core that they share with the journal's thread.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "journal/detail/crc32c.hpp"
#include "journal/reader.hpp"
#include "journal/writer_thread.hpp"

namespace tally::journal {
namespace {

// A request with one event: count, two ids, two small numbers.
constexpr std::size_t kPayloadBytes = 4 + 32 + 2;

class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "journal_bench.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  std::string at(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(what);
}

tracker::AppendGroup a_group(std::size_t records) {
  tracker::AppendGroup group;
  for (std::size_t i = 0; i < records; ++i) {
    auto append = std::make_unique<tracker::Append>();
    append->type = tracker::RecordType::boundary;
    append->payload.assign(kPayloadBytes, static_cast<char>(i * 31 + 7));
    group.push_back(std::move(append));
  }
  return group;
}

/// Keeps the group, so that the next round can append it again.
struct Recycle final : tracker::Completions {
  tracker::AppendGroup group;
  void deliver(std::uint32_t, tracker::AppendGroup done) override {
    require(!done.front()->error, "the journal refused");
    if (group.empty())
      group = std::move(done);
    else
      for (auto& append : done) group.push_back(std::move(append));
  }
  void cut(const tracker::Cut&) override {}
};

void Append(benchmark::State& state) {
  const auto records = static_cast<std::size_t>(state.range(0));
  const Scratch scratch;
  PosixDisk disk;
  Observer observer;
  const tracker::SystemClock clock;
  DirectoryOptions options;
  options.path = scratch.at("state");
  options.max_bytes = std::uint64_t{64} << 30;
  Directory directory(disk, options, observer);
  Recycle recycle;
  StreamWriter writer(directory, clock, recycle);
  recycle.group = a_group(records);
  std::size_t groups = 0;
  for (auto _ : state) {
    writer.append(std::exchange(recycle.group, {}));
    if (++groups % 1024 == 0) {
      state.PauseTiming();
      (void)directory.trim(*writer.stream(), ~tracker::Lsn{0}, clock.wall() + std::chrono::hours(1));
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(groups * records));
}

/// The same bytes in as many calls, into files preallocated as the journal's are.
void BareLoop(benchmark::State& state) {
  const auto records = static_cast<std::size_t>(state.range(0));
  const Scratch scratch;
  const std::string bytes(records * (kPayloadBytes + kRecordHeaderBytes), 'x');
  int fd = -1;
  std::size_t offset = kSegmentBytes, groups = 0;
  for (auto _ : state) {
    if (offset + bytes.size() > kSegmentBytes) {
      if (fd >= 0) ::close(fd);
      fd = ::open(scratch.at("bare").c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
      require(::fallocate(fd, 0, 0, kSegmentBytes) == 0 && ::fsync(fd) == 0, "fallocate");
      offset = 0;
    }
    require(::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes.size()),
            "pwrite");
    require(::fdatasync(fd) == 0, "fdatasync");
    offset += bytes.size();
    ++groups;
  }
  ::close(fd);
  state.SetItemsProcessed(static_cast<std::int64_t>(groups * records));
}

void SqliteWalFull(benchmark::State& state) {
  const auto records = static_cast<std::size_t>(state.range(0));
  const Scratch scratch;
  sqlite3* db = nullptr;
  require(sqlite3_open(scratch.at("db").c_str(), &db) == SQLITE_OK, "sqlite3_open");
  const auto run = [db](const char* sql) {
    require(sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK, sql);
  };
  run("PRAGMA journal_mode=WAL");
  run("PRAGMA synchronous=FULL");
  run("CREATE TABLE record (lsn INTEGER PRIMARY KEY, appended_at INTEGER, type INTEGER, payload BLOB)");
  sqlite3_stmt* insert = nullptr;
  require(sqlite3_prepare_v2(db, "INSERT INTO record (appended_at, type, payload) VALUES (1700000000000, 1, ?)", -1,
                             &insert, nullptr) == SQLITE_OK,
          "prepare");
  const std::string payload(kPayloadBytes, 'x');
  std::size_t groups = 0;
  for (auto _ : state) {
    run("BEGIN");
    for (std::size_t i = 0; i < records; ++i) {
      sqlite3_bind_blob(insert, 1, payload.data(), static_cast<int>(payload.size()), SQLITE_STATIC);
      require(sqlite3_step(insert) == SQLITE_DONE, "step");
      sqlite3_reset(insert);
    }
    run("COMMIT");
    ++groups;
  }
  sqlite3_finalize(insert);
  sqlite3_close(db);
  state.SetItemsProcessed(static_cast<std::int64_t>(groups * records));
}

BENCHMARK(BareLoop)->Arg(1)->Arg(32)->Arg(1000)->UseRealTime();
BENCHMARK(Append)->Arg(1)->Arg(32)->Arg(1000)->UseRealTime();
BENCHMARK(SqliteWalFull)->Arg(1)->Arg(32)->Arg(1000)->UseRealTime();

/// 100 MB of records, written without a sync, made once.
class Big {
 public:
  Big() {
    DirectoryOptions options;
    options.path = scratch_.at("state");
    directory_ = std::make_unique<Directory>(disk_, options, observer_);
    Recycle recycle;
    StreamWriter writer(*directory_, clock_, recycle, {.sync = SyncMode::never});
    recycle.group = a_group(1000);
    for (std::size_t bytes = 0; bytes < 100'000'000; bytes += 1000 * (kPayloadBytes + kRecordHeaderBytes))
      writer.append(std::exchange(recycle.group, {}));
    stream_ = *writer.stream();
    writer.close();
  }
  Directory& directory() { return *directory_; }
  const tracker::StreamId& stream() const { return stream_; }

 private:
  const Scratch scratch_;
  PosixDisk disk_;
  Observer observer_;
  const tracker::SystemClock clock_;
  std::unique_ptr<Directory> directory_;
  tracker::StreamId stream_;
};

Big& big() {
  static Big big;
  return big;
}

void ReadBack(benchmark::State& state) {
  auto& journal = big();
  std::uint64_t bytes = 0;
  for (auto _ : state) {
    Reader reader(journal.directory());
    std::uint64_t sum = 0;
    const auto end = reader.read(journal.stream(), 0, ~tracker::Lsn{0}, ~std::size_t{0}, [&](const auto& record) {
      sum += static_cast<std::uint64_t>(record.payload[0]);
      bytes += kRecordHeaderBytes + record.payload.size();
      return true;
    });
    require(end.has_value(), "read");
    benchmark::DoNotOptimize(sum);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}

/// The files in pieces of 256 KiB, one checksum over each record's bytes.
void ReadWithCrc(benchmark::State& state) {
  auto& journal = big();
  const auto path = journal.directory().stream_path(journal.stream());
  constexpr std::size_t kRecord = kRecordHeaderBytes + kPayloadBytes;
  std::vector<std::byte> piece(kRecord * (256 * 1024 / kRecord));
  std::uint64_t bytes = 0;
  for (auto _ : state) {
    std::uint32_t sum = 0;
    for (const auto number : *journal.directory().segments(journal.stream())) {
      const int fd = ::open((path + "/" + segment_name(number)).c_str(), O_RDONLY);
      for (ssize_t got; (got = ::read(fd, piece.data(), piece.size())) > 0;) {
        bytes += static_cast<std::uint64_t>(got);
        for (std::size_t at = 0; at + kRecord <= static_cast<std::size_t>(got); at += kRecord)
          sum ^= detail::crc32c(std::span(piece).subspan(at, kRecord));
      }
      ::close(fd);
    }
    benchmark::DoNotOptimize(sum);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}

BENCHMARK(ReadWithCrc)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(ReadBack)->Unit(benchmark::kMillisecond)->UseRealTime();

/// A disk whose fdatasync takes a fixed time and no processor: what the gathering does shows without the noise of a
/// real one.
class SteadyDisk final : public Disk {
 public:
  Result<std::unique_ptr<File>> create(const std::string& path) override {
    auto file = disk_.create(path);
    if (!file) return file.error();
    return std::make_unique<Steady>(std::move(*file));
  }
  Result<std::unique_ptr<File>> open(const std::string& path) override { return disk_.open(path); }
  Result<std::unique_ptr<Lock>> try_lock(const std::string& path) override { return disk_.try_lock(path); }
  Result<bool> is_locked(const std::string& path) override { return disk_.is_locked(path); }
  Status make_directory(const std::string& path) override { return disk_.make_directory(path); }
  Status remove(const std::string& path) override { return disk_.remove(path); }
  Status remove_directory(const std::string& path) override { return disk_.remove_directory(path); }
  Status rename(const std::string& from, const std::string& to) override { return disk_.rename(from, to); }
  Status sync_directory(const std::string& path) override { return disk_.sync_directory(path); }
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override { return disk_.list(path); }

 private:
  class Steady final : public File {
   public:
    explicit Steady(std::unique_ptr<File> file) : file_(std::move(file)) {}
    Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      return file_->write_at(offset, bytes);
    }
    Status sync_data() override {
      std::this_thread::sleep_for(std::chrono::microseconds(100));  // and what the kernel adds
      return {};
    }
    Status sync() override { return {}; }
    Status allocate(std::uint64_t bytes) override { return file_->allocate(bytes); }
    Status truncate(std::uint64_t bytes) override { return file_->truncate(bytes); }
    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override {
      return file_->read_at(offset, into);
    }
    Result<std::uint64_t> size() override { return file_->size(); }

   private:
    std::unique_ptr<File> file_;
  };

  PosixDisk disk_;
};

/// What a request costs an http thread on this kind of machine, kernel included.
constexpr std::chrono::nanoseconds kRequest{8000};

/// Clients come back to it as they are answered; one thread serves them as an event loop does, on the journal's core.
class Clients final : public tracker::Completions {
 public:
  void deliver(std::uint32_t, tracker::AppendGroup group) override {
    {
      const std::lock_guard lock(mutex_);
      for (auto& append : group) ready_.push_back(std::move(append));
    }
    wake_.notify_one();
  }
  void cut(const tracker::Cut&) override {}
  tracker::AppendGroup wait() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return !ready_.empty(); });
    return std::exchange(ready_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  tracker::AppendGroup ready_;
};

void spin(const tracker::Clock& clock, std::chrono::nanoseconds time) {
  const auto until = clock.steady() + time;
  while (clock.steady() < until) {
  }
}

void ClosedLoop(benchmark::State& state) {
  cpu_set_t before, one;
  ::sched_getaffinity(0, sizeof before, &before);
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  ::sched_setaffinity(0, sizeof one, &one);
  {
    const Scratch scratch;
    SteadyDisk disk;
    Observer observer;
    const tracker::SystemClock clock;
    DirectoryOptions options;
    options.path = scratch.at("state");
    options.max_bytes = std::uint64_t{16} << 30;
    Directory directory(disk, options, observer);
    Clients clients;
    ThreadOptions thread_options;
    thread_options.gather = std::chrono::microseconds(state.range(1));
    WriterThread writer(directory, clock, clients, thread_options);
    writer.submit(a_group(static_cast<std::size_t>(state.range(0))));
    std::size_t answered = 0;
    for (auto _ : state) {
      // An event loop answers and reads what is ready, and hands over after each turn of at most 16.
      auto ready = clients.wait();
      for (std::size_t at = 0; at < ready.size();) {
        tracker::AppendGroup turn;
        for (; at < ready.size() && turn.size() < 16; ++at) {
          spin(clock, kRequest);
          turn.push_back(std::move(ready[at]));
        }
        answered += turn.size();
        writer.submit(std::move(turn));
      }
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(answered));
    writer.stop();
  }
  ::sched_setaffinity(0, sizeof before, &before);
}

BENCHMARK(ClosedLoop)->ArgNames({"clients", "gather_us"})->ArgsProduct({{1, 8, 32, 64, 256}, {0, 1000}})->UseRealTime();

}  // namespace
}  // namespace tally::journal

BENCHMARK_MAIN();
