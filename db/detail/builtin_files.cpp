#include "db/detail/builtin_files.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace tally::db::detail {

namespace fs = std::filesystem;

namespace {

constexpr off_t kLogLimitBytes = 10 << 20;

[[noreturn]] void throw_errno(const std::string& what, const fs::path& path) {
  throw BuiltinProblem(what + " " + path.string() + ": " + std::strerror(errno));
}

int to_int(std::string_view text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string_view line_of(std::string_view text, int index) {
  for (; index > 0; --index) text.remove_prefix(std::min(text.size(), text.substr(0, text.find('\n')).size() + 1));
  return text.substr(0, text.find('\n'));
}

}  // namespace

std::optional<std::string> read_small_file(const fs::path& path) {
  // Not blocking: someone may have put a FIFO there.
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  std::string text(4096, '\0');
  const ssize_t got = ::pread(file.get(), text.data(), text.size(), 0);
  if (got < 0) return std::nullopt;
  text.resize(static_cast<std::size_t>(got));
  return text;
}

void write_file(const fs::path& path, std::string_view text) {
  const fs::path fresh = path.string() + ".new";
  ::unlink(fresh.c_str());
  const UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file) throw_errno("cannot write", fresh);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::fchmod(file.get(), 0644) != 0 || ::rename(fresh.c_str(), path.c_str()) != 0)
    throw_errno("cannot write", path);
}

void sync_directory(const fs::path& path) {
  const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) throw_errno("cannot sync", path);
}

std::optional<OwnerLock> OwnerLock::take(const fs::path& path) {
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file) throw_errno("cannot open", path);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return std::nullopt;
    throw_errno("cannot lock", path);
  }
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file.get(), 0) != 0 || ::pwrite(file.get(), text.data(), text.size(), 0) < 0)
    throw_errno("cannot write", path);
  return OwnerLock(std::move(file));
}

int OwnerLock::owner(const fs::path& path) {
  const auto text = read_small_file(path);
  return text ? to_int(*text) : 0;
}

ServerLog::ServerLog(const fs::path& path) : path_(path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0 && status.st_size > kLogLimitBytes)
    ::rename(path.c_str(), (path.string() + ".1").c_str());
  file_ = UniqueFd(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!file_) throw_errno("cannot open", path);
  mark();
}

void ServerLog::bound() {
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0 || status.st_size <= kLogLimitBytes || ::ftruncate(file_.get(), 0) != 0)
    return;
  mark_ = 0;
}

void ServerLog::mark() {
  struct stat status {};
  if (::fstat(file_.get(), &status) == 0) mark_ = status.st_size;
}

std::string ServerLog::last_words() const {
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) return {};
  constexpr off_t kEnough = 8192;
  std::string tail(kEnough, '\0');
  const ssize_t got = ::pread(file_.get(), tail.data(), tail.size(), std::max(mark_, status.st_size - kEnough));
  tail.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  std::string_view rest = tail, last, error;
  while (!rest.empty()) {
    const std::string_view line = line_of(rest, 0);
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (!line.empty()) last = line;
    for (const std::string_view mark : {"FATAL:  ", "PANIC:  ", "initdb: error: "})
      if (const auto at = line.find(mark); at != line.npos) error = line.substr(at + mark.size());
  }
  return std::string(error.empty() ? last : error);
}

std::optional<ServerFile> read_server_file(const fs::path& data) {
  const auto text = read_small_file(data / "postmaster.pid");
  if (!text) return std::nullopt;
  // Of a server in single-user mode the pid is negative.
  return ServerFile{std::abs(to_int(line_of(*text, 0))), line_of(*text, 7).starts_with("ready")};
}

bool is_server_of(pid_t pid, const fs::path& data) {
  if (pid <= 1) return false;
  const fs::path process = fs::path("/proc") / std::to_string(pid);
  struct stat where {
  }, expected{};
  if (::stat((process / "cwd").c_str(), &where) != 0 || ::stat(data.c_str(), &expected) != 0) return false;
  const auto name = read_small_file(process / "comm");
  return name == "postgres\n" && where.st_dev == expected.st_dev && where.st_ino == expected.st_ino;
}

}  // namespace tally::db::detail
