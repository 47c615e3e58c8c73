#include "db/builtin_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <fstream>
#include <functional>
#include <mutex>
#include <vector>

namespace tally::db {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using State = BuiltinServer::State;

constexpr auto kPatience = 60s;

/// A directory that the server's user can reach.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/tally-builtin-XXXXXX";
    path_ = ::mkdtemp(name);
    ::chmod(path_.c_str(), 0755);
  }
  ~TemporaryDirectory() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// A server, and everything it said.
class WatchedServer {
 public:
  explicit WatchedServer(BuiltinServerOptions options)
      : server_(std::move(options), [this](State state, const std::string& detail) {
          const std::lock_guard guard(mutex_);
          changes_.push_back({state, detail});
          changed_.notify_all();
        }) {}
  explicit WatchedServer(const fs::path& state_dir) : WatchedServer(BuiltinServerOptions{.state_dir = state_dir}) {}

  struct Change {
    State state;
    std::string detail;
  };

  /// The next change, not yet returned, that is as asked.
  Change next(const std::function<bool(const Change&)>& wanted) {
    std::unique_lock lock(mutex_);
    Change found{State::idle, "nothing like it was said in time"};
    changed_.wait_for(lock, kPatience, [&] {
      while (seen_ < changes_.size())
        if (const Change& change = changes_[seen_++]; wanted(change)) {
          found = change;
          return true;
        }
      return false;
    });
    if (found.state == State::idle)
      for (const Change& change : changes_) found.detail += "\n- " + change.detail;
    return found;
  }
  Change next(State state) {
    return next([&](const Change& change) { return change.state == state; });
  }
  /// Ready, or a description of what went on instead.
  testing::AssertionResult becomes(State state) {
    const Change change = next(state);
    return change.state == state ? testing::AssertionSuccess() : testing::AssertionFailure() << change.detail;
  }
  BuiltinServer* operator->() { return &server_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Change> changes_;
  std::size_t seen_ = 0;
  BuiltinServer server_;
};

/// The first value of the last statement, or the error.
std::string ask(const std::string& conninfo, const std::string& sql) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(conninfo.c_str()), PQfinish);
  if (PQstatus(connection.get()) != CONNECTION_OK) return PQerrorMessage(connection.get());
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection.get(), sql.c_str()), PQclear);
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK) return PQresultErrorMessage(result.get());
  return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

pid_t server_process(const fs::path& state_dir) {
  pid_t pid = 0;
  std::ifstream(state_dir / "postgres/data/postmaster.pid") >> pid;
  return pid;
}

/// A process, known by more than its number.
class Process {
 public:
  explicit Process(pid_t pid) : pid_(pid), fd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  ~Process() { ::close(fd_); }
  bool ends() const { return ended_within(kPatience); }
  bool runs() const { return !ended_within(0ms); }
  pid_t pid() const { return pid_; }

 private:
  bool ended_within(std::chrono::milliseconds patience) const {
    pollfd polled{fd_, POLLIN, 0};
    return fd_ < 0 || ::poll(&polled, 1, static_cast<int>(patience.count())) > 0;
  }
  pid_t pid_;
  int fd_;
};

class BuiltinServerIn : public testing::Test {
 protected:
  TemporaryDirectory directory_;
  fs::path state_dir_ = directory_.path() / "state";
};

TEST_F(BuiltinServerIn, AnEmptyDirectoryMakesADatabaseThatItsRoleOwns) {
  WatchedServer server(state_dir_);
  EXPECT_EQ(server->state(), State::idle);
  server->start();
  ASSERT_TRUE(server.becomes(State::ready));
  const std::string conninfo = server->conninfo();
  EXPECT_EQ(ask(conninfo,
                "SELECT current_user || ' ' || current_database() || ' ' || (SELECT rolsuper FROM pg_roles WHERE "
                "rolname = current_user) || ' ' || pg_get_userbyid(datdba) || ' ' || pg_encoding_to_char(encoding) "
                "FROM pg_database WHERE datname = current_database()"),
            "tallyd tallyd false tallyd UTF8");
  EXPECT_EQ(ask(conninfo, "SHOW listen_addresses"), "");
  EXPECT_EQ(ask(conninfo, "SHOW jit"), "off");
  EXPECT_EQ(ask(conninfo, "SHOW fsync"), "on");
  EXPECT_EQ(BuiltinServer::conninfo_for(state_dir_), conninfo);
}

TEST_F(BuiltinServerIn, UseLeavesNoProcessWhenItStops) {
  WatchedServer server(state_dir_);
  server->start();
  ASSERT_TRUE(server.becomes(State::ready));
  const Process postmaster(server_process(state_dir_));
  ASSERT_TRUE(postmaster.runs());
  server->stop();
  EXPECT_FALSE(postmaster.runs());
  EXPECT_EQ(server->state(), State::stopped);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a zombie was left";
  EXPECT_FALSE(fs::exists(state_dir_ / "postgres/data/postmaster.pid"));
}

