#include "daemon/api/connection_render.hpp"

#include <fmt/format.h>

#include "daemon/api/render.hpp"
#include "daemon/http/response.hpp"

namespace tally::daemon::api {
namespace {

using db::ConnectionShown;

constexpr std::string_view kLost = "lost";

/// Writes one object; null for what is not known, or nothing at all where `_if` says so.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
  void end() { out_ += '}'; }

  std::string& name(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    out_ += '"';
    out_ += name;
    out_ += "\":";
    return out_;
  }
  void text(std::string_view key, std::string_view value) { http::append_json_string(name(key), value); }
  void text(std::string_view key, const std::optional<std::string>& value) {
    if (value)
      text(key, std::string_view(*value));
    else
      name(key) += "null";
  }
  void text_if(std::string_view key, const std::optional<std::string>& value) {
    if (value) text(key, std::string_view(*value));
  }
  void id(std::string_view key, const tracker::Uuid& id) { text(key, std::string_view(id.to_string())); }
  void id(std::string_view key, const std::optional<tracker::Uuid>& id) {
    if (id)
      this->id(key, *id);
    else
      name(key) += "null";
  }
  void time(std::string_view key, const std::optional<std::int64_t>& us) {
    if (us)
      text(key, std::string_view(rfc3339(*us)));
    else
      name(key) += "null";
  }
  void time_if(std::string_view key, const std::optional<std::int64_t>& us) {
    if (us) time(key, us);
  }
  void number(std::string_view key, const std::optional<std::int64_t>& value) {
    name(key) += value ? std::to_string(*value) : "null";
  }
  void number_if(std::string_view key, const std::optional<std::int64_t>& value) {
    if (value) number(key, value);
  }

 private:
  std::string& out_;
  bool first_ = true;
};

void append_web_info(std::string& out, const ConnectionShown& entry) {
  ObjectWriter web(out);
  web.text("user_agent", entry.user_agent);
  if (entry.user) {
    ObjectWriter user(web.name("user"));
    user.id("id", *entry.user);
    user.text("username", entry.user_name);
    user.end();
  }
  web.text("slug_or_port", entry.slug_or_port);
  web.number("status_code", entry.code);
  if (entry.connection) {  // one that lasts, as a web socket may
    const ConnectionEnding end = ending(entry);
    web.id("connection_id", *entry.connection);
    web.time_if("disconnect_time", end.at_us);
    web.text_if("disconnect_reason", end.reason);
  }
  web.end();
}

void append_ssh_info(std::string& out, const ConnectionShown& entry) {
  const ConnectionEnding end = ending(entry);
  ObjectWriter ssh(out);
  ssh.id("connection_id", entry.connection);
  ssh.time_if("disconnect_time", end.at_us);
  ssh.text_if("disconnect_reason", end.reason);
  ssh.number_if("exit_code", end.code);
  ssh.end();
}

}  // namespace

ConnectionEnding ending(const ConnectionShown& entry) {
  if (entry.lost_us) return {entry.lost_us, std::string(kLost), std::nullopt};
  // A point in time is its own end; a connect that stands alone did not end then.
  const bool said = entry.state != ConnectionShown::State::point || entry.began_with_disconnect;
  return {said ? entry.disconnect_us : std::nullopt, entry.reason, entry.code};
}

std::string_view status_word(const ConnectionShown& entry) {
  switch (entry.state) {
    case ConnectionShown::State::point:
      return "";
    case ConnectionShown::State::ongoing:
      return "ongoing";
    case ConnectionShown::State::completed:
      return "completed";
  }
  return "";
}

void append_json(std::string& out, const ConnectionShown& entry) {
  ObjectWriter object(out);
  object.id("id", entry.id);
  object.time("connect_time", entry.connect_us);
  ObjectWriter organization(object.name("organization"));
  organization.id("id", entry.organization);
  organization.text("name", entry.organization_name);
  organization.end();
  object.id("workspace_owner_id", entry.owner);
  object.text("workspace_owner_username", entry.owner_name);
  object.id("workspace_id", entry.workspace);
  object.text("workspace_name", std::string_view(entry.workspace_name));
  object.text("agent_name", std::string_view(entry.agent_name));
  object.text("ip", entry.ip);
  object.text("type", std::string_view(entry.type));
  if (const auto status = status_word(entry); !status.empty()) object.text("status", status);
  if (entry.type == "workspace_app" || entry.type == "port_forwarding")
    append_web_info(object.name("web_info"), entry);
  else
    append_ssh_info(object.name("ssh_info"), entry);
  object.end();
}

}  // namespace tally::daemon::api
