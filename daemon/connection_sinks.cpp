#include "daemon/connection_sinks.hpp"

#include "daemon/api/render.hpp"
#include "daemon/log.hpp"

namespace tally::daemon {

void LogConnectionSink::take(const tracker::ConnectionEvent& event) noexcept {
  try {
    // Room beforehand: what a line shows are views into these.
    std::vector<std::string> texts;
    texts.reserve(8);
    std::vector<log::Field> fields;
    const auto id = [&](std::string_view key, const tracker::Uuid& value) {
      fields.push_back({key, texts.emplace_back(value.to_string())});
    };
    // What nobody said is not there; an exit code of 0 is.
    const auto maybe = [&](std::string_view key, const auto& value) {
      if (value) fields.push_back({key, *value});
    };
    fields.push_back({"time", texts.emplace_back(api::rfc3339(event.time_us))});
    fields.push_back({"status", event.status == tracker::ConnectionStatus::connected ? "connected" : "disconnected"});
    fields.push_back({"type", event.type});
    id("id", event.id);
    id("organization_id", event.organization);
    id("workspace_owner_id", event.owner);
    id("workspace_id", event.workspace);
    fields.push_back({"workspace_name", event.workspace_name});
    fields.push_back({"agent_name", event.agent_name});
    if (event.connection) id("connection_id", *event.connection);
    maybe("ip", event.ip);
    maybe("user_agent", event.user_agent);
    if (event.user) id("user_id", *event.user);
    maybe("slug_or_port", event.slug_or_port);
    maybe("code", event.code);
    maybe("reason", event.reason);
    log::event("connection_log", fields);
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
