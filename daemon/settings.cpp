#include "daemon/settings.hpp"

#include <algorithm>
#include <charconv>
#include <climits>
#include <numeric>
#include <thread>
#include <utility>

#include "daemon/units.hpp"

namespace tally::daemon {
namespace {

using namespace std::chrono_literals;
using Problem = std::optional<std::string>;
using Texts = std::span<const std::string>;

constexpr auto kDay = 24h;
constexpr auto kYear = 365 * kDay;

template <class T>
void bind(Setting& setting, T Config::*field) {
  setting.take = [field](Config& to, const Config& from) { to.*field = from.*field; };
}

struct Range {
  milliseconds least;
  milliseconds most;
  bool or_zero = false;
};

Setting duration(std::string_view name, milliseconds Config::*field, std::string_view default_text, Range range,
                 std::string_view meaning) {
  Setting setting{.name = name, .placeholder = "DURATION", .default_text = default_text, .meaning = meaning};
  bind(setting, field);
  setting.parse = [field, range](Config& config, Texts texts) -> Problem {
    const auto value = parse_duration(texts.front());
    if (!value) return "write a number and ms, s, m, h or d, as in 90s";
    const bool zero_taken = range.or_zero && value->count() == 0;
    if (!zero_taken && (*value < range.least || *value > range.most))
      return "write a duration from " + duration_text(range.least) + " to " + duration_text(range.most) +
             (range.or_zero ? ", or 0" : "");
    config.*field = *value;
    return std::nullopt;
  };
  setting.show = [field](const Config& config) { return duration_text(config.*field); };
  return setting;
}

Setting count(std::string_view name, std::uint32_t Config::*field, std::string_view default_text, std::uint32_t most,
              std::string_view meaning) {
  Setting setting{.name = name, .placeholder = "N", .default_text = default_text, .meaning = meaning};
  bind(setting, field);
  setting.parse = [field, most](Config& config, Texts texts) -> Problem {
    const std::string& text = texts.front();
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < 1 || value > most)
      return "write a whole number from 1 to " + std::to_string(most);
    config.*field = value;
    return std::nullopt;
  };
  setting.show = [field](const Config& config) { return std::to_string(config.*field); };
  return setting;
}

/// A count for which one word stands for a number of its own.
Setting count_or(std::string_view word, std::uint32_t word_value, Setting setting, std::uint32_t Config::*field) {
  setting.placeholder = setting.name == "threads" ? "N|cores" : "N|off";
  setting.parse = [word, word_value, field, number = setting.parse](Config& config, Texts texts) -> Problem {
    if (texts.front() == word) {
      config.*field = word_value;
      return std::nullopt;
    }
    auto problem = number(config, texts);
    if (problem) problem->append(", or ").append(word);
    return problem;
  };
  return setting;
}

Setting path(std::string_view name, std::filesystem::path Config::*field, std::string_view credential,
             std::string_view meaning) {
  Setting setting{.name = name, .placeholder = "FILE", .meaning = meaning};
  bind(setting, field);
  setting.credential = credential;
  setting.parse = [field](Config& config, Texts texts) -> Problem {
    const std::string& text = texts.front();
    if (text.empty() || text.find('\0') != text.npos || text.size() >= PATH_MAX) return "write the path of a file";
    config.*field = std::filesystem::absolute(text).lexically_normal();
    return std::nullopt;
  };
  setting.show = [field](const Config& config) { return (config.*field).string(); };
  return setting;
}

bool is_http_url(std::string_view text) {
  const auto rest = text.starts_with("https://") ? text.substr(8) : text.starts_with("http://") ? text.substr(7) : "";
  const auto host = rest.substr(0, rest.find_first_of("/?#"));
  const bool printable = std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
  return !host.empty() && printable && host.find('@') == host.npos && text.size() <= 2048;
}

Setting url(std::string_view name, std::string Config::*field, std::string_view meaning) {
  Setting setting{.name = name, .placeholder = "URL", .meaning = meaning};
  bind(setting, field);
  setting.masked = true;
  setting.parse = [field](Config& config, Texts texts) -> Problem {
    if (!is_http_url(texts.front()))
      return "write an http:// or https:// URL without user and password (a token goes into the token file)";
    config.*field = texts.front();
    return std::nullopt;
  };
  setting.show = [field](const Config& config) { return config.*field; };
  return setting;
}

Setting endpoints(std::string_view name, std::vector<Endpoint> Config::*field, std::string_view default_text,
                  std::string_view meaning) {
  Setting setting{.name = name, .placeholder = "ADDRESS", .default_text = default_text, .meaning = meaning};
  bind(setting, field);
  setting.repeatable = true;
  setting.parse = [field](Config& config, Texts texts) -> Problem {
    std::vector<Endpoint> parsed;
    for (const std::string& text : texts) {
      auto endpoint = parse_endpoint(text);
      if (!endpoint)
        return "write ADDRESS:PORT with a literal address, as in 127.0.0.1:7290 or [::]:7290, or unix:/PATH";
      if (std::find(parsed.begin(), parsed.end(), *endpoint) == parsed.end() || endpoint->port == 0)
        parsed.push_back(std::move(*endpoint));
    }
    config.*field = std::move(parsed);
    return std::nullopt;
  };
  setting.show = [field](const Config& config) {
    std::string text;
    for (const Endpoint& endpoint : config.*field) text += (text.empty() ? "" : ",") + to_string(endpoint);
    return text;
  };
  return setting;
}

template <class Enum>
struct Word {
  std::string_view text;
  Enum value;
};

template <class Enum, std::size_t N>
Setting choice(std::string_view name, Enum Config::*field, std::string_view default_text, const Word<Enum> (&words)[N],
               std::string_view placeholder, std::string_view meaning) {
  Setting setting{.name = name, .placeholder = placeholder, .default_text = default_text, .meaning = meaning};
  bind(setting, field);
  const std::vector<Word<Enum>> known(words, words + N);
  setting.parse = [field, known](Config& config, Texts texts) -> Problem {
    for (const auto& word : known)
      if (word.text == texts.front()) {
        config.*field = word.value;
        return std::nullopt;
      }
    std::string right = "write one of";
    for (const auto& word : known) right.append(" ").append(word.text);
    return right;
  };
  setting.show = [field, known](const Config& config) {
    for (const auto& word : known)
      if (word.value == config.*field) return std::string(word.text);
    return std::string();
  };
  return setting;
}

Setting toggle(std::string_view name, bool Config::*field, std::string_view meaning) {
  Setting setting{.name = name, .default_text = "false", .meaning = meaning};
  bind(setting, field);
  setting.parse = [field](Config& config, Texts texts) -> Problem {
    const std::string& text = texts.front();
    if (text != "true" && text != "false") return "write true or false";
    config.*field = text == "true";
    return std::nullopt;
  };
  setting.show = [field](const Config& config) { return std::string(config.*field ? "true" : "false"); };
  return setting;
}

Setting bytes(std::string_view name, std::uint64_t Config::*field, std::string_view default_text, std::uint64_t least,
              std::string_view meaning) {
  Setting setting{.name = name, .placeholder = "SIZE", .default_text = default_text, .meaning = meaning};
  bind(setting, field);
  setting.parse = [field, least](Config& config, Texts texts) -> Problem {
    const auto value = parse_size(texts.front());
    if (!value || *value < least) return "write a size of " + size_text(least) + " or more, as in 512MiB or 1GiB";
    config.*field = *value;
    return std::nullopt;
  };
  setting.show = [field](const Config& config) { return size_text(config.*field); };
  return setting;
}

Setting database_url() {
  Setting setting{.name = "database-url", .placeholder = "URL"};
  bind(setting, &Config::database_url);
  setting.meaning =
      "PostgreSQL to use: a libpq URL or keywords, also several hosts with target_session_attrs=read-write. Without it "
      "a "
      "built-in PostgreSQL runs below the state directory. Arguments can be seen by other users: put a password into "
      "--database-url-file";
  setting.masked = true;
  setting.parse = [](Config& config, Texts texts) -> Problem {
    if (texts.front().empty()) return "write a libpq URL, as in postgresql://user@host:5432/name, or leave it out";
    config.database_url = texts.front();
    return std::nullopt;
  };
  setting.show = [](const Config& config) { return config.database_url; };
  return setting;
}

Setting state_dir() {
  Setting setting =
      path("state-dir", &Config::state_dir, "",
           "Directory of the journal, the replica's identity and the built-in database; one process each");
  setting.placeholder = "DIR";
  setting.default_text = "/var/lib/tallyd";
  return setting;
}

Setting journal_sync() {
  Setting setting{.name = "journal-sync", .placeholder = "always|never|DURATION", .default_text = "always"};
  bind(setting, &Config::journal_sync);
  setting.meaning =
      "When the journal is forced to disk: always (before each 202), at most this much later, or when the kernel "
      "likes. "
      "Less than always can lose acknowledged events at a power loss";
  setting.parse = [](Config& config, Texts texts) -> Problem {
    const std::string& text = texts.front();
    if (text == "always")
      config.journal_sync = {};
    else if (text == "never")
      config.journal_sync = {.mode = JournalSync::Mode::never};
    else if (const auto every = parse_duration(text); every && *every >= 1ms && *every <= 60s)
      config.journal_sync = {.mode = JournalSync::Mode::interval, .interval = *every};
    else
      return "write always, never, or an interval from 1ms to 1m";
    return std::nullopt;
  };
  setting.show = [](const Config& config) -> std::string {
    switch (config.journal_sync.mode) {
      case JournalSync::Mode::always:
        return "always";
      case JournalSync::Mode::never:
        return "never";
      case JournalSync::Mode::interval:
        return duration_text(config.journal_sync.interval);
    }
    return {};
  };
  return setting;
}

Setting connection_log_sink() {
  Setting setting{.name = "connection-log-sink", .placeholder = "postgres,log", .default_text = "postgres"};
  bind(setting, &Config::connection_log_sink);
  setting.meaning =
      "Where accepted connection events go, separated by commas: the database, this process's log (a line each), or "
      "both. "
      "With log alone nothing is kept here";
  setting.parse = [](Config& config, Texts texts) -> Problem {
    ConnectionLogSinks sinks{.postgres = false, .log = false};
    std::string_view rest = texts.front();
    while (true) {
      const std::size_t comma = rest.find(',');
      const std::string_view word = rest.substr(0, comma);
      bool* const chosen = word == "postgres" ? &sinks.postgres : word == "log" ? &sinks.log : nullptr;
      if (chosen == nullptr || *chosen) return "write postgres, log, or postgres,log";
      *chosen = true;
      if (comma == rest.npos) break;
      rest.remove_prefix(comma + 1);
    }
    config.connection_log_sink = sinks;
    return std::nullopt;
  };
  setting.show = [](const Config& config) -> std::string {
    const ConnectionLogSinks& sinks = config.connection_log_sink;
    return sinks.postgres && sinks.log ? "postgres,log" : sinks.log ? "log" : "postgres";
  };
  return setting;
}

Setting threads() {
  const std::uint32_t cores = std::max(1u, std::thread::hardware_concurrency());
  return count_or("cores", cores, count("threads", &Config::threads, "cores", 256, "Threads that serve HTTP"),
                  &Config::threads);
}

Setting rate_limit() {
  Setting setting = count_or("off", 0,
                             count("rate-limit", &Config::rate_limit_per_second, "off", 10'000'000,
                                   "Requests a second of one caller, above which it is answered 429"),
                             &Config::rate_limit_per_second);
  setting.show = [](const Config& config) {
    return config.rate_limit_per_second == 0 ? "off" : std::to_string(config.rate_limit_per_second);
  };
  return setting;
}

constexpr Word<LogLevel> kLevels[] = {
    {"debug", LogLevel::debug}, {"info", LogLevel::info}, {"warn", LogLevel::warn}, {"error", LogLevel::error}};
constexpr Word<LogFormat> kFormats[] = {
    {"auto", LogFormat::automatic}, {"json", LogFormat::json}, {"text", LogFormat::text}};

Setting reloadable(Setting setting) {
  setting.reloadable = true;
  return setting;
}

std::vector<Setting> declare() {
  const Range retention{1s, 100 * kYear, true};
  return {
      database_url(),
      path("database-url-file", &Config::database_url_file, "database-url", "File that holds the --database-url"),
      state_dir(),
      endpoints("listen", &Config::listen, "127.0.0.1:7290",
                "Where to serve HTTP; sockets handed over by systemd take the place of the default"),
      endpoints("metrics-listen", &Config::metrics_listen, "",
                "Where to serve /metrics, /healthz, /readyz and /version instead of the main listeners"),
      toggle("insecure-http", &Config::insecure_http, "Serve plain HTTP beyond loopback and Unix sockets"),
      reloadable(path("tls-cert", &Config::tls_cert, "tls-cert", "Certificate chain in PEM; turns on TLS")),
      reloadable(path("tls-key", &Config::tls_key, "tls-key", "Private key of --tls-cert in PEM")),
      reloadable(path("tls-client-ca", &Config::tls_client_ca, "tls-client-ca",
                      "Authorities in PEM, one of which must have signed each client's certificate")),
      reloadable(rate_limit()),
      reloadable(count("max-connections", &Config::max_connections, "4096", 1'000'000, "Connections at one time")),
      reloadable(count("max-connections-per-peer", &Config::max_connections_per_peer, "1024", 1'000'000,
                       "Connections at one time from one address; not counted on Unix sockets")),
      threads(),

      duration("flush-interval", &Config::flush_interval, "1s", {5ms, 1h}, "How often counts are sent to the database"),
      duration(
          "period", &Config::period, "30m", {1s, kYear, true},
          "Length of a period, counted from its opening, in whole seconds. The database keeps what its first replica "
          "was told. 0: closed only on request"),
      duration("dedup-window", &Config::dedup_window, "1h", {1s, 90 * kDay},
               "How long a repeated idempotency key is recognised"),
      journal_sync(),
      // Less could not hold a request of the largest size and its successor.
      bytes("journal-max-bytes", &Config::journal_max_bytes, "1GiB", 1ULL << 20,
            "Size of the journal past which ingest answers 503"),
      duration("journal-retention", &Config::journal_retention, "24h", {0s, kYear},
               "How long flushed parts of the journal are kept, within its size"),
      duration("connection-timeout", &Config::connection_timeout, "0", {1s, kYear, true},
               "Silence after which a session is shown as lost. 0: never"),
      connection_log_sink(),

      url("report-url", &Config::report_url, "Where each closed report is posted until it is accepted"),
      reloadable(
          path("report-token-file", &Config::report_token_file, "report-token", "Bearer token for --report-url")),
      reloadable(path("report-hmac-key-file", &Config::report_hmac_key_file, "report-hmac-key",
                      "Key that signs the posted reports")),
      url("publish-url", &Config::publish_url, "Collector to which usage events are published"),
      reloadable(
          path("publish-token-file", &Config::publish_token_file, "publish-token", "Bearer token for --publish-url")),
      reloadable(path("publish-license-file", &Config::publish_license_file, "publish-license",
                      "License that --publish-url is shown as X-Tallyd-License")),
      duration("publish-interval", &Config::publish_interval, "17m", {50ms, kDay},
               "How often usage events are published"),
      // An event is leased for 15 s while it is sent: a longer wait would let another replica send it too.
      duration("publish-timeout", &Config::publish_timeout, "5s", {50ms, 14s},
               "How long the collector may take to answer"),
      duration("collector-dedup-window", &Config::collector_dedup_window, "30d", {1s, kYear},
               "How long the collector recognises an event; past it one of unknown outcome is held for a person, one "
               "never sent expires"),

      duration("retention-connection-log", &Config::retention_connection_log, "0", retention,
               "How long connection log entries are kept. 0: for ever"),
      duration("retention-reports", &Config::retention_reports, "0", retention,
               "How long reports are kept. 0: for ever"),
      duration("retention-usage-events", &Config::retention_usage_events, "0", retention,
               "How long finished usage events are kept. 0: for ever"),
      duration("retention-ids", &Config::retention_ids, "35d", {1s, 100 * kYear},
               "How long the ids behind closed reports are kept; verify covers this window"),
      duration("retention-tokens", &Config::retention_tokens, "30d", retention,
               "How long tokens are kept after they were revoked or have expired. 0: for ever"),

      reloadable(choice("log-level", &Config::log_level, "info", kLevels, "debug|info|warn|error",
                        "Least level that is logged")),
      choice("log-format", &Config::log_format, "auto", kFormats, "auto|json|text",
             "JSON lines or text; auto: text on a terminal, JSON elsewhere"),
      reloadable(duration("shutdown-timeout", &Config::shutdown_timeout, "30s", {10ms, 1h},
                          "How long a stop may take: finish requests, flush once more")),
  };
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::span<const Setting> settings() {
  static const std::vector<Setting> declared = declare();
  return declared;
}

const Setting* find_setting(std::string_view name) {
  for (const Setting& setting : settings())
    if (setting.name == name) return &setting;
  return nullptr;
}

std::string environment_name(const Setting& setting) {
  std::string name = "TALLYD_";
  for (const char c : setting.name) name += c == '-' ? '_' : static_cast<char>(c - ('a' <= c && c <= 'z' ? 32 : 0));
  return name;
}

std::optional<std::string_view> nearest_setting(std::string_view name) {
  if (name.size() > 64) return std::nullopt;
  std::string spelt(name);
  for (char& c : spelt) c = c == '_' ? '-' : 'A' <= c && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const Setting* nearest = nullptr;
  std::size_t least = std::max<std::size_t>(2, spelt.size() / 3) + 1;
  for (const Setting& setting : settings())
    if (const auto distance = edit_distance(spelt, setting.name); distance < least) {
      least = distance;
      nearest = &setting;
    }
  return nearest ? std::optional(nearest->name) : std::nullopt;
}

}  // namespace tally::daemon
