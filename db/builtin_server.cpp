#include "db/builtin_server.hpp"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <thread>

#include "db/detail/builtin_files.hpp"
#include "db/detail/builtin_layout.hpp"
#include "db/detail/builtin_process.hpp"
#include "db/detail/builtin_setup.hpp"
#include "tracker/clock.hpp"

namespace tally::db {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace detail;

namespace {

constexpr auto kFirstPause = 200ms;
constexpr auto kLongestPause = 30s;
constexpr auto kGoodRun = 60s;  // after which failures count from none again
constexpr auto kLook = 20ms;    // between looks at a file or a process that cannot be waited for
constexpr auto kLookAtLock = 200ms;
constexpr unsigned kLooksPerConnection = 25;
constexpr auto kLookAtLog = 60s;
constexpr auto kSetupTimeout = 30s;
constexpr auto kLeftoverGrace = 5s;     // its children have this long before it kills them
constexpr auto kImmediateTimeout = 8s;  // PostgreSQL kills its own children after 5

std::vector<std::string> server_arguments(const BuiltinLayout& layout) {
  std::vector<std::string> arguments{"-D", layout.data.string()};
  // What correctness rests on, above anything in postgresql.conf; the rest may be tuned there.
  for (const std::string& setting :
       {std::string("listen_addresses="), std::string("port=5432"),
        "unix_socket_directories=" + layout.sockets.string(), std::string("unix_socket_permissions=0777"),
        "hba_file=" + layout.hba.string(), "ident_file=" + layout.ident.string(), std::string("fsync=on"),
        std::string("full_page_writes=on"), std::string("jit=off"), std::string("logging_collector=off"),
        std::string("log_destination=stderr"), std::string("log_line_prefix=%m [%p] ")}) {
    arguments.push_back("-c");
    arguments.push_back(setting);
  }
  return arguments;
}

}  // namespace

class BuiltinServer::Impl {
 public:
  Impl(BuiltinServerOptions options, OnChange on_change)
      : options_(std::move(options)), on_change_(std::move(on_change)), layout_(options_.state_dir) {}
  ~Impl() { stop(); }

  void start() {
    const std::lock_guard guard(thread_mutex_);
    if (thread_.joinable()) return;
    stop_word_.take_back();
    thread_ = std::thread([this] { run(); });
  }

  void stop() {
    const std::lock_guard guard(thread_mutex_);
    if (!thread_.joinable()) return;
    stop_word_.say();
    thread_.join();
  }

  State state() const {
    const std::lock_guard guard(state_mutex_);
    return state_;
  }
  std::string detail() const {
    const std::lock_guard guard(state_mutex_);
    return detail_;
  }
  std::string conninfo() const { return layout_.conninfo(kBuiltinRole, kBuiltinRole); }

 private:
  /// Children are started here, and get their death signal when this thread ends.
  void run() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    announce(State::starting, "starting the built-in database in " + layout_.home.string());
    pause_ = kFirstPause;
    while (!stop_word_.said()) {
      try {
        serve();
      } catch (const std::exception& problem) {
        if (!stop_word_.said()) announce(State::failed, problem.what());
      }
      sleeper(pause_).wait(-1, 0);
      pause_ = std::min<std::chrono::milliseconds>(pause_ * 2, kLongestPause);
    }
    announce(State::stopped, "the built-in database is stopped");
  }

  /// One life of the server, or of following another process's. Returns when told to stop; throws when it ends
  /// otherwise.
  void serve() {
    const Account account = server_account_after_directories();
    const auto lock = own_or_follow();
    if (!lock) return;
    const auto version = layout_.data_version();
    const Programs programs = find_programs(options_.bin_dir, version, account, sleeper(10s));
    end_leftover();
    ServerLog log(layout_.log);
    if (!version) make_cluster(programs, account, log);
    log.mark();
    write_access_rules(layout_, account);
    if (stop_word_.said()) return;
    announce(State::starting, "starting PostgreSQL " + std::to_string(programs.version));
    // Immediately: whoever starts next must not wait for a checkpoint.
    Child server =
        Child::start({programs.postgres, server_arguments(layout_), layout_.data, account, log.fd(), SIGQUIT});
    try {
      watch(server, log, "PostgreSQL " + std::to_string(programs.version));
    } catch (...) {
      shut_down(server);
      throw;
    }
    announce(State::stopping, "stopping the built-in database");
    shut_down(server);
  }

