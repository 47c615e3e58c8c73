#include "journal/writer_thread.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <semaphore>
#include <thread>

#include "fixture.hpp"

namespace tally::journal {
namespace {

using tracker::Errc;

/// A real disk whose fdatasync can be held up or made to fail.
class GatedDisk final : public Disk {
 public:
  std::atomic<bool> gated{false};
  std::counting_semaphore<> arrived{0}, pass{0};
  std::atomic<int> failing_syncs{0};

  Result<std::unique_ptr<File>> create(const std::string& path) override {
    auto file = disk_.create(path);
    if (!file) return file.error();
    return std::make_unique<Gated>(*this, std::move(*file));
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
  class Gated final : public File {
   public:
    Gated(GatedDisk& disk, std::unique_ptr<File> file) : disk_(disk), file_(std::move(file)) {}
    Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      return file_->write_at(offset, bytes);
    }
    Status sync_data() override {
      if (disk_.gated) {
        disk_.arrived.release();
        disk_.pass.acquire();
      }
      if (disk_.failing_syncs > 0 && disk_.failing_syncs-- > 0)
        return boost::system::error_code{EIO, boost::system::system_category()};
      return file_->sync_data();
    }
    Status sync() override { return file_->sync(); }
    Status allocate(std::uint64_t bytes) override { return file_->allocate(bytes); }
    Status truncate(std::uint64_t bytes) override { return file_->truncate(bytes); }
    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override {
      return file_->read_at(offset, into);
    }
    Result<std::uint64_t> size() override { return file_->size(); }

   private:
    GatedDisk& disk_;
    std::unique_ptr<File> file_;
  };

  PosixDisk disk_;
};

/// `Delivered` for several threads, which can be waited for.
class Inbox final : public tracker::Completions {
 public:
  void deliver(std::uint32_t shard, tracker::AppendGroup group) override {
    const std::lock_guard lock(mutex_);
    all_.deliver(shard, std::move(group));
    changed_.notify_all();
  }
  void cut(const tracker::Cut& cut) override {
    const std::lock_guard lock(mutex_);
    all_.cut(cut);
    changed_.notify_all();
  }
  template <class Condition>
  Delivered wait_until(Condition condition) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return condition(all_); });
    return all_;
  }
  Delivered get() {
    return wait_until([](const auto&) { return true; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Delivered all_;
};

class JournalThread : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "journal_test.XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
    DirectoryOptions options;
    options.path = path_ + "/state";
    options.segment_bytes = 64 << 10;
    directory_ = std::make_unique<Directory>(disk_, options, observer_);
  }
  void TearDown() override {
    writer_.reset();
    directory_.reset();
    std::filesystem::remove_all(path_);
  }
  WriterThread& start(ThreadOptions options = {}) {
    writer_ = std::make_unique<WriterThread>(*directory_, clock_, inbox_, options);
    return *writer_;
  }
  /// Returns while the journal's thread hangs in fdatasync with this group.
  void hang(const std::string& payload) {
    disk_.gated = true;
    writer_->submit(a_group({payload}));
    disk_.arrived.acquire();
  }
  void release() {
    disk_.gated = false;
    disk_.pass.release();
  }

  std::string path_;
  GatedDisk disk_;
  Observer observer_;
  tracker::SystemClock clock_;
  Inbox inbox_;
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<WriterThread> writer_;
};

TEST_F(JournalThread, BringsBackEverythingOnceFromManyThreads) {
  auto& writer = start();
  constexpr int kThreads = 4, kGroups = 200;
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&writer, t] {
      for (int i = 0; i < kGroups; ++i) {
        tracker::AppendGroup group;
        for (int k = 0; k < 3; ++k)
          group.push_back(a_record(std::to_string(t) + "." + std::to_string(i) + "." + std::to_string(k), t));
        writer.submit(std::move(group));
        if (i % 50 == 0) writer.request_cut(static_cast<std::uint64_t>(i));
      }
    });
  for (auto& thread : threads) thread.join();
  const auto stream = *writer.stream();
  const auto all = inbox_.wait_until([](const auto& d) { return d.good.size() == kThreads * kGroups * 3; });
  writer.stop();
  EXPECT_TRUE(all.refused.empty());

  Reader reader(*directory_);
  const auto back = read_all(reader, stream);
  ASSERT_EQ(back.payloads.size(), all.good.size());
  std::map<std::uint32_t, tracker::Lsn> last;
  for (const auto& item : all.good) {
    EXPECT_EQ(back.payloads[item.lsn - 1], item.payload);
    EXPECT_LT(last[item.shard], item.lsn) << "each shard in order";
    last[item.shard] = item.lsn;
  }
  EXPECT_EQ(inbox_.get().cuts.size(), 16u);
}

