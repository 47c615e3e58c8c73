#include "db/detail/builtin_process.hpp"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace tally::db::detail {

using namespace std::chrono_literals;

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

StopWord::StopWord() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_) throw std::runtime_error("eventfd: " + std::string(std::strerror(errno)));
}

void StopWord::say() {
  ::eventfd_write(event_.get(), 1);
}

void StopWord::take_back() {
  eventfd_t count;
  ::eventfd_read(event_.get(), &count);
}

bool StopWord::said() const {
  pollfd polled{event_.get(), POLLIN, 0};
  return ::poll(&polled, 1, 0) > 0;
}

Sleeper::Sleeper(const tracker::Clock& clock, std::chrono::milliseconds for_at_most, const StopWord* stop)
    : clock_(clock), deadline_(clock.steady() + for_at_most), stop_(stop) {}

bool Sleeper::time_is_up() const {
  return clock_.steady() >= deadline_;
}

Sleeper::Woke Sleeper::wait(int fd, short events, std::chrono::milliseconds slice) const {
  const tracker::SteadyTime until = std::min(deadline_, clock_.steady() + slice);
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock_.steady());
    pollfd polled[2] = {{stop_ != nullptr ? stop_->fd() : -1, POLLIN, 0}, {fd, events, 0}};
    ::poll(polled, 2, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000)));
    if (polled[0].revents != 0) return Woke::stop;
    if (polled[1].revents != 0) return Woke::fd;
    if (clock_.steady() >= until) return Woke::time;
  }
}

namespace {

Account to_account(const passwd& entry) {
  Account account{.uid = entry.pw_uid, .gid = entry.pw_gid, .name = entry.pw_name};
  int count = 64;
  account.groups.resize(64);
  while (::getgrouplist(entry.pw_name, entry.pw_gid, account.groups.data(), &count) < 0)
    account.groups.resize(
        static_cast<std::size_t>(count = std::max(count, static_cast<int>(account.groups.size()) * 2)));
  account.groups.resize(static_cast<std::size_t>(count));
  return account;
}

/// What the child does between fork and exec, prepared so that it allocates nothing and takes no lock.
struct Launch {
  const char* program;
  char* const* arguments;
  char* const* environment;
  const char* directory;
  const Account* drop_to;  // null: stay
  int null_input;
  int output;
  int death_signal;
  int report;
  pid_t parent;
};

enum class Step { become_user, orphaned, enter_directory, outputs, run };
struct Failure {
  Step step;
  int error;
};

void reset_signal_handlers() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &standard, nullptr);
}

// Straight to the kernel: the C library's wrappers coordinate the threads of a process, and the child has but one.
bool drop_privileges(const Account& account) {
  return ::syscall(SYS_setgroups, account.groups.size(), account.groups.data()) == 0 &&
         ::syscall(SYS_setresgid, account.gid, account.gid, account.gid) == 0 &&
         ::syscall(SYS_setresuid, account.uid, account.uid, account.uid) == 0;
}

