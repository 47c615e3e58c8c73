#include "daemon/cli/database.hpp"

#include <pwd.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <iostream>
#include <mutex>

#include "daemon/counting/stream_driver.hpp"

namespace tally::daemon::cli {
namespace {

using namespace std::chrono_literals;
using tracker::Errc;

// A first start makes a database cluster, which takes seconds on a slow disk.
constexpr auto kStartPatience = 120s;

std::string user_name() {
  if (const passwd* entry = ::getpwuid(::getuid())) return std::string("cli:") + entry->pw_name;
  return "cli:" + std::to_string(::getuid());
}

/// Tells a person at a terminal what takes so long.
class Progress {
 public:
  explicit Progress(std::string_view text) : shown_(::isatty(STDERR_FILENO) != 0) {
    if (shown_) std::cerr << text << " ..." << std::flush;
  }
  ~Progress() {
    if (shown_) std::cerr << "\r\x1b[K" << std::flush;
  }

 private:
  bool shown_;
};

}  // namespace

void Database::Note::statement_ended(const db::StatementEnd& end) noexcept {
  if (end.error) message = end.message;
}

Database::Database(const Config& config, Need need)
    : io_(1),
      is_builtin_(config.database_url.empty()),
      state_dir_(config.state_dir),
      pool_(io_.get_executor(),
            {.conninfo = is_builtin_ ? db::BuiltinServer::conninfo_for(config.state_dir) : config.database_url,
             .limit = 2,
             .longest_backoff = 2s},
            clock_, note_),
      store_(pool_),
      tokens_(pool_),
      directory_(pool_),
      actor_(user_name()) {
  if (is_builtin_)
    reach_builtin(need);
  else if (need == Need::schema)
    demand(wait("look at the schema", db::inspect_schema(pool_)));
}

Database::~Database() {
  pool_.close();
  io_.restart();
  io_.poll();
}

void Database::run(boost::asio::awaitable<void> work) {
  std::exception_ptr failure;
  io_.restart();
  // The pool watches its idle connections: there is always work left, so the end of this one ends the run.
  boost::asio::co_spawn(io_, std::move(work), [&](std::exception_ptr thrown) {
    failure = thrown;
    io_.stop();
  });
  io_.run();
  if (failure) std::rethrow_exception(failure);
}

void Database::pause(std::chrono::milliseconds time) {
  boost::asio::steady_timer timer(io_, time);
  io_.restart();
  timer.async_wait([this](const boost::system::error_code&) { io_.stop(); });
  io_.run();
}

void Database::fail(std::string_view do_what, const boost::system::error_code& error) const {
  const std::string what = "cannot " + std::string(do_what) + ": ";
  switch (store_errc(error)) {
    case Errc::store_unavailable: {
      const std::string problem = pool_.last_problem();
      throw CommandError(what + (problem.empty() ? "the database cannot be reached" : problem),
                         is_builtin_
                             ? "look into the daemon's log for what became of the built-in database"
                             : "check that PostgreSQL runs and that the database URL is right: `tallyd config show`");
    }
    case Errc::outcome_unknown:
      throw CommandError(what + "the connection was lost before the answer came: it may have been done or not",
                         "look before you repeat it");
    case Errc::serialization:
      throw CommandError(what + "others were working on the same rows", "try again");
    case Errc::store_refuses:
      throw CommandError(what + (note_.message.empty() ? error.message() : note_.message),
                         "run `tallyd migrate`, or use a role that may do this");
    default:
      throw CommandError(what + (note_.message.empty() ? error.message() : note_.message));
  }
}

void Database::demand(const db::SchemaStatus& status) const {
  switch (status.state) {
    case db::SchemaState::current:
      return;
    case db::SchemaState::absent:
    case db::SchemaState::behind:
      throw CommandError(status.detail, "run `tallyd migrate`, or start `tallyd serve` with a role that may");
    case db::SchemaState::newer:
      throw CommandError(status.detail, "use the tallyd that made it, or a later one");
    case db::SchemaState::altered:
      throw CommandError(status.detail);
  }
}

/// The server is found running, run by a daemon or another command, or it is started here; each knows of the other by a
/// lock.
void Database::reach_builtin(Need need) {
  start_builtin();
  if (need != Need::schema) return;
  // Its role owns the schema, so there is nobody else to wait for.
  demand(wait("bring the schema up to date", db::migrate(pool_)));
}

void Database::start_builtin() {
  using State = db::BuiltinServer::State;
  struct Seen {
    std::mutex mutex;  // guards the rest
    std::condition_variable changed;
    State state = State::starting;
    std::string detail;
  };
  std::error_code failed;
  std::filesystem::create_directories(state_dir_, failed);
  if (failed)
    throw CommandError("cannot make the state directory " + state_dir_.string() + ": " + failed.message(),
                       "run as the daemon's user or as root, or give --state-dir or --database-url");
  const auto seen = std::make_shared<Seen>();
  server_ = std::make_unique<db::BuiltinServer>(db::BuiltinServerOptions{.state_dir = state_dir_},
                                                [seen](State state, const std::string& detail) {
                                                  const std::lock_guard guard(seen->mutex);
                                                  seen->state = state;
                                                  seen->detail = detail;
                                                  seen->changed.notify_all();
                                                });
  server_->start();
  const Progress progress("starting the built-in database");
  std::unique_lock guard(seen->mutex);
  seen->changed.wait_for(guard, kStartPatience,
                         [&] { return seen->state == State::ready || seen->state == State::failed; });
  if (seen->state != State::ready)
    throw CommandError("the built-in database does not start: " + seen->detail,
                       "see that postgresql is installed and " + state_dir_.string() +
                           " can be used, or give --database-url for a server of your own");
}

}  // namespace tally::daemon::cli
