#include "authz/permission.hpp"

namespace tally::authz {

std::vector<Permission> PermissionList::as_words() const {
  std::vector<Permission> words;
  words.reserve(built_in.size() + own.size());
  for (const KnownPermission& each : built_in) {
    words.push_back({std::string(name(each.type)), std::string(name(each.action)), each.negate});
  }
  words.insert(words.end(), own.begin(), own.end());
  return words;
}

}  // namespace tally::authz
