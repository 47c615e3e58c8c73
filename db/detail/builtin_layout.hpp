#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/detail/builtin_process.hpp"

/// Where the built-in database keeps its things, and with which programs it runs.
namespace tally::db::detail {

constexpr std::string_view kBuiltinRole = "tallyd";     ///< also the database's name
constexpr std::string_view kBuiltinAdmin = "postgres";  ///< the superuser, for making the other

/// `<state_dir>/postgres`. Everything but `data` and `sockets` belongs to the daemon's user, so that a daemon run as
/// root never writes where the server's user could have put a link.
struct BuiltinLayout {
  explicit BuiltinLayout(const std::filesystem::path& state_directory);

  std::filesystem::path state_dir;  ///< absolute
  std::filesystem::path home;
  std::filesystem::path data;
  std::filesystem::path lock;  ///< held by the process that runs the server; holds its pid
  std::filesystem::path log;
  std::filesystem::path hba;
  std::filesystem::path ident;
  std::filesystem::path
      sockets;  ///< in `home`, or a short directory in /tmp if that is too long for a socket or would need quoting
  bool sockets_are_away = false;

  /// The major version of the cluster; none if there is no cluster yet.
  std::optional<int> data_version() const;
  std::string conninfo(std::string_view role, std::string_view database) const;
};

/// Whom the server runs as: the owner of the data; without data the user `postgres` if we are root, else ourselves.
/// Throws.
Account server_account(const BuiltinLayout& layout);

/// The directories, made or checked. Throws.
void make_directories(const BuiltinLayout& layout, const Account& account);

/// Who may connect: as either role root, `postgres`, and the users of the daemon and the server. Throws.
void write_access_rules(const BuiltinLayout& layout, const Account& account);

struct Programs {
  std::filesystem::path postgres;
  std::filesystem::path initdb;
  int version;  ///< major
};

/// In `bin_dir`, or if that is empty on PATH and in /usr/lib/postgresql/*/bin, newest first; only of the data's
/// version, if there is any. Throws.
Programs find_programs(const std::filesystem::path& bin_dir, std::optional<int> data_version, const Account& account,
                       const Sleeper& sleeper);

}  // namespace tally::db::detail
