#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "db/connection_log.hpp"

namespace tally::daemon::api {

/// No cursor is longer: it travels in a request line, which holds the rest of the query too.
inline constexpr std::size_t kLongestCursor = 2'048;

/// A place in the log as clients carry it: base64url of the time, the entry and the snapshot, whose ids are told by how
/// far each is from the one before. Of a snapshot with too many the last are left out and count as not yet begun: an
/// entry that such a transaction moved just before the first page may then be shown twice or not at all.
std::string to_cursor(const db::ConnectionCursor& cursor);

/// Nothing for a text that is none, or that the database could not take.
std::optional<db::ConnectionCursor> read_cursor(std::string_view text);

}  // namespace tally::daemon::api
