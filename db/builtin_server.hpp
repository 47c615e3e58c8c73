#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace tally::db {

struct BuiltinServerOptions {
  std::filesystem::path state_dir;
  /// Where `postgres` and `initdb` are; empty: PATH, then the newest /usr/lib/postgresql/*/bin that fits the data.
  std::filesystem::path bin_dir;
  std::chrono::milliseconds stop_timeout{20'000};  ///< of a fast shutdown; after it an immediate one
};

/// A private PostgreSQL in `<state_dir>/postgres`: a Unix socket with peer authentication and no TCP. Made on first
/// start. Run as root, it belongs to the `postgres` user. It is a child of a thread that lives as long as this object
/// and dies with the process, whatever kills it; one left over from before is waited for, then stopped by its pid. It
/// is restarted when it dies by itself. No call but `stop` blocks.
class BuiltinServer {
 public:
  enum class State { idle, starting, ready, failed, stopping, stopped };

  /// `on_change` is called on the server's thread; `detail` is a sentence for people. `failed` is tried again, with
  /// backoff.
  using OnChange = std::function<void(State state, const std::string& detail)>;

  explicit BuiltinServer(BuiltinServerOptions options, OnChange on_change = {});
  ~BuiltinServer();  ///< stops
  BuiltinServer(const BuiltinServer&) = delete;
  BuiltinServer& operator=(const BuiltinServer&) = delete;

  void start();
  /// Fast shutdown; returns when the server is gone.
  void stop();
  State state() const;
  std::string detail() const;
  /// How to connect; known before the start.
  std::string conninfo() const;

  /// How to connect to the server of a state directory that a daemon may be running.
  static std::string conninfo_for(const std::filesystem::path& state_dir);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tally::db
