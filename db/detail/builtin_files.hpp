#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "db/detail/builtin_process.hpp"

/// Files that the built-in server's daemon keeps or reads. None of these follows a symbolic link at the end of the
/// path.
namespace tally::db::detail {

/// The first 4 KiB of a regular file; nothing if there is none or it cannot be read.
std::optional<std::string> read_small_file(const std::filesystem::path& path);

/// Replaces the file at once, readable by all. Throws.
void write_file(const std::filesystem::path& path, std::string_view text);

/// Makes renames in it durable. Throws.
void sync_directory(const std::filesystem::path& path);

/// The one process that runs the server of a state directory. Released with the object, or with the process.
class OwnerLock {
 public:
  /// Nothing if another process has it. Throws.
  static std::optional<OwnerLock> take(const std::filesystem::path& path);
  /// The pid of who has it, for people; 0 if unknown.
  static int owner(const std::filesystem::path& path);

 private:
  explicit OwnerLock(UniqueFd file) : file_(std::move(file)) {}
  UniqueFd file_;
};

/// Where the server's output goes. Bounded: a log past 10 MiB is set aside as `.1` when it is opened and cut while it
/// is in use.
class ServerLog {
 public:
  explicit ServerLog(const std::filesystem::path& path);  ///< throws
  int fd() const { return file_.get(); }
  void bound();
  /// The last error since `mark`, or else the last line; empty if nothing was written since.
  std::string last_words() const;
  /// What was written before is of no more interest.
  void mark();

 private:
  std::filesystem::path path_;
  UniqueFd file_;
  off_t mark_ = 0;
};

/// What a server says of itself in `postmaster.pid`.
struct ServerFile {
  pid_t pid = 0;
  bool ready = false;  ///< takes connections
};
std::optional<ServerFile> read_server_file(const std::filesystem::path& data);

/// Whether that process is a server of that data.
bool is_server_of(pid_t pid, const std::filesystem::path& data);

}  // namespace tally::db::detail
