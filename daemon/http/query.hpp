#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tracker/errors.hpp"

namespace tally::http {

/// Decodes %XX; with `plus_is_space` also `+`. `invalid_argument`: a malformed escape, or what it gives is not UTF-8 or
/// holds NUL.
tracker::Result<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

/// The parameters of a query, decoded.
class Query {
 public:
  /// `invalid_argument`: a malformed escape or a repeated name; `problem` then names it.
  static tracker::Result<Query> parse(std::string_view query, std::string& problem);

  std::optional<std::string_view> find(std::string_view name) const noexcept;
  /// The first parameter whose name is not among `known`, so that a handler can refuse it by name.
  std::optional<std::string_view> unknown(std::initializer_list<std::string_view> known) const noexcept;

 private:
  std::vector<std::pair<std::string, std::string>> parameters_;
};

}  // namespace tally::http
