#pragma once
#include <optional>
#include <string>

#include "daemon/cli/command_line.hpp"
#include "tracker/uuid.hpp"

namespace tally::daemon::cli {

/// Throws UsageError that names the argument.
inline tracker::Uuid uuid_argument(const std::string& name, const std::string& text) {
  const auto uuid = tracker::Uuid::parse(text);
  if (!uuid) throw UsageError(name + ": \"" + text + "\" is not a UUID", "write 8-4-4-4-12 hexadecimal digits");
  return *uuid;
}

/// For ids that must name something: the nil UUID names nothing.
inline tracker::Uuid real_uuid_argument(const std::string& name, const std::string& text) {
  const tracker::Uuid uuid = uuid_argument(name, text);
  if (uuid.is_nil()) throw UsageError(name + ": the nil UUID names nobody");
  return uuid;
}

}  // namespace tally::daemon::cli
