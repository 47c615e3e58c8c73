#pragma once
#include <optional>
#include <string>

#include "db/token_store.hpp"

namespace tally::daemon::detail {

/// The file of known tokens and users: JSON, mode 0600, replaced as a whole. Nothing when it is absent or damaged.
std::optional<db::RightsChanges> read_book_file(const std::string& path);
/// New file, fsync, rename.
bool write_book_file(const std::string& path, const db::RightsChanges& all);

}  // namespace tally::daemon::detail
