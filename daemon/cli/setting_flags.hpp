#pragma once
#include <CLI/App.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/config_sources.hpp"

namespace tally::daemon::cli {

/// The flags of a command that are settings, made from their declarations. Values stay text: the configuration reads
/// them, so that a flag, a variable and a line in the file are judged alike.
class SettingFlags {
 public:
  enum class Which { all, database };
  /// Adds `--config` and the settings: all, or those that reach the database.
  SettingFlags(CLI::App& command, Which which);

  /// Reads every source. Throws ConfigError.
  LiveConfig load() const;

 private:
  using Given = std::map<std::string, std::vector<std::string>, std::less<>>;
  std::shared_ptr<Given> given_ = std::make_shared<Given>();
};

}  // namespace tally::daemon::cli
