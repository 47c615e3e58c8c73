#include "daemon/config_sources.hpp"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "daemon/detail/toml_file.hpp"
#include "daemon/settings.hpp"

extern char** environ;

namespace tally::daemon {
namespace {

/// A value as one source gives it.
struct Given {
  std::vector<std::string> texts;
  Origin origin = Origin::by_default;
  std::string where;
};
using GivenByName = std::map<std::string, Given, std::less<>>;

struct Loaded {
  Config config;
  std::vector<SettingValue> values;
  std::filesystem::path file;
  std::vector<std::string> warnings;
};

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const unsigned char c : text.substr(0, 80)) {
    if (c < ' ' || c == 0x7f)
      out += '?';
    else
      out += static_cast<char>(c);
  }
  return out + (text.size() > 80 ? "...\"" : "\"");
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ",") + text;
  return all;
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  for (;;) {
    const auto comma = text.find(',', start);
    parts.push_back(text.substr(start, comma - start));
    if (comma == text.npos) return parts;
    start = comma + 1;
  }
}

class Loader {
 public:
  explicit Loader(const ConfigInputs& inputs) : inputs_(inputs) {}

  Loaded load() {
    take_defaults();
    take_credentials();
    take_file();
    take_environment();
    take_flags();
    parse_all();
    choose_database_url();
    check_combinations();
    if (!problems_.empty()) throw ConfigError(std::move(problems_));
    describe();
    return std::move(loaded_);
  }

 private:
  void take_defaults() {
    for (const Setting& setting : settings())
      if (!setting.default_text.empty())
        given_[std::string(setting.name)] = {{std::string(setting.default_text)}, Origin::by_default, ""};
  }

  void take_credentials() {
    if (inputs_.credentials.empty()) return;
    for (const Setting& setting : settings()) {
      if (setting.credential.empty()) continue;
      const auto path = inputs_.credentials / setting.credential;
      if (std::error_code ignored; std::filesystem::exists(path, ignored))
        given_[std::string(setting.name)] = {{path.string()}, Origin::credential, std::string(setting.credential)};
    }
  }

  void take_file() {
    std::error_code ignored;
    if (!inputs_.file_required && !std::filesystem::exists(inputs_.file, ignored)) return;
    loaded_.file = inputs_.file;
    auto content = detail::read_toml(inputs_.file);
    problems_.insert(problems_.end(), content.problems.begin(), content.problems.end());
    for (detail::FileEntry& entry : content.entries) take_file_entry(entry);
  }

  void take_file_entry(detail::FileEntry& entry) {
    const std::string where = inputs_.file.string() + ":" + std::to_string(entry.line);
    const std::string place = where + ": " + entry.key + ": ";
    const Setting* setting = find_setting(entry.key);
    if (setting == nullptr) {
      const auto nearest = nearest_setting(entry.key);
      problems_.push_back(
          place + "unknown key" +
          (nearest ? ": did you mean " + std::string(*nearest) + "?" : "; `tallyd config show` lists the known ones"));
    } else if (entry.problem) {
      problems_.push_back(place + *entry.problem);
    } else if (entry.is_array && !setting->repeatable) {
      problems_.push_back(place + "takes one value: write it without brackets");
    } else if (entry.texts.empty()) {
      problems_.push_back(place + "the array is empty: write at least one value, or leave the key out");
    } else {
      given_[entry.key] = {std::move(entry.texts), Origin::file, where};
    }
  }

  void take_environment() {
    for (const Setting& setting : settings()) {
      const std::string name = environment_name(setting);
      const auto found = inputs_.environment.find(name);
      if (found == inputs_.environment.end()) continue;
      given_[std::string(setting.name)] = {
          setting.repeatable ? split_commas(found->second) : std::vector{found->second}, Origin::environment, name};
    }
    for (const auto& [name, value] : inputs_.environment) warn_of_unknown_variable(name);
  }

  /// Only what looks like a slip: an orchestrator may set TALLYD_ variables of its own (a service's address).
  void warn_of_unknown_variable(const std::string& name) {
    for (const Setting& setting : settings())
      if (environment_name(setting) == name) return;
    if (const auto nearest = nearest_setting(std::string_view(name).substr(std::string_view("TALLYD_").size())))
      loaded_.warnings.push_back(name + " is not a setting: did you mean " + environment_name(*find_setting(*nearest)) +
                                 "?");
  }