TEST_F(JournalThread, TakesAllThatWaitsAsOneGroup) {
  auto& writer = start();
  hang("first");
  for (int i = 0; i < 100; ++i) writer.submit(a_group({std::to_string(i)}));
  release();
  inbox_.wait_until([](const auto& d) { return d.good.size() == 101; });
  writer.stop();
  EXPECT_FALSE(disk_.arrived.try_acquire());
}

TEST_F(JournalThread, CutsCoverWhatTheSameThreadSubmittedBefore) {
  auto& writer = start();
  writer.request_cut(1);
  writer.submit(a_group({"a", "b"}));
  writer.request_cut(2);
  const auto all = inbox_.wait_until([](const auto& d) { return d.cuts.size() == 2; });
  EXPECT_EQ(all.cuts[1].ticket, 2u);
  EXPECT_EQ(all.cuts[1].upto, 2u);
}

TEST_F(JournalThread, RefusesWhatTooMuchWouldWaitFor) {
  auto& writer = start({.max_waiting_bytes = 1000});
  hang("first");
  writer.submit(a_group({std::string(900, 'x')}));
  writer.submit(a_group({std::string(200, 'y')}));
  writer.submit(a_group({std::string(50, 'z')}));
  release();
  const auto all = inbox_.wait_until([](const auto& d) { return d.good.size() == 3 && d.refused.size() == 1; });
  EXPECT_EQ(all.refused[0].second, Errc::overloaded);
  writer.submit(a_group({std::string(5000, 'b')}));
  inbox_.wait_until([](const auto& d) { return d.good.size() == 4; });
}

TEST_F(JournalThread, GoesOnInAnotherStreamAfterAFailure) {
  auto& writer = start();
  const auto old = *writer.stream();
  disk_.failing_syncs = 1;
  writer.submit(a_group({"a"}));
  inbox_.wait_until([](const auto& d) { return d.cuts.size() == 1; });
  writer.submit(a_group({"b"}));
  const auto all = inbox_.wait_until([](const auto& d) { return d.good.size() == 1; });
  EXPECT_EQ(all.refused[0].second, Errc::journal_failed);
  EXPECT_TRUE(all.cuts[0].sealed);
  EXPECT_NE(all.good[0].stream, old);
}

TEST_F(JournalThread, OpensAStreamWithoutTrafficOnceTheDiskLetsIt) {
  std::filesystem::rename(path_ + "/state/streams", path_ + "/state/away");
  auto& writer = start();
  EXPECT_FALSE(writer.stream());
  writer.submit(a_group({"a"}));
  const auto all = inbox_.wait_until([](const auto& d) { return d.refused.size() == 1; });
  EXPECT_EQ(all.refused[0].second, Errc::journal_failed);
  std::filesystem::rename(path_ + "/state/away", path_ + "/state/streams");
  while (!writer.stream()) std::this_thread::yield();
}

TEST_F(JournalThread, StopsAfterWritingAllThatWaits) {
  auto& writer = start();
  const auto stream = *writer.stream();
  hang("first");
  writer.submit(a_group({"second"}));
  writer.request_cut(3);
  auto stopped = std::async(std::launch::async, [&writer] { writer.stop(); });
  release();
  stopped.get();
  auto all = inbox_.get();
  EXPECT_EQ(all.good.size(), 2u);
  EXPECT_EQ(all.cuts.back().upto, 2u);

  writer.submit(a_group({"late"}));
  writer.request_cut(4);
  all = inbox_.get();
  EXPECT_EQ(all.refused.back().second, Errc::shutting_down);
  EXPECT_EQ(all.cuts.back().ticket, 4u);
  EXPECT_EQ(all.cuts.back().stream, stream);
  EXPECT_EQ(all.cuts.back().upto, 2u);
  EXPECT_TRUE(directory_->claim(stream)) << "the next process may drain it";
}

TEST_F(JournalThread, SyncsByItselfUnderARelaxedMode) {
  ThreadOptions options;
  options.writer.sync = SyncMode::interval;
  options.writer.sync_interval = std::chrono::milliseconds(1);
  auto& writer = start(options);
  disk_.gated = true;
  writer.submit(a_group({"a"}));
  inbox_.wait_until([](const auto& d) { return d.good.size() == 1; });
  disk_.arrived.acquire();
  release();
}

}  // namespace
}  // namespace tally::journal
