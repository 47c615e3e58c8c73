#include "daemon/version.hpp"

#include "tally_revision.hpp"

namespace tally::daemon {

std::string_view version() {
  return TALLY_VERSION;
}
std::string_view revision() {
  return TALLY_REVISION;
}
std::string_view compiler() {
  return "gcc " __VERSION__;
}

}  // namespace tally::daemon
