#include "authz/permission.hpp"
const auto& table = tally::authz::kPermissions<"workspace:read,use">;
