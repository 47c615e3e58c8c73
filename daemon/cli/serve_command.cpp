#include "daemon/app.hpp"
#include "daemon/cli/command_line.hpp"
#include "daemon/cli/setting_flags.hpp"
#include "daemon/log.hpp"

namespace tally::daemon::cli {
namespace {

struct ServeOptions {
  explicit ServeOptions(CLI::App& command) : flags(command, SettingFlags::Which::all) {}
  SettingFlags flags;
};

int run_server(const ServeOptions& options) {
  LiveConfig config = options.flags.load();
  const tracker::SystemClock clock;
  const log::Scope scope(config.now().log_level, config.now().log_format, clock);
  for (const std::string& warning : config.warnings()) log::warn("questionable configuration", {{"detail", warning}});
  try {
    return serve(config);
  } catch (const ConfigError& error) {
    log::error("cannot serve", {{"error", error.what()}});
    return 2;  // as for any other wrong setting: to start again does not help
  } catch (const std::exception& error) {
    log::error("cannot serve", {{"error", error.what()}});
    return 1;
  }
}

}  // namespace

void add_serve_command(CommandLine& line) {
  add_work(line, line.app, "serve", "Take events and count them, until SIGTERM or SIGINT",
           {"serve", "serve --state-dir ./state --listen 127.0.0.1:0 --period 0",
            "serve --database-url-file /etc/tallyd/database-url --listen unix:/run/tallyd/http.sock"},
           run_server);
}

}  // namespace tally::daemon::cli
