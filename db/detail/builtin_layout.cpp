#include "db/detail/builtin_layout.hpp"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>

#include "db/detail/builtin_files.hpp"

namespace tally::db::detail {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view kSocketName = "/.s.PGSQL.5432";
const fs::path kDebianRoot = "/usr/lib/postgresql";

[[noreturn]] void throw_errno(const std::string& what, const fs::path& path) {
  throw BuiltinProblem(what + " " + path.string() + ": " + std::strerror(errno));
}

/// Lists of socket directories and of hosts are split at commas, and each has its own rules of quoting.
bool needs_no_quoting(const std::string& path) {
  return std::all_of(path.begin(), path.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::strchr("/._-+=:@~%", c) != nullptr;
  });
}

/// FNV-1a: the same in every build and process, which is all that is asked of it.
std::string short_name_of(const fs::path& path) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const unsigned char byte : path.native()) hash = (hash ^ byte) * 0x100000001b3;
  char name[17];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(hash));
  return name;
}

fs::path canonical_if_possible(const fs::path& path) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(path, error);
  return error ? path : canonical;
}

int leading_number(std::string_view text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

fs::path absolute_of(const fs::path& path) {
  const fs::path normal = fs::absolute(path).lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();  // no slash at the end
}

}  // namespace

BuiltinLayout::BuiltinLayout(const fs::path& state_directory)
    : state_dir(absolute_of(state_directory)),
      home(state_dir / "postgres"),
      data(home / "data"),
      lock(home / "lock"),
      log(home / "server.log"),
      hba(home / "pg_hba.conf"),
      ident(home / "pg_ident.conf"),
      sockets(home / "run") {
  constexpr std::size_t kLongest = sizeof(sockaddr_un::sun_path) - 1;
  sockets_are_away = sockets.native().size() + kSocketName.size() > kLongest || !needs_no_quoting(sockets.native());
  if (sockets_are_away) sockets = "/tmp/tallyd-" + short_name_of(canonical_if_possible(state_dir));
}

std::optional<int> BuiltinLayout::data_version() const {
  const auto text = read_small_file(data / "PG_VERSION");
  if (!text) return std::nullopt;
  return leading_number(*text);
}

std::string BuiltinLayout::conninfo(std::string_view role, std::string_view database) const {
  std::string text = "host=" + sockets.string() + " port=5432 user=" + std::string(role) +
                     " dbname=" + std::string(database) + " sslmode=disable gssencmode=disable";
  if (!sockets_are_away) return text;
  // Anyone may make directories in /tmp: insist on the right server behind the socket.
  struct stat status {};
  const bool known = ::stat(data.c_str(), &status) == 0;
  const std::optional<Account> server = known              ? find_account(status.st_uid)
                                        : ::geteuid() == 0 ? find_account("postgres")
                                                           : find_account(::geteuid());
  return server ? text + " requirepeer='" + server->name + "'" : text;
}

Account server_account(const BuiltinLayout& layout) {
  struct stat status {};
  const bool has_data = ::stat(layout.data.c_str(), &status) == 0;
  const uid_t self = ::geteuid();
  if (has_data && status.st_uid == 0)
    throw BuiltinProblem(layout.data.string() +
                         " belongs to root, and PostgreSQL refuses to run as root: chown -R postgres it");
  if (has_data && self != 0 && status.st_uid != self)
    throw BuiltinProblem(layout.data.string() + " belongs to another user (id " + std::to_string(status.st_uid) +
                         "): run tallyd as that user or as root, or chown -R it");
  if (has_data || self != 0) {
    const uid_t uid = has_data ? status.st_uid : self;
    if (auto account = find_account(uid)) return *account;
    throw BuiltinProblem("user id " + std::to_string(uid) +
                         " has no name, and PostgreSQL needs one: add it to /etc/passwd (for DynamicUser= of systemd: "
                         "apt-get install libnss-systemd), or give --database-url");
  }
  if (auto account = find_account("postgres")) return *account;
  throw BuiltinProblem(
      "there is no user postgres for PostgreSQL to run as, which refuses to run as root: "
      "apt-get install postgresql, or give --database-url");
}

