#include "daemon/connection_sinks.hpp"

#include "daemon/api/render.hpp"
#include "daemon/log.hpp"

namespace tally::daemon {

void LogConnectionSink::take(const tracker::ConnectionEvent& event) noexcept {
  const auto text = [](const std::optional<tracker::Uuid>& id) { return id ? id->to_string() : std::string(); };
  try {
    log::info("connection_log",
              {{"time", api::rfc3339(event.time_us)},
               {"status", event.status == tracker::ConnectionStatus::connected ? "connected" : "disconnected"},
               {"type", event.type},
               {"id", event.id.to_string()},
               {"organization_id", event.organization.to_string()},
               {"workspace_owner_id", event.owner.to_string()},
               {"workspace_id", event.workspace.to_string()},
               {"workspace_name", event.workspace_name},
               {"agent_name", event.agent_name},
               {"connection_id", text(event.connection)},
               {"ip", event.ip.value_or("")},
               {"user_agent", event.user_agent.value_or("")},
               {"user_id", text(event.user)},
               {"slug_or_port", event.slug_or_port.value_or("")},
               {"code", event.code ? std::to_string(*event.code) : ""},
               {"reason", event.reason.value_or("")}});
  } catch (...) {
    // Out of memory: this line is lost, the event is not.
  }
}

ConnectionSinks make_connection_sinks(const ConnectionLogSinks& chosen) {
  ConnectionSinks sinks;
  sinks.database = chosen.postgres;
  if (chosen.log) sinks.others.push_back(std::make_unique<LogConnectionSink>());
  return sinks;
}

}  // namespace tally::daemon
