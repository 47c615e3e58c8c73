#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "daemon/config.hpp"

namespace tally::daemon {

/// Later ones win.
enum class Origin : std::uint8_t { by_default, credential, file, environment, flag };
std::string_view to_string(Origin origin);

/// What a configuration is made of. The file is read again at each load; the rest stays as it was at start.
struct ConfigInputs {
  std::map<std::string, std::vector<std::string>, std::less<>> flags;  ///< without the dashes
  std::map<std::string, std::string, std::less<>> environment;         ///< the variables that start with TALLYD_
  std::filesystem::path file = "/etc/tallyd/tallyd.toml";
  bool file_required = false;         ///< named by the user: it must be there
  std::filesystem::path credentials;  ///< systemd's $CREDENTIALS_DIRECTORY; empty: none
};

/// Inputs from this process: its environment (taken out of it, so that no child inherits a secret) and the given flags.
ConfigInputs config_inputs(std::map<std::string, std::vector<std::string>, std::less<>> flags);

struct SettingValue {
  std::string name;
  std::string text;  ///< in canonical form; secrets masked
  Origin origin = Origin::by_default;
  std::string where = {};  ///< `/etc/tallyd/tallyd.toml:12`, `TALLYD_LISTEN`, `--listen`; empty for a default
};

/// One line for each thing that is wrong, each naming where it stands and what would be right. Holds no secret.
class ConfigError : public std::runtime_error {
 public:
  explicit ConfigError(std::vector<std::string> problems);
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  std::vector<std::string> problems_;
};

/// What a re-read brought, by name of the setting.
struct Reloaded {
  std::vector<std::string> changed;        ///< in force now
  std::vector<std::string> needs_restart;  ///< differ in the file, but cannot change while running
};

/// The configuration of a running process. One thread at a time.
class LiveConfig {
 public:
  /// Throws ConfigError.
  explicit LiveConfig(ConfigInputs inputs);

  const Config& now() const { return config_; }
  /// In the order of their declaration.
  const std::vector<SettingValue>& values() const { return values_; }
  /// The file that was read; empty if there was none.
  const std::filesystem::path& file() const { return file_; }
  /// Questionable, but no error: one line each.
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// Reads the sources again and takes over what can change while running. Throws ConfigError and changes nothing if
  /// they are wrong. The contents of files that settings name (certificates, tokens) are their readers' business.
  Reloaded reload();

 private:
  ConfigInputs inputs_;
  Config config_;
  std::vector<SettingValue> values_;
  std::filesystem::path file_;
  std::vector<std::string> warnings_;
};

/// All defaults; for tests and tools.
Config default_config();

/// A libpq URL or keyword string as it may be shown: every password in it replaced. Cautious: rather too much than too
/// little.
std::string mask_database_url(std::string_view url);

}  // namespace tally::daemon
