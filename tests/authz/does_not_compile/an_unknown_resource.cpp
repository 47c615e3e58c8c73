#include "authz/permission.hpp"
const auto& table = tally::authz::kPermissions<"foobar:read">;