  void take_flags() {
    for (const auto& [name, texts] : inputs_.flags)
      if (!texts.empty()) given_[name] = {texts, Origin::flag, "--" + name};
  }

  void parse_all() {
    for (const Setting& setting : settings()) {
      const auto found = given_.find(setting.name);
      if (found == given_.end()) continue;
      const Given& given = found->second;
      const auto wrong = setting.parse(loaded_.config, given.texts);
      if (!wrong) continue;
      const std::string key = given.origin == Origin::file ? ": " + std::string(setting.name) : "";
      const std::string value = setting.masked ? "cannot be used" : in_quotes(joined(given.texts)) + " is not right";
      problems_.push_back(given.where + key + ": " + value + ": " + *wrong);
    }
    loaded_.config.listen_is_default = given_["listen"].origin == Origin::by_default;
  }

  /// The URL and the file that holds one are one setting in two forms: whichever comes from the stronger source counts.
  void choose_database_url() {
    const auto url = given_.find("database-url");
    const auto file = given_.find("database-url-file");
    if (file == given_.end()) return check_database_url(url == given_.end() ? "" : url->second.where);
    if (url != given_.end() && url->second.origin == file->second.origin) {
      problems_.push_back(file->second.where + ": database-url-file and database-url are both given: leave one out");
      return;
    }
    if (url != given_.end() && url->second.origin > file->second.origin) {
      loaded_.config.database_url_file.clear();
      given_.erase(file);
      return check_database_url(url->second.where);
    }
    if (url != given_.end()) given_.erase(url);
    const auto& path = loaded_.config.database_url_file;
    auto content = detail::read_file(path, 64 * 1024);
    while (!content.content.empty() && isspace(static_cast<unsigned char>(content.content.back())))
      content.content.pop_back();
    if (!content.error.empty())
      problems_.push_back(file->second.where + ": " + path.string() + " cannot be read: " + content.error);
    else if (content.content.empty())
      problems_.push_back(file->second.where + ": " + path.string() + " is empty: write a libpq URL into it");
    loaded_.config.database_url = std::move(content.content);
    check_database_url(file->second.where);
  }

  void check_database_url(const std::string& where) {
    const std::string& url = loaded_.config.database_url;
    if (url.empty()) return;
    // libpq's own message may quote the password: it is not passed on.
    char* message = nullptr;
    const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options(PQconninfoParse(url.c_str(), &message),
                                                                                 PQconninfoFree);
    PQfreemem(message);
    if (!options || url.find('\0') != url.npos)
      problems_.push_back(
          where + ": libpq cannot read the database URL " + mask_database_url(url) +
          ": write postgresql://user@host:5432/name, with special characters percent-encoded, or keywords");
  }

  void check_combinations() {
    const Config& config = loaded_.config;
    if (config.tls_cert.empty() != config.tls_key.empty())
      problems_.push_back("--tls-cert and --tls-key belong together: give both or neither");
    if (config.period % std::chrono::seconds(1) != std::chrono::milliseconds(0))
      problems_.push_back("--period is in whole seconds");
    if (!config.tls_client_ca.empty() && config.tls_cert.empty())
      problems_.push_back("--tls-client-ca needs --tls-cert and --tls-key");
    if (config.tls_cert.empty() && !config.insecure_http)
      for (const auto* endpoints : {&config.listen, &config.metrics_listen})
        for (const Endpoint& endpoint : *endpoints)
          if (!is_local(endpoint))
            problems_.push_back(
                to_string(endpoint) +
                ": plain HTTP is served on loopback and Unix sockets only: give --tls-cert and --tls-key, "
                "or say --insecure-http");
    if (config.report_url.empty() && (!config.report_token_file.empty() || !config.report_hmac_key_file.empty()))
      loaded_.warnings.push_back("a report token or key is given, but no --report-url: it is not used");
    if (config.publish_url.empty() && (!config.publish_token_file.empty() || !config.publish_license_file.empty()))
      loaded_.warnings.push_back("a publish token or license is given, but no --publish-url: it is not used");
    warn_of_visible_password();
  }

