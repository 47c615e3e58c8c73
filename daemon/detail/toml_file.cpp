#include "daemon/detail/toml_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace tally::daemon::detail {
namespace {

constexpr std::size_t kFileLimit = 1 << 20;

std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* truth = node.as_boolean()) return std::string(truth->get() ? "true" : "false");
  return std::nullopt;
}

FileEntry entry_of(std::string key, const toml::node& node, std::size_t line) {
  FileEntry entry{.key = std::move(key), .line = line};
  if (auto text = scalar_text(node)) {
    entry.texts.push_back(std::move(*text));
  } else if (const auto* array = node.as_array()) {
    entry.is_array = true;
    for (const toml::node& element : *array)
      if (auto element_text = scalar_text(element))
        entry.texts.push_back(std::move(*element_text));
      else
        entry.problem = "write an array of texts";
  } else if (node.is_table()) {
    entry.problem = "keys stand alone, there are no tables: write each as name = value before any [table]";
  } else {
    entry.problem = "write the value in quotes";
  }
  return entry;
}

}  // namespace

ReadFile read_file(const std::filesystem::path& path, std::size_t limit) {
  ReadFile result;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) {
    result.error = std::strerror(errno);
    return result;
  }
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) result.error = std::strerror(errno);
    if (got <= 0) break;
    result.content.append(buffer, static_cast<std::size_t>(got));
    if (result.content.size() > limit) {
      result.error = "larger than " + std::to_string(limit) + " bytes";
      break;
    }
  }
  ::explicit_bzero(buffer, sizeof buffer);
  ::close(fd);
  return result;
}

FileContent read_toml(const std::filesystem::path& path) {
  const ReadFile file = read_file(path, kFileLimit);
  if (!file.error.empty()) return {.entries = {}, .problems = {path.string() + ": cannot be read: " + file.error}};
  return parse_toml(file.content, path.string());
}

FileContent parse_toml(std::string_view text, const std::string& name) {
  FileContent content;
  try {
    const toml::table table = toml::parse(text, std::string_view(name));
    for (const auto& [key, node] : table)
      content.entries.push_back(entry_of(std::string(key.str()), node, key.source().begin.line));
  } catch (const toml::parse_error& error) {
    content.problems.push_back(name + ":" + std::to_string(error.source().begin.line) +
                               ": not TOML: " + std::string(error.description()));
  }
  // toml++ keeps keys sorted; people read files from the top.
  std::stable_sort(content.entries.begin(), content.entries.end(),
                   [](const FileEntry& a, const FileEntry& b) { return a.line < b.line; });
  return content;
}

}  // namespace tally::daemon::detail
