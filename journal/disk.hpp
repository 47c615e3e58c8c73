#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tracker/clock.hpp"
#include "tracker/errors.hpp"

namespace tally::journal {

using tracker::Result;
using Status = Result<void>;

/// An error_code converts to bool, so that Result<bool> does not take one by itself.
inline Result<bool> failure(boost::system::error_code error) {
  return Result<bool>(boost::system::in_place_error, error);
}

/// An open file; closed by the destructor. Errors are those of the system (`boost::system::system_category`).
/// One thread at a time, except that other `File`s may read the same path meanwhile.
class File {
 public:
  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  virtual ~File() = default;

  /// All of it or an error; after an error any part of it may have been written.
  virtual Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  /// fdatasync. After an error the kernel may already have dropped what was dirty: never call it again on this file.
  virtual Status sync_data() = 0;
  /// fsync.
  virtual Status sync() = 0;
  /// Reserves space and sets the size; what was not written reads as zeros.
  virtual Status allocate(std::uint64_t bytes) = 0;
  virtual Status truncate(std::uint64_t bytes) = 0;
  /// Bytes read: less than asked for only at the end of the file.
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) = 0;
  virtual Result<std::uint64_t> size() = 0;
};

/// Held until destroyed; the system releases it when the process dies.
class Lock {
 public:
  Lock() = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  virtual ~Lock() = default;
};

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
  std::uint64_t bytes = 0;
  tracker::WallTime modified{};
};

/// The file system, as the journal needs it. Thread-safe.
class Disk {
 public:
  virtual ~Disk() = default;

  /// A new file, for reading and writing; `file_exists` if there is one.
  virtual Result<std::unique_ptr<File>> create(const std::string& path) = 0;
  /// For reading only.
  virtual Result<std::unique_ptr<File>> open(const std::string& path) = 0;
  /// Makes the file if needed, locks it and writes the own process id into it.
  /// `resource_unavailable_try_again`: somebody else holds it.
  virtual Result<std::unique_ptr<Lock>> try_lock(const std::string& path) = 0;
  /// Leaves no trace. False when there is no such file.
  virtual Result<bool> is_locked(const std::string& path) = 0;
  virtual Status make_directory(const std::string& path) = 0;
  virtual Status remove(const std::string& path) = 0;
  virtual Status remove_directory(const std::string& path) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  /// Makes creations, removals and renames in this directory durable.
  virtual Status sync_directory(const std::string& path) = 0;
  /// In no order; without "." and "..".
  virtual Result<std::vector<DirectoryEntry>> list(const std::string& path) = 0;
};

/// The real one: EINTR and short writes are handled here.
class PosixDisk final : public Disk {
 public:
  /// Ignores SIGXFSZ for the whole process: a file at its limit is an error to seal a stream for, not a reason to die.
  PosixDisk();

  Result<std::unique_ptr<File>> create(const std::string& path) override;
  Result<std::unique_ptr<File>> open(const std::string& path) override;
  Result<std::unique_ptr<Lock>> try_lock(const std::string& path) override;
  Result<bool> is_locked(const std::string& path) override;
  Status make_directory(const std::string& path) override;
  Status remove(const std::string& path) override;
  Status remove_directory(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status sync_directory(const std::string& path) override;
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override;
};

}  // namespace tally::journal