  Account server_account_after_directories() {
    Account account = server_account(layout_);
    make_directories(layout_, account);
    return account;
  }

  /// Nothing when told to stop.
  std::optional<OwnerLock> own_or_follow() {
    for (unsigned look = 0;; ++look) {
      if (auto lock = OwnerLock::take(layout_.lock)) return lock;
      if (sleeper(look == 0 ? 0ms : kLookAtLock).wait(-1, 0) == Sleeper::Woke::stop) return std::nullopt;
      if (state() == State::ready && look % kLooksPerConnection != 0) continue;
      const std::string owner = "process " + std::to_string(OwnerLock::owner(layout_.lock));
      if (accepts_connections(conninfo(), sleeper(kSetupTimeout)))
        announce(State::ready, "the built-in database is run by " + owner);
      else if (!stop_word_.said())
        announce(State::starting,
                 "waiting for " + owner + ", which runs the built-in database in " + layout_.home.string());
    }
  }

  /// A server whose daemon was killed gets its death signal at the same moment: usually it is on its way out.
  void end_leftover() {
    const auto left = read_server_file(layout_.data);
    if (!left) return;
    if (!is_server_of(left->pid, layout_.data)) {
      // PostgreSQL would take any process of that pid and user for a server, and refuse to start.
      ::unlink((layout_.data / "postmaster.pid").c_str());
      return;
    }
    announce(State::starting,
             "waiting for the PostgreSQL of an earlier run to end (process " + std::to_string(left->pid) + ")");
    struct Measure {
      int signal;
      std::chrono::milliseconds patience;
    };
    for (const Measure& measure :
         {Measure{0, kLeftoverGrace}, {SIGINT, options_.stop_timeout}, {SIGQUIT, kImmediateTimeout}, {SIGKILL, 2s}}) {
      ::kill(left->pid, measure.signal);
      const Sleeper patience = sleeper(measure.patience);
      while (!patience.time_is_up()) {
        if (!is_server_of(left->pid, layout_.data)) return;
        if (patience.wait(-1, 0, kLook) == Sleeper::Woke::stop) throw BuiltinProblem("told to stop");
      }
    }
    throw BuiltinProblem("process " + std::to_string(left->pid) + " still runs the database in " +
                         layout_.data.string() + " and does not end: stop it");
  }

  /// Made beside its place and then renamed, so that a half-made one is never taken for a cluster.
  void make_cluster(const Programs& programs, const Account& account, ServerLog& log) {
    if (fs::exists(layout_.data) && !fs::is_empty(layout_.data))
      throw BuiltinProblem(layout_.data.string() + " holds something else than a PostgreSQL cluster: move it away");
    announce(State::starting, "making the built-in database in " + layout_.data.string());
    remove_half_made();
    std::string fresh = layout_.data.string() + ".new-XXXXXX";
    if (::mkdtemp(fresh.data()) == nullptr ||
        (::geteuid() != account.uid && ::chown(fresh.c_str(), account.uid, account.gid) != 0))
      throw BuiltinProblem("cannot make a directory in " + layout_.home.string() + ": " + std::strerror(errno));
    // Killed with us: the next start throws the rest away.
    Child initdb = Child::start({programs.initdb,
                                 {"-D", fresh, "-U", std::string(kBuiltinAdmin), "-E", "UTF8", "--no-locale",
                                  "--auth-local=peer", "--auth-host=reject", "--no-instructions"},
                                 layout_.home,
                                 account,
                                 log.fd(),
                                 SIGKILL});
    const auto status = initdb.wait(sleeper(10min));
    if (stop_word_.said()) throw BuiltinProblem("told to stop");
    if (!status || *status != 0)
      throw BuiltinProblem("initdb " + (status ? "ended with " + describe_status(*status) : "takes too long") + " (" +
                           log.last_words() + "); see " + layout_.log.string());
    if (::rename(fresh.c_str(), layout_.data.c_str()) != 0)
      throw BuiltinProblem("cannot rename " + fresh + ": " + std::strerror(errno));
    sync_directory(layout_.home);
  }

