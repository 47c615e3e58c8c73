#include "daemon/api/connection_query.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "daemon/ingest/rfc3339.hpp"

namespace tally::daemon::api {
namespace {

using db::ConnectionFilter;
using Problem = std::optional<std::string>;

struct Family {
  std::string_view name;
  std::array<std::string_view, 12> members;  ///< beside itself; empty texts behind the last
};
// Programs that connect as their family does. A type that is not here is its own family.
constexpr Family kFamilies[] = {
    {"ssh", {"sftp", "scp", "rsync"}},
    {"vscode",
     {"vscode_insiders", "vscodium", "code_oss", "code_server", "cursor", "windsurf", "positron", "trae", "kiro",
      "antigravity"}},
    {"jetbrains",
     {"jetbrains_gateway", "jetbrains_toolbox", "jetbrains_fleet", "intellij", "pycharm", "goland", "webstorm",
      "phpstorm", "clion", "rider", "rubymine", "rustrover"}},
    {"reconnecting_pty", {"web_terminal"}},
    {"workspace_app", {}},
    {"port_forwarding", {}},
};

struct Term {
  std::string key;
  std::string value;
};

/// What somebody wrote, as a message can repeat it: not much of it, and nothing that a terminal obeys.
std::string shown(std::string_view text) {
  constexpr std::size_t kMostBytes = 64;
  std::size_t end = text.size();
  if (end > kMostBytes)
    for (end = kMostBytes; end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80;) --end;
  std::string out;
  for (const char c : text.substr(0, end)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return end < text.size() ? out + "..." : out;
}

/// Cuts the next term off `rest`.
Problem next_term(std::string_view& rest, Term& out) {
  const std::size_t end_of_key = rest.find_first_of(" :\"");
  out.key = rest.substr(0, end_of_key);
  if (end_of_key == rest.npos || rest[end_of_key] != ':' || out.key.empty())
    return fmt::format("'{}' is not a term: write key:value", shown(rest.substr(0, rest.find(' '))));
  rest.remove_prefix(end_of_key + 1);
  out.value.clear();
  if (rest.empty() || rest.front() != '"') {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    out.value = rest.substr(0, end);
    rest.remove_prefix(end);
    if (out.value.find('"') != out.value.npos)
      return fmt::format("the value of '{}' has a quote inside: quote all of it: {}", shown(out.key), shown(out.value));
    if (out.value.empty()) return fmt::format("'{}' has no value", shown(out.key));
    return std::nullopt;
  }
  rest.remove_prefix(1);
  while (!rest.empty() && rest.front() != '"') {
    if (rest.front() == '\\' && rest.size() > 1 && (rest[1] == '"' || rest[1] == '\\')) rest.remove_prefix(1);
    out.value += rest.front();
    rest.remove_prefix(1);
  }
  if (rest.empty())
    return fmt::format("the quote around the value of '{}' is not closed: {}", shown(out.key), shown(out.value));
  rest.remove_prefix(1);
  if (!rest.empty() && rest.front() != ' ')
    return fmt::format("a space is missing behind the value of '{}': {}", shown(out.key), shown(out.value));
  if (out.value.empty()) return fmt::format("'{}' has no value", shown(out.key));
  return std::nullopt;
}

Problem bad_value(const Term& term, std::string_view wanted) {
  return fmt::format("the value of '{}' is not {}: '{}'", term.key, wanted, shown(term.value));
}

Problem take_name(const Term& term, std::optional<std::string>& out) {
  out = term.value;
  return std::nullopt;
}

Problem take_uuid(const Term& term, std::optional<tracker::Uuid>& out) {
  out = tracker::Uuid::parse(term.value);
  return out ? std::nullopt : bad_value(term, "a UUID");
}

Problem take_time(const Term& term, std::optional<std::int64_t>& out) {
  const auto time = ingest::parse_rfc3339(term.value);
  if (!time) return bad_value(term, "an RFC 3339 time, as in 2026-01-31T12:00:00Z");
  out = time->time_since_epoch().count();
  return std::nullopt;
}

Problem take_organization(const Term& term, ConnectionFilter& out) {
  out.organization = tracker::Uuid::parse(term.value);
  if (!out.organization) out.organization_name = term.value;
  return std::nullopt;
}

Problem take_type(const Term& term, ConnectionFilter& out) {
  const bool good = term.value.size() <= 64 && std::all_of(term.value.begin(), term.value.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
                    });
  if (!good) return bad_value(term, "a type: 1 to 64 of a-z, 0-9 and _");
  out.types = connection_types(term.value);
  return std::nullopt;
}

Problem take_status(const Term& term, ConnectionFilter& out) {
  if (term.value == "ongoing")
    out.status = ConnectionFilter::Status::ongoing;
  else if (term.value == "completed")
    out.status = ConnectionFilter::Status::completed;
  else
    return bad_value(term, "ongoing or completed");
  return std::nullopt;
}

struct Key {
  std::string_view name;
  Problem (*take)(const Term&, ConnectionFilter&);
};
constexpr Key kKeys[] = {
    {"organization", take_organization},
    {"workspace_owner", [](const Term& term, ConnectionFilter& out) { return take_name(term, out.workspace_owner); }},
    {"workspace_owner_email",
     [](const Term& term, ConnectionFilter& out) { return take_name(term, out.workspace_owner_email); }},
    {"type", take_type},
    {"username", [](const Term& term, ConnectionFilter& out) { return take_name(term, out.username); }},
    {"user_email", [](const Term& term, ConnectionFilter& out) { return take_name(term, out.user_email); }},
    {"connected_after",
     [](const Term& term, ConnectionFilter& out) { return take_time(term, out.connected_after_us); }},
    {"connected_before",
     [](const Term& term, ConnectionFilter& out) { return take_time(term, out.connected_before_us); }},
    {"workspace_id", [](const Term& term, ConnectionFilter& out) { return take_uuid(term, out.workspace); }},
    {"connection_id", [](const Term& term, ConnectionFilter& out) { return take_uuid(term, out.connection); }},
    {"status", take_status},
};

std::string all_keys() {
  std::string text;
  for (const Key& key : kKeys) text += (text.empty() ? "" : ", ") + std::string(key.name);
  return text;
}

}  // namespace

std::vector<std::string> connection_types(std::string_view word) {
  std::vector<std::string> types{std::string(word)};
  for (const Family& family : kFamilies) {
    if (family.name != word) continue;
    for (const std::string_view member : family.members)
      if (!member.empty()) types.emplace_back(member);
  }
  return types;
}

std::optional<std::string> read_connection_query(std::string_view text, ConnectionFilter& out) {
  out = {};
  unsigned seen = 0;
  while (true) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    if (text.empty()) return std::nullopt;
    Term term;
    if (auto problem = next_term(text, term)) return problem;
    const auto* const key =
        std::find_if(std::begin(kKeys), std::end(kKeys), [&](const Key& known) { return known.name == term.key; });
    if (key == std::end(kKeys)) return fmt::format("unknown key '{}'; there are {}", shown(term.key), all_keys());
    const unsigned bit = 1u << (key - std::begin(kKeys));
    if ((seen & bit) != 0)
      return fmt::format("'{}' is given twice, the second time as '{}'", term.key, shown(term.value));
    seen |= bit;
    if (auto problem = key->take(term, out)) return problem;
  }
}

}  // namespace tally::daemon::api
