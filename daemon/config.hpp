#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tally::daemon {

using std::chrono::milliseconds;

/// Where to listen: an address and port, or the path of a Unix socket.
struct Endpoint {
  enum class Kind : std::uint8_t { tcp, unix_socket };
  Kind kind = Kind::tcp;
  std::string host;        ///< tcp: a literal IPv4 or IPv6 address, without brackets
  std::uint16_t port = 0;  ///< tcp: 0 asks the kernel for a free one
  std::string path;        ///< unix_socket: absolute
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// `127.0.0.1:7290`, `[::1]:7290`, `localhost:7290` or `unix:/path`; nothing for anything else.
std::optional<Endpoint> parse_endpoint(std::string_view text);
std::string to_string(const Endpoint& endpoint);
/// Unix sockets and loopback addresses: where plain HTTP needs no leave.
bool is_local(const Endpoint& endpoint);

struct JournalSync {
  enum class Mode : std::uint8_t { always, interval, never };
  Mode mode = Mode::always;
  milliseconds interval{0};  ///< only with Mode::interval
  friend bool operator==(const JournalSync&, const JournalSync&) = default;
};

/// Where connection events go; at least one.
struct ConnectionLogSinks {
  bool postgres = true;
  bool log = false;
  friend bool operator==(const ConnectionLogSinks&, const ConnectionLogSinks&) = default;
};
enum class LogLevel : std::uint8_t { debug, info, warn, error };
enum class LogFormat : std::uint8_t { automatic, json, text };  ///< automatic: text on a terminal, JSON elsewhere

/// Everything that can be configured, parsed and checked. Defaults, bounds and meaning are declared in settings.cpp; a
/// `Config{}` alone holds none of them, `default_config()` does.
struct Config {
  /// libpq URL or keywords, read from the file if that is how it was given; empty: the built-in database. Holds a
  /// password.
  std::string database_url;
  std::filesystem::path database_url_file;
  std::filesystem::path state_dir;

  std::vector<Endpoint> listen;
  bool listen_is_default = true;         ///< sockets from systemd then take its place
  std::vector<Endpoint> metrics_listen;  ///< empty: the same listeners
  bool insecure_http = false;
  std::filesystem::path tls_cert;
  std::filesystem::path tls_key;
  std::filesystem::path tls_client_ca;
  std::uint32_t rate_limit_per_second = 0;  ///< of one caller; 0: off
  std::uint32_t max_connections = 0;
  std::uint32_t max_connections_per_peer = 0;  ///< an IP address; none for Unix sockets
  std::uint32_t threads = 1;                   ///< of HTTP

  milliseconds flush_interval{};
  milliseconds period{};  ///< 0: closed only on request
  milliseconds dedup_window{};
  JournalSync journal_sync;
  std::uint64_t journal_max_bytes = 0;
  milliseconds journal_retention{};
  milliseconds connection_timeout{};  ///< 0: off
  ConnectionLogSinks connection_log_sink;

  std::string report_url;  ///< empty: reports are not posted
  std::filesystem::path report_token_file;
  std::filesystem::path report_hmac_key_file;
  std::string publish_url;  ///< empty: usage events are not published
  std::filesystem::path publish_token_file;
  std::filesystem::path publish_license_file;
  milliseconds publish_interval{};
  milliseconds publish_timeout{};
  milliseconds collector_dedup_window{};

  milliseconds retention_connection_log{};  ///< 0: kept
  milliseconds retention_reports{};         ///< 0: kept
  milliseconds retention_usage_events{};    ///< 0: kept
  milliseconds retention_ids{};
  milliseconds retention_tokens{};  ///< of their end; 0: kept

  LogLevel log_level = LogLevel::info;
  LogFormat log_format = LogFormat::automatic;
  milliseconds shutdown_timeout{};
};

}  // namespace tally::daemon