  void remove_half_made() {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(layout_.home, ignored))
      if (entry.path().filename().string().starts_with("data.new-")) fs::remove_all(entry.path(), ignored);
  }

  /// Until told to stop. Throws when the server ends by itself.
  void watch(Child& server, ServerLog& log, const std::string& name) {
    if (!become_ready(server, log, name)) return;
    announce(State::ready, "the built-in database is ready (" + name + ")");
    pause_ = kFirstPause;
    while (!stop_word_.said()) {
      if (const auto status = server.wait(sleeper(kLookAtLog))) throw_ended(*status, log, name);
      log.bound();
    }
  }

  /// False when told to stop. Recovery after a crash may take its time.
  bool become_ready(Child& server, const ServerLog& log, const std::string& name) {
    while (true) {
      if (const auto status = server.wait(sleeper(kLook))) throw_ended(*status, log, name);
      if (stop_word_.said()) return false;
      const auto said = read_server_file(layout_.data);
      if (said && said->pid == server.pid() && said->ready) break;
    }
    make_role_and_database(layout_.conninfo(kBuiltinAdmin, "postgres"), sleeper(kSetupTimeout));
    return true;
  }

  [[noreturn]] void throw_ended(int status, const ServerLog& log, const std::string& name) const {
    const std::string words = WIFSIGNALED(status) ? "" : log.last_words();
    throw BuiltinProblem(name + " ended with " + describe_status(status) + (words.empty() ? "" : " (" + words + ")") +
                         "; it is started again; see " + layout_.log.string());
  }

  /// Fast, then immediately, then by force.
  void shut_down(Child& server) {
    server.signal(SIGINT);
    if (server.wait(deaf_sleeper(options_.stop_timeout))) return;
    server.signal(SIGQUIT);
    if (server.wait(deaf_sleeper(kImmediateTimeout))) return;
    server.signal(SIGKILL);
    server.wait(deaf_sleeper(kImmediateTimeout));
  }

  Sleeper sleeper(std::chrono::milliseconds for_at_most) const { return {clock_, for_at_most, &stop_word_}; }
  /// For when we were told to stop already.
  Sleeper deaf_sleeper(std::chrono::milliseconds for_at_most) const { return {clock_, for_at_most, nullptr}; }

  void announce(State state, const std::string& detail) {
    {
      const std::lock_guard guard(state_mutex_);
      if (state_ == state && detail_ == detail) return;
      state_ = state;
      detail_ = detail;
    }
    if (on_change_) on_change_(state, detail);
  }

  const BuiltinServerOptions options_;
  const OnChange on_change_;
  const BuiltinLayout layout_;
  tracker::SystemClock clock_;
  StopWord stop_word_;
  std::chrono::milliseconds pause_ = kFirstPause;  // before the next try; longer with each that did not become ready

  mutable std::mutex state_mutex_;
  State state_ = State::idle;
  std::string detail_ = "the built-in database was not started";

  std::mutex thread_mutex_;
  std::thread thread_;
};

BuiltinServer::BuiltinServer(BuiltinServerOptions options, OnChange on_change)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(on_change))) {}
BuiltinServer::~BuiltinServer() = default;
void BuiltinServer::start() {
  impl_->start();
}
void BuiltinServer::stop() {
  impl_->stop();
}
BuiltinServer::State BuiltinServer::state() const {
  return impl_->state();
}
std::string BuiltinServer::detail() const {
  return impl_->detail();
}
std::string BuiltinServer::conninfo() const {
  return impl_->conninfo();
}

std::string BuiltinServer::conninfo_for(const fs::path& state_dir) {
  return BuiltinLayout(state_dir).conninfo(kBuiltinRole, kBuiltinRole);
}

}  // namespace tally::db