  void warn_of_visible_password() {
    const auto url = given_.find("database-url");
    if (url == given_.end() || url->second.origin != Origin::flag) return;
    if (mask_database_url(loaded_.config.database_url) != loaded_.config.database_url)
      loaded_.warnings.push_back(
          "--database-url holds a password that other users can see in the list of processes: use --database-url-file");
  }

  void describe() {
    for (const Setting& setting : settings()) {
      SettingValue value{.name = std::string(setting.name), .text = setting.show(loaded_.config)};
      if (const auto found = given_.find(setting.name); found != given_.end()) {
        value.origin = found->second.origin;
        value.where = found->second.where;
      } else if (setting.name == "database-url" && !loaded_.config.database_url.empty()) {
        const Given& file = given_["database-url-file"];
        value.origin = file.origin;
        value.where = file.where;
      }
      if (setting.masked) value.text = mask_database_url(value.text);
      loaded_.values.push_back(std::move(value));
    }
  }

  const ConfigInputs& inputs_;
  GivenByName given_;
  std::vector<std::string> problems_;
  Loaded loaded_;
};

std::string all_lines(const std::vector<std::string>& problems) {
  std::string text;
  for (const std::string& problem : problems) text += (text.empty() ? "" : "\n") + problem;
  return text;
}

}  // namespace

std::string_view to_string(Origin origin) {
  switch (origin) {
    case Origin::by_default:
      return "default";
    case Origin::credential:
      return "credential";
    case Origin::file:
      return "file";
    case Origin::environment:
      return "environment";
    case Origin::flag:
      return "flag";
  }
  return "";
}

ConfigInputs config_inputs(std::map<std::string, std::vector<std::string>, std::less<>> flags) {
  ConfigInputs inputs;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const auto equals = text.find('=');
    if (equals != text.npos && text.starts_with("TALLYD_"))
      inputs.environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  for (const Setting& setting : settings()) {
    const std::string name = environment_name(setting);
    // The bytes too: they stay readable in /proc/<pid>/environ otherwise.
    if (char* bytes = ::getenv(name.c_str()); bytes != nullptr && setting.masked)
      ::explicit_bzero(bytes, ::strlen(bytes));
    ::unsetenv(name.c_str());
  }
  if (const char* directory = ::getenv("CREDENTIALS_DIRECTORY")) inputs.credentials = directory;
  const auto named = inputs.environment.find("TALLYD_CONFIG");
  if (const auto flag = flags.find("config"); flag != flags.end() && !flag->second.empty()) {
    inputs.file = flag->second.back();
    inputs.file_required = true;
    flags.erase(flag);
  } else if (named != inputs.environment.end()) {
    inputs.file = named->second;
    inputs.file_required = true;
  }
  inputs.flags = std::move(flags);
  return inputs;
}

ConfigError::ConfigError(std::vector<std::string> problems)
    : std::runtime_error(all_lines(problems)), problems_(std::move(problems)) {}

LiveConfig::LiveConfig(ConfigInputs inputs) : inputs_(std::move(inputs)) {
  Loaded loaded = Loader(inputs_).load();
  config_ = std::move(loaded.config);
  values_ = std::move(loaded.values);
  file_ = std::move(loaded.file);
  warnings_ = std::move(loaded.warnings);
}

Reloaded LiveConfig::reload() {
  Loaded fresh = Loader(inputs_).load();
  Reloaded result;
  Config next = config_;
  std::size_t i = 0;
  for (const Setting& setting : settings()) {
    const std::string before = setting.show(config_);
    const std::string after = setting.show(fresh.config);
    SettingValue& value = values_[i];
    const SettingValue& fresh_value = fresh.values[i++];
    if (before == after) {
      value = fresh_value;
      continue;
    }
    // What was absent has no part that could take it over (a TLS context, a sender), and the reverse.
    if (!setting.reloadable || before.empty() != after.empty()) {
      result.needs_restart.emplace_back(setting.name);
      continue;
    }
    result.changed.emplace_back(setting.name);
    value = fresh_value;
    setting.take(next, fresh.config);
  }
  config_ = std::move(next);
  file_ = std::move(fresh.file);
  warnings_ = std::move(fresh.warnings);
  return result;
}

Config default_config() {
  ConfigInputs inputs;
  inputs.file = "/dev/null";
  return Loader(inputs).load().config;
}

}  // namespace tally::daemon
