#pragma once
#include <string_view>

namespace tally::daemon {

std::string_view version();   ///< `0.1.0`
std::string_view revision();  ///< of the sources, `1a2b3c4d5e6f` or `1a2b3c4d5e6f-dirty`; `unknown` outside a clone
std::string_view compiler();  ///< `gcc 12.2.0`

}  // namespace tally::daemon
