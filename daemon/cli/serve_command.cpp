#include "daemon/app.hpp"
#include "daemon/cli/command_line.hpp"
#include "daemon/cli/setting_flags.hpp"
#include "daemon/log.hpp"

namespace tally::daemon::cli {
namespace {

struct Options {
  explicit Options(CLI::App& command) : flags(command, SettingFlags::Which::all) {}
  SettingFlags flags;
};

int run_serve(const Options& options) {
  LiveConfig config = options.flags.load();
  const tracker::SystemClock clock;
  const log::Scope log(config.now().log_level, config.now().log_format, clock);
  return serve(config);
}

}  // namespace

void add_serve_command(CommandLine& line) {
  add_work(line, line.app, "serve", "Take events, count them and answer until SIGTERM",
           {"serve", "serve --state-dir ./state --listen 127.0.0.1:7290",
            "serve --database-url-file /etc/tallyd/database-url"},
           run_serve);
}

}  // namespace tally::daemon::cli