void close_others_on_exec() {
  if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  for (int fd = 3; fd < 65'536; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

[[noreturn]] void fail(const Launch& launch, Step step) {
  const Failure failure{step, errno};
  [[maybe_unused]] const ssize_t written = ::write(launch.report, &failure, sizeof failure);
  ::_exit(127);
}

[[noreturn]] void become(const Launch& launch) {
  reset_signal_handlers();
  ::setsid();
  if (launch.drop_to != nullptr && !drop_privileges(*launch.drop_to)) fail(launch, Step::become_user);
  // A change of user clears this, hence after it; a parent that died before it never sends, hence the question.
  ::prctl(PR_SET_PDEATHSIG, launch.death_signal);
  if (::getppid() != launch.parent) fail(launch, Step::orphaned);
  if (::chdir(launch.directory) != 0) fail(launch, Step::enter_directory);
  if (::dup2(launch.null_input, 0) < 0 || ::dup2(launch.output, 1) < 0 || ::dup2(launch.output, 2) < 0)
    fail(launch, Step::outputs);
  close_others_on_exec();
  ::umask(077);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(launch.program, launch.arguments, launch.environment);
  fail(launch, Step::run);
}

/// A descriptor above the standard three, which the child overwrites.
UniqueFd above_standard(int fd) {
  const UniqueFd given(fd);
  UniqueFd moved(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!moved) throw BuiltinProblem(std::string("no file descriptor left to start PostgreSQL: ") + std::strerror(errno));
  return moved;
}

bool may_pass(const struct stat& directory, const Account& account) {
  if (directory.st_uid == account.uid) return (directory.st_mode & S_IXUSR) != 0;
  if (std::find(account.groups.begin(), account.groups.end(), directory.st_gid) != account.groups.end())
    return (directory.st_mode & S_IXGRP) != 0;
  return (directory.st_mode & S_IXOTH) != 0;
}

std::string explain_unreachable(const std::filesystem::path& directory, const Account& account) {
  std::filesystem::path blocking = directory, so_far;
  for (const auto& part : directory) {
    so_far /= part;
    struct stat status {};
    if (::stat(so_far.c_str(), &status) == 0 && !may_pass(status, account)) {
      blocking = so_far;
      break;
    }
  }
  return "PostgreSQL runs as user " + account.name + ", who may not pass through " + blocking.string() +
         ": chmod o+x it, or choose another --state-dir (e.g. below /var/lib), or give --database-url";
}

BuiltinProblem to_problem(const Failure& failure, const Command& command) {
  const std::string why = std::strerror(failure.error);
  switch (failure.step) {
    case Step::become_user:
      return BuiltinProblem("cannot become user " + command.account.name + " to run PostgreSQL: " + why);
    case Step::orphaned:
      return BuiltinProblem("the daemon ended while it started PostgreSQL");
    case Step::enter_directory:
      if (failure.error == EACCES) return BuiltinProblem(explain_unreachable(command.directory, command.account));
      return BuiltinProblem("cannot enter " + command.directory.string() + ": " + why);
    case Step::outputs:
      return BuiltinProblem("cannot give PostgreSQL its outputs: " + why);
    case Step::run:
      break;
  }
  return BuiltinProblem("cannot run " + command.program.string() + " as user " + command.account.name + ": " + why);
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& each : strings) pointers.push_back(each.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

std::optional<Account> find_account(const std::string& name) {
  passwd entry{}, *found = nullptr;
  char buffer[16'384];
  ::getpwnam_r(name.c_str(), &entry, buffer, sizeof buffer, &found);
  return found != nullptr ? std::optional(to_account(*found)) : std::nullopt;
}

std::optional<Account> find_account(uid_t uid) {
  passwd entry{}, *found = nullptr;
  char buffer[16'384];
  ::getpwuid_r(uid, &entry, buffer, sizeof buffer, &found);
  return found != nullptr ? std::optional(to_account(*found)) : std::nullopt;
}

Child Child::start(const Command& command) {
  std::vector<std::string> arguments{command.program.string()};
  arguments.insert(arguments.end(), command.arguments.begin(), command.arguments.end());
  // Our own environment may hold secrets, and PG* variables that would change its mind.
  std::vector<std::string> environment{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"};
  const std::vector<char*> argument_pointers = pointers_to(arguments);
  const std::vector<char*> environment_pointers = pointers_to(environment);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw BuiltinProblem(std::string("cannot make a pipe: ") + std::strerror(errno));
  const UniqueFd report(ends[0]);
  UniqueFd report_to = above_standard(ends[1]);
  const UniqueFd null_input = above_standard(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd output = above_standard(::fcntl(command.output, F_DUPFD_CLOEXEC, 3));
  const Launch launch{command.program.c_str(),
                      argument_pointers.data(),
                      environment_pointers.data(),
                      command.directory.c_str(),
                      ::geteuid() == 0 ? &command.account : nullptr,
                      null_input.get(),
                      output.get(),
                      command.death_signal,
                      report_to.get(),
                      ::getpid()};
  // No handler of ours may run in the child.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) become(launch);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) throw BuiltinProblem(std::string("cannot start a process for PostgreSQL: ") + std::strerror(error));

  Child child(pid, UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
  report_to = UniqueFd();
  Failure failure{};
  ssize_t got;
  do got = ::read(report.get(), &failure, sizeof failure);
  while (got < 0 && errno == EINTR);
  if (got == sizeof failure) throw to_problem(failure, command);
  return child;
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), process_(std::move(other.process_)), status_(other.status_) {}

Child::~Child() {
  if (pid_ < 0 || status_) return;
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Child::signal(int number) const {
  if (!status_) ::kill(pid_, number);
}

std::optional<int> Child::reap() {
  int status = 0;
  if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  return status_;
}

std::optional<int> Child::wait(const Sleeper& sleeper) {
  const auto slice = process_ ? std::chrono::milliseconds(1h) : 50ms;
  while (true) {
    if (reap()) return status_;
    const Sleeper::Woke woke = sleeper.wait(process_.get(), POLLIN, slice);
    if (woke == Sleeper::Woke::stop || sleeper.time_is_up()) return reap();
  }
}

std::string describe_status(int status) {
  return WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                             : "exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace tally::db::detail
