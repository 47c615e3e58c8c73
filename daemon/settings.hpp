#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "daemon/config.hpp"

namespace tally::daemon {

/// One thing that can be configured. The table in settings.cpp is the only place that knows its name, meaning, default
/// and bounds; flags, environment, file, `config show`, the manual and the completions are made from it.
struct Setting {
  std::string_view name;               ///< the flag without its dashes, and the key in the file
  std::string_view placeholder = {};   ///< stands for the value in help: DURATION; empty: a switch
  std::string_view default_text = {};  ///< read like any other value; empty: none
  std::string_view meaning = {};       ///< one sentence for help and manual
  bool repeatable = false;
  bool reloadable = false;           ///< SIGHUP brings a new value into force
  bool masked = false;               ///< may hold a password: shown through mask_database_url, never quoted in an error
  std::string_view credential = {};  ///< name below $CREDENTIALS_DIRECTORY that gives this path if nothing else does

  /// Puts the parsed value into the config; answers what would be right if it cannot.
  std::function<std::optional<std::string>(Config&, std::span<const std::string>)> parse = {};
  /// In canonical form: equal values have equal texts.
  std::function<std::string(const Config&)> show = {};
  /// Copies this one value.
  std::function<void(Config& to, const Config& from)> take = {};
};

std::span<const Setting> settings();
const Setting* find_setting(std::string_view name);
/// `TALLYD_FLUSH_INTERVAL` for `flush-interval`.
std::string environment_name(const Setting& setting);
/// The known name that is nearest to a mistyped one, if one is near.
std::optional<std::string_view> nearest_setting(std::string_view name);

}  // namespace tally::daemon
