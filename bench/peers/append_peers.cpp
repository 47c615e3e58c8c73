// What the journal's group append is measured against (target 9): the least that a disk asks for, and SQLite.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace {

constexpr int kRecords = 1000;
constexpr std::size_t kRecordBytes = 80;
constexpr off_t kFileBytes = 64 << 20;

/// A directory that is gone afterwards. On the disk of BENCH_DIR, /var/tmp if that is not set: /tmp may be memory.
class Directory {
 public:
  Directory() {
    const char* base = std::getenv("BENCH_DIR");
    path_ = std::string(base ? base : "/var/tmp") + "/tally-append-XXXXXX";
    if (!::mkdtemp(path_.data())) throw std::runtime_error("no directory under " + path_);
  }
  ~Directory() {
    for (const char* name : {"/file", "/db", "/db-wal", "/db-shm"}) ::unlink((path_ + name).c_str());
    ::rmdir(path_.c_str());
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  std::string operator/(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void bare_pwrite_and_fdatasync(benchmark::State& state) {
  const Directory directory;
  const int file = ::open((directory / "file").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0 || ::posix_fallocate(file, 0, kFileBytes) != 0) {
    state.SkipWithError("no file");
    return;
  }
  const std::string group(kRecords * kRecordBytes, 'x');
  off_t at = 0;
  for (auto _ : state) {
    if (at + static_cast<off_t>(group.size()) > kFileBytes) at = 0;
    if (::pwrite(file, group.data(), group.size(), at) != static_cast<ssize_t>(group.size()) ||
        ::fdatasync(file) != 0) {
      state.SkipWithError("the disk failed");
      break;
    }
    at += static_cast<off_t>(group.size());
  }
  ::close(file);
  state.SetItemsProcessed(state.iterations() * kRecords);
}
BENCHMARK(bare_pwrite_and_fdatasync)->UseRealTime();

void run(sqlite3* db, const char* sql) {
  if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) throw std::runtime_error(sqlite3_errmsg(db));
}

void sqlite_wal_full(benchmark::State& state) {
  const Directory directory;
  sqlite3* db = nullptr;
  if (sqlite3_open((directory / "db").c_str(), &db) != SQLITE_OK) {
    state.SkipWithError("no database");
    return;
  }
  run(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE r (lsn INTEGER PRIMARY KEY, payload BLOB)");
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v2(db, "INSERT INTO r (payload) VALUES (?1)", -1, &insert, nullptr);
  const std::string payload(kRecordBytes, 'x');
  for (auto _ : state) {
    run(db, "BEGIN");
    for (int i = 0; i < kRecords; ++i) {
      sqlite3_bind_blob(insert, 1, payload.data(), static_cast<int>(payload.size()), SQLITE_STATIC);
      sqlite3_step(insert);
      sqlite3_reset(insert);
    }
    run(db, "COMMIT");
  }
  sqlite3_finalize(insert);
  sqlite3_close(db);
  state.SetItemsProcessed(state.iterations() * kRecords);
}
BENCHMARK(sqlite_wal_full)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