TEST_F(BuiltinServerIn, ADirectoryUsedBeforeFindsItsDataAgain) {
  {
    WatchedServer first(state_dir_);
    first->start();
    ASSERT_TRUE(first.becomes(State::ready));
    ask(first->conninfo(), "CREATE TABLE kept AS SELECT 42 AS answer");
  }
  WatchedServer second(state_dir_);
  second->start();
  ASSERT_TRUE(second.becomes(State::ready));
  EXPECT_EQ(ask(second->conninfo(), "SELECT answer FROM kept"), "42");
  second->stop();
  second->start();
  ASSERT_TRUE(second.becomes(State::ready)) << "the same object, started again";
}

TEST_F(BuiltinServerIn, ADirectoryMadeForRootAloneLetsTheServerPass) {
  fs::create_directory(state_dir_);
  ::chmod(state_dir_.c_str(), 0700);
  WatchedServer server(state_dir_);
  server->start();
  ASSERT_TRUE(server.becomes(State::ready));
  struct stat status {};
  ::stat(state_dir_.c_str(), &status);
  EXPECT_EQ(status.st_mode & 0007, 0u);
}

/// A process of its own that runs a server; `kill -9` is for it.
class OwningProcess {
 public:
  explicit OwningProcess(const fs::path& state_dir) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      WatchedServer server(state_dir);
      server->start();
      const char answer = server.becomes(State::ready) ? 'y' : 'n';
      [[maybe_unused]] const ssize_t written = ::write(ends[1], &answer, 1);
      while (true) ::pause();
    }
    ::close(ends[1]);
    char answer = 'n';
    ready_ = ::read(ends[0], &answer, 1) == 1 && answer == 'y';
    ::close(ends[0]);
  }
  ~OwningProcess() { kill(); }
  bool ready() const { return ready_; }
  void kill() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  bool ready_ = false;
};

TEST_F(BuiltinServerIn, AProcessThatIsKilledEndsWithIt) {
  OwningProcess owner(state_dir_);
  ASSERT_TRUE(owner.ready());
  const Process postmaster(server_process(state_dir_));
  ASSERT_TRUE(postmaster.runs());
  owner.kill();
  EXPECT_TRUE(postmaster.ends());
}

TEST_F(BuiltinServerIn, ADirectoryWhoseProcessWasKilledStartsAgainWithTheData) {
  OwningProcess owner(state_dir_);
  ASSERT_TRUE(owner.ready());
  ask(BuiltinServer::conninfo_for(state_dir_), "CREATE TABLE kept AS SELECT 42 AS answer");
  owner.kill();
  WatchedServer next(state_dir_);
  next->start();
  ASSERT_TRUE(next.becomes(State::ready));
  EXPECT_EQ(ask(next->conninfo(), "SELECT answer FROM kept"), "42");
}

TEST_F(BuiltinServerIn, ADirectoryStartsTheServerAgainThatDiedByItself) {
  WatchedServer server(state_dir_);
  server->start();
  ASSERT_TRUE(server.becomes(State::ready));
  const Process postmaster(server_process(state_dir_));
  ask(server->conninfo(), "CREATE TABLE kept AS SELECT 42 AS answer");
  ::kill(postmaster.pid(), SIGKILL);
  EXPECT_THAT(server.next(State::failed).detail, testing::HasSubstr("signal 9"));
  ASSERT_TRUE(server.becomes(State::ready));
  EXPECT_EQ(ask(server->conninfo(), "SELECT answer FROM kept"), "42");
  EXPECT_NE(server_process(state_dir_), postmaster.pid());
}

TEST_F(BuiltinServerIn, ADirectoryStopsAServerThatNobodyOwns) {
  fs::path program;
  {
    WatchedServer first(state_dir_);
    first->start();
    ASSERT_TRUE(first.becomes(State::ready));
    program = fs::read_symlink("/proc/" + std::to_string(server_process(state_dir_)) + "/exe");
  }
  struct stat data {};
  ::stat((state_dir_ / "postgres/data").c_str(), &data);
  const fs::path leftover_data = state_dir_ / "postgres/data";
  const std::string sockets = "unix_socket_directories=" + (state_dir_ / "postgres/run").string();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t leftover = ::fork();
  if (leftover == 0) {
    ::dup2(ends[1], 2);
    if (::setgid(data.st_gid) != 0 || ::setuid(data.st_uid) != 0) ::_exit(1);
    ::execl(program.c_str(), "postgres", "-D", leftover_data.c_str(), "-c", "listen_addresses=", "-c", sockets.c_str(),
            nullptr);
    ::_exit(1);
  }
  ::close(ends[1]);
  std::string said;
  char byte;
  while (said.find("ready to accept") == said.npos && ::read(ends[0], &byte, 1) == 1) said += byte;
  ASSERT_THAT(said, testing::HasSubstr("ready to accept"));
  WatchedServer server(state_dir_);
  server->start();
  EXPECT_THAT(
      server.next([](const auto& change) { return change.detail.find("earlier run") != std::string::npos; }).detail,
      testing::HasSubstr(std::to_string(leftover)));
  ASSERT_TRUE(server.becomes(State::ready));
  int status = 0;
  EXPECT_EQ(::waitpid(leftover, &status, WNOHANG), leftover);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "not a fast shutdown: " << status;
  ::close(ends[0]);
}

