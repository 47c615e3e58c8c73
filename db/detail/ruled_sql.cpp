#include "db/detail/ruled_sql.hpp"

#ifdef TALLY_MUTANTS
#include "tracker/rules.hpp"

namespace tally::db::detail {

std::string without_rule(std::string_view sql, std::string_view rule) {
  const std::string tag = "[" + std::string(rule);
  std::string text;
  while (!sql.empty()) {
    const std::size_t length = std::min(sql.find('\n') + 1, sql.size());
    const std::string_view line = sql.substr(0, length == 0 ? sql.size() : length);
    sql.remove_prefix(line.size());
    const std::size_t comment = line.find("-- [");
    const std::size_t at = comment == std::string_view::npos ? comment : line.find(tag, comment);
    const char behind = at == std::string_view::npos ? '\0' : line[at + tag.size()];
    if (behind == ':') {
      const std::size_t start = at + tag.size() + 1;
      text.append(line.substr(start, line.find(']', start) - start)).push_back('\n');
    } else if (behind != ']') {
      text.append(line);
    }
  }
  return text;
}

const char* ruled(std::string_view sql) {
  const std::string_view rule = tracker::broken_rule();
  if (rule.empty()) return sql.data();
  thread_local std::string text;
  text = without_rule(sql, rule);
  return text.c_str();
}

}  // namespace tally::db::detail
#endif
