#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "db/connection_log.hpp"

namespace tally::daemon::api {

/// Reads the `q` of the connection log: `key:value` terms separated by spaces, where a value may stand in double quotes
/// (inside them `\"` and `\\` stand for `"` and `\`). Returns what is wrong with it, naming the key and the value, or
/// nothing. An empty text is no filter.
std::optional<std::string> read_connection_query(std::string_view text, db::ConnectionFilter& out);

/// The types that a word of `type:` stands for: itself, and the members of the family that it names.
std::vector<std::string> connection_types(std::string_view word);

}  // namespace tally::daemon::api
