#pragma once
#include <initializer_list>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace tally::daemon::cli {

enum class OutputForm { table, json };

/// Text in columns. Control characters and broken UTF-8 in cells are shown escaped, so that no stored text reaches the
/// terminal as a command.
class Table {
 public:
  /// A column whose name starts with `>` is set flush right.
  Table(std::initializer_list<std::string_view> columns);
  void add(std::vector<std::string> cells);
  void print(std::ostream& out) const;

 private:
  struct Column {
    std::string name;
    bool right = false;
  };
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// As a cell shows it.
std::string printable(std::string_view text);
/// `2024-02-29 12:00:00Z`, from microseconds since the Unix epoch.
std::string time_text(std::int64_t unix_us);
/// RFC 3339 with milliseconds, for JSON.
std::string rfc3339(std::int64_t unix_us);

}  // namespace tally::daemon::cli
