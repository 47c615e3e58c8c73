#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tally::daemon::detail {

struct FileEntry {
  std::string key;
  std::size_t line = 0;
  std::vector<std::string> texts = {};  ///< the value, or each element of the array, as text
  bool is_array = false;
  std::optional<std::string> problem = {};  ///< the value is of no usable kind: what would be right
};

struct FileContent {
  std::vector<FileEntry> entries;
  std::vector<std::string> problems;  ///< complete lines, with place: the file cannot be read, or is not TOML
};

/// At most `limit` bytes of a regular file (or a pipe), or what went wrong. The contents never appear in the message.
struct ReadFile {
  std::string content;
  std::string error;
};
ReadFile read_file(const std::filesystem::path& path, std::size_t limit);

FileContent read_toml(const std::filesystem::path& path);
FileContent parse_toml(std::string_view text, const std::string& name);

}  // namespace tally::daemon::detail
