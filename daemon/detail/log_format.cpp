#include <fmt/format.h>

#include <cmath>

#include "daemon/log.hpp"

namespace tally::daemon::log {
namespace {

// A line stays far below what one write to a pipe or journald's line limit takes.
constexpr std::size_t kTextLimit = 4096;
// The lists of an audit line are short enough for it, and for journald's 48 KiB.
constexpr std::size_t kJsonLimit = 40 * 1024;

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warn:
      return "warn";
    case LogLevel::error:
      return "error";
  }
  return "";
}

/// Length of the well-formed UTF-8 sequence at the start of `text`; 0 if there is none (Unicode, table 3-7).
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const auto in = [](unsigned char c, unsigned char low, unsigned char high) { return low <= c && c <= high; };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (in(lead, 0xc2, 0xdf)) return in(byte(1), 0x80, 0xbf) ? 2 : 0;
  if (in(lead, 0xe0, 0xef)) {
    const unsigned char low = lead == 0xe0 ? 0xa0 : 0x80;
    const unsigned char high = lead == 0xed ? 0x9f : 0xbf;
    return in(byte(1), low, high) && in(byte(2), 0x80, 0xbf) ? 3 : 0;
  }
  if (in(lead, 0xf0, 0xf4)) {
    const unsigned char low = lead == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xf4 ? 0x8f : 0xbf;
    return in(byte(1), low, high) && in(byte(2), 0x80, 0xbf) && in(byte(3), 0x80, 0xbf) ? 4 : 0;
  }
  return 0;
}

/// C1 controls and the line separators that some terminals and readers obey.
bool is_unsafe_sequence(std::string_view sequence) {
  return (sequence[0] == '\xc2' && static_cast<unsigned char>(sequence[1]) < 0xa0) || sequence == "\u2028" ||
         sequence == "\u2029";
}

void append_escaped(std::string& out, std::string_view text) {
  const bool cut = text.size() > kTextLimit;
  text = text.substr(0, kTextLimit);
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    const auto c = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      out += "\\ufffd";
    } else if (length == 1) {
      if (c == '"' || c == '\\')
        (out += '\\') += text[0];
      else if (c == '\n')
        out += "\\n";
      else if (c == '\t')
        out += "\\t";
      else if (c < 0x20 || c == 0x7f)
        out += fmt::format("\\u{:04x}", c);
      else
        out += text[0];
    } else if (is_unsafe_sequence(text.substr(0, length))) {
      out += "\\ufffd";
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  if (cut) out += "...";
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text);
  out += '"';
}

/// What is unsafe can only stand inside of its strings.
void append_json(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    const auto c = static_cast<unsigned char>(text[0]);
    if (length == 0 || (length > 1 && is_unsafe_sequence(text.substr(0, length))))
      out += "\\ufffd";
    else if (c < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04x}", c);
    else
      out.append(text.substr(0, length));
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
}

void append_time(std::string& out, tracker::WallTime at) {
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(at - day);
  out += fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                     time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

struct Append {
  std::string& out;
  bool json;
  void operator()(bool v) const { out += v ? "true" : "false"; }
  void operator()(std::int64_t v) const { out += fmt::format("{}", v); }
  void operator()(std::uint64_t v) const { out += fmt::format("{}", v); }
  void operator()(double v) const {
    if (std::isfinite(v))
      out += fmt::format("{}", v);
    else
      out += json ? "null" : "nan";
  }
  void operator()(Json v) const {
    if (v.text.empty())
      out += "null";
    else if (v.text.size() > kJsonLimit)
      append_quoted(out, v.text);
    else
      append_json(out, v.text);
  }
  void operator()(std::string_view v) const {
    const bool plain =
        !json && !v.empty() && v.size() < 128 &&
        v.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@,+%") == v.npos;
    if (plain)
      out += v;
    else
      append_quoted(out, v);
  }
};

}  // namespace

std::string format_json(tracker::WallTime at, LogLevel level, std::string_view message, FieldSpan fields, bool audit) {
  std::string line = "{\"ts\":\"";
  append_time(line, at);
  line.append("\",\"level\":\"").append(level_name(level)).append("\",\"msg\":");
  append_quoted(line, message);
  if (audit) line += ",\"audit\":true";
  for (const Field& field : fields) {
    line += ',';
    append_quoted(line, field.key);
    line += ':';
    std::visit(Append{line, true}, field.value.get());
  }
  return line += '}';
}

std::string format_text(tracker::WallTime at, LogLevel level, std::string_view message, FieldSpan fields, bool audit) {
  std::string line;
  append_time(line, at);
  line += fmt::format(" {:<5} ", audit ? "audit" : level_name(level));
  append_escaped(line, message);
  for (const Field& field : fields) {
    line.append("  ").append(field.key).append("=");
    std::visit(Append{line, false}, field.value.get());
  }
  return line;
}

}  // namespace tally::daemon::log
