#include "daemon/cli/table.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ostream>

namespace tally::daemon::cli {
namespace {

/// Code points, which is the width of all but a few scripts.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string time_as(const char* form, std::int64_t unix_us) {
  using namespace std::chrono;
  const sys_time<microseconds> at{microseconds(unix_us)};
  const auto day = floor<days>(at);
  const year_month_day date(day);
  const hh_mm_ss time(at - day);
  char text[64];
  std::snprintf(text, sizeof text, form, static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()),
                static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()),
                static_cast<int>(time.subseconds().count() / 1000));
  return text;
}

}  // namespace

Table::Table(std::initializer_list<std::string_view> columns) {
  for (const std::string_view name : columns) {
    const bool right = name.starts_with('>');
    columns_.push_back({std::string(name.substr(right ? 1 : 0)), right});
  }
}

void Table::add(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = printable(cell);
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

void Table::print(std::ostream& out) const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    widths.push_back(width(columns_[c].name));
    for (const auto& row : rows_) widths[c] = std::max(widths[c], width(row[c]));
  }
  const auto line = [&](auto&& cell) {
    std::string text;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::string padding(widths[c] - width(cell(c)), ' ');
      text += (c == 0 ? "" : "  ") + (columns_[c].right ? padding + cell(c) : cell(c) + padding);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out << text << '\n';
  };
  line([&](std::size_t c) -> const std::string& { return columns_[c].name; });
  for (const auto& row : rows_) line([&](std::size_t c) -> const std::string& { return row[c]; });
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // C1 controls are two bytes in UTF-8: c2 80 to c2 9f.
    const bool c1 = c == 0xc2 && i + 1 < text.size() && (static_cast<unsigned char>(text[i + 1]) & 0xe0) == 0x80;
    if (c1 || c < 0x20 || c == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", c1 ? static_cast<unsigned char>(text[++i]) : c);
      out += escape;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string time_text(std::int64_t unix_us) {
  return time_as("%04d-%02u-%02u %02d:%02d:%02dZ", unix_us);
}
std::string rfc3339(std::int64_t unix_us) {
  return time_as("%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", unix_us);
}

}  // namespace tally::daemon::cli