TEST_F(BuiltinServerIn, ADirectoryWithTheFileOfADeadServerStarts) {
  {
    WatchedServer first(state_dir_);
    first->start();
    ASSERT_TRUE(first.becomes(State::ready));
  }
  // A number that by now belongs to a process of the same user that is no server.
  struct stat data {};
  ::stat((state_dir_ / "postgres/data").c_str(), &data);
  const pid_t other = ::fork();
  if (other == 0) {
    if (::setuid(data.st_uid) != 0) ::_exit(1);
    while (true) ::pause();
  }
  std::ofstream(state_dir_ / "postgres/data/postmaster.pid") << other << "\n/elsewhere\n";
  fs::permissions(state_dir_ / "postgres/data/postmaster.pid", fs::perms::all);
  WatchedServer server(state_dir_);
  server->start();
  EXPECT_TRUE(server.becomes(State::ready));
  EXPECT_TRUE(Process(other).runs());
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
}

TEST_F(BuiltinServerIn, ADirectoryOfTwoProcessesRunsOnceAndIsTakenOver) {
  WatchedServer first(state_dir_), second(state_dir_);
  first->start();
  ASSERT_TRUE(first.becomes(State::ready));
  const pid_t postmaster = server_process(state_dir_);
  second->start();
  EXPECT_THAT(second.next(State::ready).detail, testing::HasSubstr("process " + std::to_string(::getpid())));
  EXPECT_EQ(server_process(state_dir_), postmaster);
  EXPECT_EQ(ask(second->conninfo(), "SELECT 1"), "1");
  first->stop();
  ASSERT_TRUE(second.becomes(State::ready));
  EXPECT_NE(server_process(state_dir_), postmaster);
  EXPECT_EQ(ask(second->conninfo(), "SELECT 1"), "1");
}

TEST_F(BuiltinServerIn, TwoProcessesThatStartAtOnceBothBecomeReady) {
  WatchedServer first(state_dir_), second(state_dir_);
  first->start();
  second->start();
  EXPECT_TRUE(first.becomes(State::ready));
  EXPECT_TRUE(second.becomes(State::ready));
}

TEST_F(BuiltinServerIn, AHalfMadeClusterIsNotUsed) {
  fs::create_directories(state_dir_ / "postgres/data.new-abcdef/base");
  WatchedServer server(state_dir_);
  server->start();
  ASSERT_TRUE(server.becomes(State::ready));
  EXPECT_FALSE(fs::exists(state_dir_ / "postgres/data.new-abcdef"));
}

class BuiltinServerInAnAwkwardPlace : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(
    Names, BuiltinServerInAnAwkwardPlace,
    testing::Values(
        "a b's, \"c\"\\d",
        "a-name-so-long-that-no-socket-below-it-could-be-bound-as-its-path-would-exceed-one-hundred-and-seven-bytes"));

TEST_P(BuiltinServerInAnAwkwardPlace, HasItsSocketElsewhere) {
  const TemporaryDirectory directory;
  const fs::path state_dir = directory.path() / GetParam();
  std::string sockets;
  {
    WatchedServer server(state_dir);
    const std::string before = server->conninfo();
    server->start();
    ASSERT_TRUE(server.becomes(State::ready));
    EXPECT_EQ(server->conninfo(), before);
    EXPECT_EQ(BuiltinServer::conninfo_for(state_dir), before);
    EXPECT_THAT(before, testing::HasSubstr("requirepeer="));
    EXPECT_EQ(ask(before, "SELECT 1"), "1");
    sockets = before.substr(before.find('=') + 1, before.find(' ') - before.find('=') - 1);
    EXPECT_THAT(sockets, testing::StartsWith("/tmp/tallyd-"));
  }
  if (sockets.starts_with("/tmp/tallyd-")) fs::remove_all(sockets);
}

