#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string_view>

#include "journal/disk.hpp"

namespace tally::journal {
namespace {

boost::system::error_code last_error() {
  return {errno, boost::system::system_category()};
}

/// Repeats a call that a signal interrupted.
template <class Call>
auto without_eintr(Call call) {
  decltype(call()) result;
  do result = call();
  while (result < 0 && errno == EINTR);
  return result;
}

Status status_of(int result) {
  if (result < 0) return last_error();
  return {};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

class PosixFile final : public File {
 public:
  explicit PosixFile(int fd) : fd_(fd) {}

  Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const auto written =
          without_eintr([&] { return ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
      if (written < 0) return last_error();
      if (written == 0) return boost::system::errc::make_error_code(boost::system::errc::io_error);
      offset += static_cast<std::uint64_t>(written);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
  }

  // Not repeated after EINTR: once it has failed, a second call may succeed without having written anything.
  Status sync_data() override { return status_of(::fdatasync(fd_.get())); }
  Status sync() override { return status_of(::fsync(fd_.get())); }

  Status allocate(std::uint64_t bytes) override {
    const auto size = static_cast<off_t>(bytes);
    if (without_eintr([&] { return ::fallocate(fd_.get(), 0, 0, size); }) == 0) return {};
    if (errno != EOPNOTSUPP) return last_error();
    if (const int error = ::posix_fallocate(fd_.get(), 0, size))
      return boost::system::error_code{error, boost::system::system_category()};
    return {};
  }

  Status truncate(std::uint64_t bytes) override {
    return status_of(without_eintr([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(bytes)); }));
  }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override {
    std::size_t done = 0;
    while (done < into.size()) {
      const auto got = without_eintr([&] {
        return ::pread(fd_.get(), into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
      });
      if (got < 0) return last_error();
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  Result<std::uint64_t> size() override {
    struct stat info;
    if (::fstat(fd_.get(), &info) < 0) return last_error();
    return static_cast<std::uint64_t>(info.st_size);
  }

 private:
  Descriptor fd_;
};

class PosixLock final : public Lock {
 public:
  explicit PosixLock(int fd) : fd_(fd) {}

 private:
  Descriptor fd_;
};

int open_file(const std::string& path, int flags) {
  return without_eintr([&] { return ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600); });
}

}  // namespace

PosixDisk::PosixDisk() {
  ::signal(SIGXFSZ, SIG_IGN);
}

Result<std::unique_ptr<File>> PosixDisk::create(const std::string& path) {
  const int fd = open_file(path, O_RDWR | O_CREAT | O_EXCL);
  if (fd < 0) return last_error();
  return std::make_unique<PosixFile>(fd);
}

Result<std::unique_ptr<File>> PosixDisk::open(const std::string& path) {
  const int fd = open_file(path, O_RDONLY);
  if (fd < 0) return last_error();
  return std::make_unique<PosixFile>(fd);
}

Result<std::unique_ptr<Lock>> PosixDisk::try_lock(const std::string& path) {
  Descriptor fd(open_file(path, O_RDWR | O_CREAT));
  if (!fd.is_open()) return last_error();
  if (without_eintr([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) < 0) return last_error();
  // For people, and for the error text of whoever comes second; the lock itself holds without it.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd.get(), 0) == 0) [[maybe_unused]]
    const auto written = ::pwrite(fd.get(), pid.data(), pid.size(), 0);
  return std::make_unique<PosixLock>(fd.release());
}

Result<bool> PosixDisk::is_locked(const std::string& path) {
  const Descriptor fd(open_file(path, O_RDONLY));
  if (!fd.is_open()) {
    if (errno == ENOENT) return false;
    return failure(last_error());
  }
  if (without_eintr([&] { return ::flock(fd.get(), LOCK_SH | LOCK_NB); }) == 0) return false;
  if (errno == EWOULDBLOCK) return true;
  return failure(last_error());
}

Status PosixDisk::make_directory(const std::string& path) {
  return status_of(::mkdir(path.c_str(), 0700));
}
Status PosixDisk::remove(const std::string& path) {
  return status_of(::unlink(path.c_str()));
}
Status PosixDisk::remove_directory(const std::string& path) {
  return status_of(::rmdir(path.c_str()));
}
Status PosixDisk::rename(const std::string& from, const std::string& to) {
  return status_of(::rename(from.c_str(), to.c_str()));
}

Status PosixDisk::sync_directory(const std::string& path) {
  const Descriptor fd(without_eintr([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!fd.is_open()) return last_error();
  return status_of(::fsync(fd.get()));
}

Result<std::vector<DirectoryEntry>> PosixDisk::list(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) return last_error();
  std::vector<DirectoryEntry> entries;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (!entry) break;
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat info;
    if (::fstatat(::dirfd(directory.get()), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno == ENOENT) continue;  // removed meanwhile
      return last_error();
    }
    const auto modified = std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec);
    entries.push_back({std::string(name), S_ISDIR(info.st_mode), static_cast<std::uint64_t>(info.st_size),
                       tracker::WallTime(std::chrono::duration_cast<std::chrono::milliseconds>(modified))});
  }
  if (errno != 0) return last_error();
  return entries;
}

}  // namespace tally::journal
