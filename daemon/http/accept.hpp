#pragma once
#include <span>
#include <string_view>

#include "daemon/http/request.hpp"

namespace tally::http {

/// Whether the client would rather have `type` than `usual`, by its Accept fields (RFC 9110, 12.5.1): it names `type`,
/// in any letter case, with a quality above 0 and no less than that of `usual`. Wildcards stand for `usual` alone.
bool prefers(std::span<const Field> fields, std::string_view type, std::string_view usual);

}  // namespace tally::http