TEST_F(BuiltinServerIn, AMachineWithoutPostgresSaysWhatToInstall) {
  WatchedServer server({.state_dir = state_dir_, .bin_dir = directory_.path()});
  server->start();
  const auto change = server.next(State::failed);
  EXPECT_THAT(change.detail, testing::HasSubstr("apt-get install postgresql"));
  EXPECT_THAT(change.detail, testing::HasSubstr("--database-url"));
}

TEST_F(BuiltinServerIn, ADirectoryOfAnotherVersionSaysWhichToInstall) {
  {
    WatchedServer first(state_dir_);
    first->start();
    ASSERT_TRUE(first.becomes(State::ready));
  }
  std::ofstream(state_dir_ / "postgres/data/PG_VERSION") << "9\n";
  WatchedServer server(state_dir_);
  server->start();
  EXPECT_THAT(server.next(State::failed).detail, testing::HasSubstr("apt-get install postgresql-9"));
}

TEST_F(BuiltinServerIn, ADirectoryWhoseSocketPlaceIsAnothersSaysSo) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  const fs::path sockets = state_dir_ / "postgres/run";
  fs::create_directories(sockets);
  for (const fs::path& each : {state_dir_, state_dir_ / "postgres"}) ::chmod(each.c_str(), 0755);
  ASSERT_EQ(::chown(sockets.c_str(), 12'345, 12'345), 0);
  WatchedServer server(state_dir_);
  server->start();
  EXPECT_THAT(server.next(State::failed).detail, testing::HasSubstr(sockets.string() + " belongs to another user"));
  ASSERT_EQ(::chown(sockets.c_str(), 0, 0), 0);
  EXPECT_TRUE(server.becomes(State::ready)) << "one that root had just made is given away";
}

TEST_F(BuiltinServerIn, APlaceThatTheServerCannotReachSaysWhere) {
  if (::geteuid() != 0) GTEST_SKIP() << "the server runs as this user";
  const fs::path closed = directory_.path() / "closed";
  fs::create_directories(closed / "open");
  ::chmod(closed.c_str(), 0700);
  WatchedServer server(closed / "open/state");
  server->start();
  EXPECT_THAT(server.next(State::failed).detail,
              testing::AllOf(testing::HasSubstr("user postgres"), testing::HasSubstr(closed.string() + ":")));
  ::chmod(closed.c_str(), 0755);
  EXPECT_TRUE(server.becomes(State::ready)) << "it is tried again";
}

TEST_F(BuiltinServerIn, ALogThatGrewIsSetAside) {
  fs::create_directories(state_dir_ / "postgres");
  ::chmod((state_dir_ / "postgres").c_str(), 0755);
  std::ofstream(state_dir_ / "postgres/server.log") << "old";
  fs::resize_file(state_dir_ / "postgres/server.log", 11 << 20);
  WatchedServer server(state_dir_);
  server->start();
  ASSERT_TRUE(server.becomes(State::ready));
  EXPECT_EQ(fs::file_size(state_dir_ / "postgres/server.log.1"), 11u << 20);
  EXPECT_LT(fs::file_size(state_dir_ / "postgres/server.log"), 1u << 20);
}

TEST_F(BuiltinServerIn, StartIsStoppedWhileItMakesTheCluster) {
  WatchedServer server(state_dir_);
  server->start();
  server.next([](const auto& change) { return change.detail.starts_with("making"); });
  server->stop();
  EXPECT_EQ(server->state(), State::stopped);
  EXPECT_FALSE(fs::exists(state_dir_ / "postgres/data"));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child was left";
}

TEST_F(BuiltinServerIn, AProcessOfAnotherUserRunsAsThatUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const passwd* nobody = ::getpwnam("nobody");
  ASSERT_NE(nobody, nullptr);
  fs::create_directory(state_dir_);
  ASSERT_EQ(::chown(state_dir_.c_str(), nobody->pw_uid, nobody->pw_gid), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(nobody->pw_gid) != 0 || ::setuid(nobody->pw_uid) != 0) ::_exit(2);
    WatchedServer server(state_dir_);
    server->start();
    const auto ready = server.becomes(State::ready);
    if (!ready) std::fprintf(stderr, "%s\n", ready.message());
    const bool works = ready && ask(server->conninfo(), "SELECT current_user::text") == "tallyd";
    server->stop();
    ::_exit(works ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  WatchedServer as_root(state_dir_);
  as_root->start();
  ASSERT_TRUE(as_root.becomes(State::ready)) << "root goes on with the other user's data";
  struct stat owner {};
  ::stat(("/proc/" + std::to_string(server_process(state_dir_))).c_str(), &owner);
  EXPECT_EQ(owner.st_uid, nobody->pw_uid);
}

}  // namespace
}  // namespace tally::db