namespace {

/// The state directory itself may have been made for root alone: let the server's group pass through it.
void open_state_directory(const BuiltinLayout& layout, const Account& account) {
  struct stat status {};
  if (::stat(layout.state_dir.c_str(), &status) != 0) throw_errno("cannot look at", layout.state_dir);
  const bool for_root_alone = status.st_uid == 0 && (status.st_mode & 077) == 0;
  if (::geteuid() != 0 || account.uid == 0 || !for_root_alone) return;
  if (::chown(layout.state_dir.c_str(), static_cast<uid_t>(-1), account.gid) != 0 ||
      ::chmod(layout.state_dir.c_str(), (status.st_mode & 0700) | S_IXGRP) != 0)
    throw_errno("cannot let PostgreSQL's user pass through", layout.state_dir);
}

/// `owner` null: the daemon's user, or as root whoever had it before us.
void make_directory(const fs::path& path, mode_t mode, const Account* owner) {
  const bool made = ::mkdir(path.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) throw_errno("cannot make", path);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) throw_errno("cannot look at", path);
  if (!S_ISDIR(status.st_mode))
    throw BuiltinProblem(path.string() + " is in the way: it is not a directory; remove it");
  const bool give_away = owner != nullptr && status.st_uid != owner->uid;
  // Of root's own it is one just made, or one that a killed process had just made.
  if (give_away && (::geteuid() != 0 || status.st_uid != 0))
    throw BuiltinProblem(path.string() + " belongs to another user (id " + std::to_string(status.st_uid) +
                         "), and PostgreSQL's socket must be there: remove it");
  // The mode first: once it is another's, the path may become a link.
  if ((made || give_away) && ::chmod(path.c_str(), mode) != 0) throw_errno("cannot set the mode of", path);
  if (give_away && ::lchown(path.c_str(), owner->uid, owner->gid) != 0) throw_errno("cannot give away", path);
}

}  // namespace

void make_directories(const BuiltinLayout& layout, const Account& account) {
  std::error_code error;
  fs::create_directories(layout.state_dir, error);
  if (error) throw BuiltinProblem("cannot make " + layout.state_dir.string() + ": " + error.message());
  open_state_directory(layout, account);
  make_directory(layout.home, 0711, nullptr);
  make_directory(layout.sockets, 0711, &account);
}

void write_access_rules(const BuiltinLayout& layout, const Account& account) {
  write_file(layout.hba, "# Written by tallyd at each start.\nlocal all all peer map=tallyd\n");
  std::set<std::string> names{"root", "postgres", account.name};
  if (const auto self = find_account(::geteuid())) names.insert(self->name);
  std::string map = "# Written by tallyd at each start: which users of the system may be which role.\n";
  for (const std::string& name : names)
    for (const std::string_view role : {kBuiltinRole, kBuiltinAdmin})
      map += "tallyd \"" + name + "\" " + std::string(role) + "\n";
  write_file(layout.ident, map);
}

namespace {

std::vector<fs::path> program_directories() {
  std::vector<fs::path> directories;
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "";
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find(':'));
    if (one.starts_with('/')) directories.emplace_back(one);
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
  }
  std::vector<fs::path> packaged;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(kDebianRoot, error)) packaged.push_back(entry.path());
  std::sort(packaged.begin(), packaged.end(), [](const fs::path& a, const fs::path& b) {
    return leading_number(a.filename().native()) > leading_number(b.filename().native());
  });
  for (const fs::path& version : packaged) directories.push_back(version / "bin");
  return directories;
}

/// From "postgres (PostgreSQL) 15.10 (Debian 15.10-0+deb12u1)"; 0 if it does not say.
int version_of(const fs::path& postgres, const Account& account, const Sleeper& sleeper) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("cannot make a pipe for", postgres);
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  Child child = Child::start({postgres, {"--version"}, "/", account, to.get(), SIGKILL});
  to = UniqueFd();
  std::string text;
  while (sleeper.wait(from.get(), POLLIN) == Sleeper::Woke::fd) {
    char buffer[256];
    const ssize_t got = ::read(from.get(), buffer, sizeof buffer);
    if (got <= 0 || text.size() > 4096) break;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  constexpr std::string_view kBefore = "(PostgreSQL) ";
  const auto at = text.find(kBefore);
  return at == std::string::npos ? 0 : leading_number(std::string_view(text).substr(at + kBefore.size()));
}

}  // namespace

Programs find_programs(const fs::path& bin_dir, std::optional<int> data_version, const Account& account,
                       const Sleeper& sleeper) {
  const std::vector<fs::path> directories =
      bin_dir.empty() ? program_directories() : std::vector{fs::absolute(bin_dir)};
  std::set<int> others;
  for (const fs::path& directory : directories) {
    Programs programs{directory / "postgres", directory / "initdb", 0};
    if (::access(programs.postgres.c_str(), X_OK) != 0 || ::access(programs.initdb.c_str(), X_OK) != 0) continue;
    programs.version = version_of(programs.postgres, account, sleeper);
    if (programs.version != 0 && (!data_version || *data_version == programs.version)) return programs;
    others.insert(programs.version);
  }
  const std::string places = bin_dir.empty() ? "on PATH or in /usr/lib/postgresql/*/bin" : "in " + bin_dir.string();
  if (others.empty() && !data_version)
    throw BuiltinProblem("PostgreSQL is not installed (no postgres and initdb " + places +
                         "): apt-get install postgresql, or give --database-url");
  if (!data_version)
    throw BuiltinProblem("the postgres " + places + " does not run: reinstall it, or give --database-url");
  const std::string wanted = std::to_string(*data_version);
  throw BuiltinProblem("the built-in database was made by PostgreSQL " + wanted + ", which is not " + places +
                       ": apt-get install postgresql-" + wanted + ", or move the data with pg_upgrade");
}

}  // namespace tally::db::detail
