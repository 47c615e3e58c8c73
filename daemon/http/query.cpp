#include "daemon/http/query.hpp"

#include <algorithm>
#include <optional>

#include "daemon/http/detail/utf8.hpp"

namespace tally::http {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

boost::system::error_code invalid() {
  return make_error_code(boost::system::errc::invalid_argument);
}

}  // namespace

tracker::Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return invalid();
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return invalid();
      c = static_cast<char>(high << 4 | low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (c == '\0') return invalid();
    out += c;
  }
  if (!detail::is_utf8(out)) return invalid();
  return out;
}

tracker::Result<Query> Query::parse(std::string_view query, std::string& problem) {
  Query parsed;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query = end == query.npos ? std::string_view{} : query.substr(end + 1);
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decode(pair.substr(0, equals), true);
    auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value) {
      problem = "malformed escape in query parameter '" + std::string(pair.substr(0, equals)) + "'";
      return invalid();
    }
    if (parsed.find(*name)) {
      problem = "query parameter '" + *name + "' is given twice";
      return invalid();
    }
    parsed.parameters_.emplace_back(std::move(*name), std::move(*value));
  }
  return parsed;
}

std::optional<std::string_view> Query::find(std::string_view name) const noexcept {
  for (const auto& [known, value] : parameters_) {
    if (known == name) return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> Query::unknown(std::initializer_list<std::string_view> known) const noexcept {
  for (const auto& [name, value] : parameters_) {
    if (std::ranges::find(known, name) == known.end()) return name;
  }
  return std::nullopt;
}

}  // namespace tally::http
