#pragma once
#include <CLI/App.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>

#include "daemon/cli/command_line.hpp"
#include "daemon/cli/setting_flags.hpp"
#include "daemon/config.hpp"
#include "db/builtin_server.hpp"
#include "db/directory.hpp"
#include "db/migrations.hpp"
#include "db/pg_store.hpp"
#include "db/token_store.hpp"

namespace tally::daemon::cli {

/// The database that a command works on: the one that the settings name, or the built-in one. If no daemon runs the
/// built-in one, it is started for as long as this lives; if a daemon is just starting, its database is waited for.
class Database {
 public:
  enum class Need {
    schema,      ///< an up-to-date schema; the built-in database is migrated
    connection,  ///< whatever is there
  };
  /// Throws CommandError.
  Database(const Config& config, Need need);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  db::Pool& pool() { return pool_; }
  db::PgStore& store() { return store_; }
  db::TokenStore& tokens() { return tokens_; }
  db::Directory& directory() { return directory_; }
  boost::asio::any_io_executor executor() { return io_.get_executor(); }
  const tracker::Clock& clock() const { return clock_; }
  /// For audit lines: `cli:<user name>`.
  const std::string& actor() const { return actor_; }

  /// Runs `work` to its end.
  template <class T>
  tracker::Result<T> attempt(boost::asio::awaitable<tracker::Result<T>> work) {
    std::optional<tracker::Result<T>> result;
    run(finish(std::move(work), result));
    return std::move(*result);
  }
  /// The same; a failure becomes a CommandError that says what was being done: `do_what` completes "cannot ...".
  template <class T>
  T wait(std::string_view do_what, boost::asio::awaitable<tracker::Result<T>> work) {
    auto result = attempt(std::move(work));
    if (!result) fail(do_what, result.error());
    if constexpr (!std::is_void_v<T>) return std::move(*result);
  }
  [[noreturn]] void fail(std::string_view do_what, const boost::system::error_code& error) const;
  void pause(std::chrono::milliseconds time);

 private:
  /// Remembers why the last statement failed.
  struct Note : db::Observer {
    void statement_ended(const db::StatementEnd& end) noexcept override;
    std::string message;
  };

  template <class T>
  static boost::asio::awaitable<void> finish(boost::asio::awaitable<tracker::Result<T>> work,
                                             std::optional<tracker::Result<T>>& result) {
    result.emplace(co_await std::move(work));
  }
  void run(boost::asio::awaitable<void> work);
  void reach_builtin(Need need);
  void start_builtin();
  void demand(const db::SchemaStatus& status) const;

  tracker::SystemClock clock_;
  boost::asio::io_context io_;
  Note note_;
  bool is_builtin_;
  std::filesystem::path state_dir_;
  std::unique_ptr<db::BuiltinServer> server_;
  db::Pool pool_;
  db::PgStore store_;
  db::TokenStore tokens_;
  db::Directory directory_;
  std::string actor_;
};

/// What every command on the database takes.
struct DatabaseOptions {
  explicit DatabaseOptions(CLI::App& command) : flags(command, SettingFlags::Which::database) {
    add_output_option(command, form);
  }
  bool json() const { return form == OutputForm::json; }
  SettingFlags flags;
  OutputForm form = OutputForm::table;
};

}  // namespace tally::daemon::cli
