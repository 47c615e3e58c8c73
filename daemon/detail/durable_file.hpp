#pragma once
#include <string>
#include <string_view>

namespace tally::daemon::detail {

/// Replaces `path` as a whole, mode 0600: after a power loss it holds the old text or the new one. Blocks for a sync.
/// False: nothing was promised, the old text is still there unless only its last sync failed.
bool replace_file(const std::string& path, std::string_view text);

}  // namespace tally::daemon::detail
