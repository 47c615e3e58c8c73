#pragma once
#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tracker/clock.hpp"

/// Children of the built-in server's thread, and waiting for them without missing the word to stop.
namespace tally::db::detail {

/// Why the built-in database does not run: a sentence that says what to do.
class BuiltinProblem : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// The word to stop, from any thread, to one that sleeps in `Sleeper`.
class StopWord {
 public:
  StopWord();
  void say();
  void take_back();
  bool said() const;
  int fd() const { return event_.get(); }

 private:
  UniqueFd event_;
};

/// A deadline and the word to stop.
class Sleeper {
 public:
  enum class Woke { fd, stop, time };
  /// Without `stop`, only time and the descriptor wake it.
  Sleeper(const tracker::Clock& clock, std::chrono::milliseconds for_at_most, const StopWord* stop);
  /// At most `slice`; `time` only at the deadline or the end of the slice. `fd` -1: none.
  Woke wait(int fd, short events, std::chrono::milliseconds slice = std::chrono::hours(1)) const;
  bool time_is_up() const;

 private:
  const tracker::Clock& clock_;
  const tracker::SteadyTime deadline_;
  const StopWord* stop_;
};

/// An OS user to run as.
struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
  std::vector<gid_t> groups;
};

std::optional<Account> find_account(const std::string& name);
std::optional<Account> find_account(uid_t uid);

struct Command {
  std::filesystem::path program;
  std::vector<std::string> arguments;
  std::filesystem::path directory;  ///< entered as `account`
  const Account& account;           ///< switched to if this process is root
  int output;                       ///< its stdout and stderr
  int death_signal;                 ///< what it gets when the thread that started it ends
};

/// A child in a session of its own, so that Ctrl-C on our terminal does not reach it, with an empty signal mask,
/// default handlers, no descriptor but 0 to 2, and hardly any environment. Must be started and destroyed by one thread.
class Child {
 public:
  /// Returns once the program runs. Throws `BuiltinProblem`.
  static Child start(const Command& command);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();  ///< kills what was not reaped

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  /// The wait status, once it has ended.
  std::optional<int> reap();
  /// Waits for its end; nothing if the sleeper gave up first.
  std::optional<int> wait(const Sleeper& sleeper);

 private:
  Child(pid_t pid, UniqueFd process) : pid_(pid), process_(std::move(process)) {}
  pid_t pid_;
  UniqueFd process_;  // readable when it ends; none on kernels without pidfd
  std::optional<int> status_;
};

/// "exit code 1", "signal 9".
std::string describe_status(int status);

}  // namespace tally::db::detail
