#include <algorithm>
#include <cctype>

#include "daemon/config_sources.hpp"

namespace tally::daemon {
namespace {

constexpr std::string_view kMask = "***";

bool names_a_secret(std::string_view key) {
  std::string lower(key);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const std::string_view word : {"password", "passwd", "token", "secret", "apikey", "api_key", "signature"})
    if (lower.find(word) != lower.npos) return true;
  return false;
}

std::string mask_query(std::string_view query) {
  std::string masked;
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto pair = query.substr(0, end);
    const auto equals = pair.find('=');
    // A percent sign may hide the name of the key.
    const bool secret = equals != pair.npos &&
                        (names_a_secret(pair.substr(0, equals)) || pair.substr(0, equals).find('%') != pair.npos);
    masked += secret ? std::string(pair.substr(0, equals + 1)).append(kMask) : std::string(pair);
    if (end < query.size()) masked += '&';
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return masked;
}

std::string mask_uri(std::string_view uri, std::size_t scheme_end) {
  std::string masked(uri.substr(0, scheme_end));
  std::string_view rest = uri.substr(scheme_end);
  // The last @ counts, wherever it stands: a password that was not percent-encoded may hold any of / ? # @.
  const auto at = rest.rfind('@');
  if (at != rest.npos) {
    const auto colon = rest.find(':');
    if (colon < at)
      masked.append(rest.substr(0, colon + 1)).append(kMask);
    else
      masked.append(rest.substr(0, at));
    rest.remove_prefix(at);
  }
  const auto question = rest.find('?');
  masked.append(rest.substr(0, question));
  if (question != rest.npos) masked.append("?").append(mask_query(rest.substr(question + 1)));
  return masked;
}

/// libpq keywords: `key = value` or `key = 'va\'lue'`, joined by spaces. Nothing if it is not of that form.
std::optional<std::string> mask_keywords(std::string_view text) {
  std::string masked;
  std::size_t i = 0;
  const auto space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  const auto skip = [&] {
    while (i < text.size() && space(text[i])) ++i;
  };
  for (skip(); i < text.size(); skip()) {
    const auto key_start = i;
    while (i < text.size() && text[i] != '=' && !space(text[i])) ++i;
    const auto key = text.substr(key_start, i - key_start);
    skip();
    if (i >= text.size() || text[i] != '=' || key.empty()) return std::nullopt;
    ++i;
    skip();
    const auto value_start = i;
    const bool quoted = i < text.size() && text[i] == '\'';
    if (quoted) ++i;
    while (i < text.size() && (quoted ? text[i] != '\'' : !space(text[i]))) i += text[i] == '\\' ? 2 : 1;
    if (quoted && i >= text.size()) return std::nullopt;
    if (quoted) ++i;
    i = std::min(i, text.size());
    masked.append(masked.empty() ? "" : " ").append(key).append("=");
    masked.append(names_a_secret(key) ? kMask : text.substr(value_start, i - value_start));
  }
  return masked;
}

}  // namespace

std::string mask_database_url(std::string_view url) {
  if (url.empty()) return {};
  const auto scheme = url.find("://");
  const auto first_equals = url.find('=');
  if (scheme != url.npos && (first_equals == url.npos || scheme < first_equals)) return mask_uri(url, scheme + 3);
  return mask_keywords(url).value_or(std::string(kMask));
}

}  // namespace tally::daemon
