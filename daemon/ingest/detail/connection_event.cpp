#include "daemon/ingest/detail/connection_event.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>

#include "daemon/ingest/key.hpp"
#include "tracker/rules.hpp"

namespace tally::ingest::detail {
namespace {

using tracker::holds;
using tracker::Uuid;

enum Member : std::size_t {
  id,
  time,
  status,
  organization_id,
  workspace_owner_id,
  workspace_id,
  workspace_name,
  agent_name,
  type,
  connection_id,
  ip,
  user_agent,
  user_id,
  slug_or_port,
  code,
  reason
};
constexpr std::string_view kMembers[] = {"id",
                                         "time",
                                         "status",
                                         "organization_id",
                                         "workspace_owner_id",
                                         "workspace_id",
                                         "workspace_name",
                                         "agent_name",
                                         "type",
                                         "connection_id",
                                         "ip",
                                         "user_agent",
                                         "user_id",
                                         "slug_or_port",
                                         "code",
                                         "reason"};
constexpr Member kRequired[] = {time,         status,         organization_id, workspace_owner_id,
                                workspace_id, workspace_name, agent_name,      type};

// Browsers send up to a few hundred bytes. What is longer says nothing more, and rows must stay small.
constexpr std::size_t kUserAgentLimitBytes = 1024;
constexpr std::size_t kReasonLimitBytes = 1024;

void take_status(JsonReader& reader, const Place& place, Findings& findings, tracker::ConnectionStatus& out) {
  std::string_view text;
  if (!take_text(reader, place, findings, text)) return;
  if (text == "connected")
    out = tracker::ConnectionStatus::connected;
  else if (text == "disconnected")
    out = tracker::ConnectionStatus::disconnected;
  else
    findings.invalid(place, "not connected or disconnected");
}

void take_type(JsonReader& reader, const Place& place, Findings& findings, std::string& out) {
  std::string_view text;
  if (!take_text(reader, place, findings, text)) return;
  if (is_connection_type(text))
    out = text;
  else
    findings.invalid(place, "not 1 to 64 of a-z, 0-9 and _");
}

/// Whatever is wrong with it, it costs nobody the event.
void take_ip(JsonReader& reader, std::optional<std::string>& out) {
  if (reader.peek() != JsonKind::string) return reader.skip();
  out = normal_ip(reader.string());
}

/// `take` has the value, unless it is null.
template <class T, class Take>
void take_optional(JsonReader& reader, std::optional<T>& out, Take take) {
  if (take_null(reader)) return;
  if (!take(out.emplace())) out.reset();
}

std::string_view text_of(const Uuid& uuid) {
  return {reinterpret_cast<const char*>(uuid.bytes.data()), uuid.bytes.size()};
}

/// RFC 9562 version 8: made from a hash of one's own.
Uuid as_version_8(Uuid hash) {
  hash.bytes[6] = static_cast<std::uint8_t>((hash.bytes[6] & 0x0f) | 0x80);
  hash.bytes[8] = static_cast<std::uint8_t>((hash.bytes[8] & 0x3f) | 0x80);
  return hash;
}

}  // namespace

std::optional<std::string> normal_ip(std::string_view text) {
  if (boost::algorithm::iequals(text, "localhost")) return "127.0.0.1";
  const std::string address(text.substr(0, INET6_ADDRSTRLEN));
  if (address.size() != text.size() || address.find('\0') != address.npos) return std::nullopt;
  char spelt[INET6_ADDRSTRLEN];
  unsigned char bytes[sizeof(in6_addr)];
  for (const int family : {AF_INET, AF_INET6})
    if (::inet_pton(family, address.c_str(), bytes) == 1 && ::inet_ntop(family, bytes, spelt, sizeof spelt))
      return spelt;
  return std::nullopt;
}

bool is_connection_type(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

void ConnectionSchema::read(JsonReader& reader, const Place& place, Findings& findings, Event& out) {
  out = {};
  bool nil_id = false;
  const auto seen = take_members(reader, place, findings, kMembers, [&](std::size_t member, const Place& inside) {
    const auto uuid = [&](Uuid& to) { return take_uuid(reader, inside, findings, to); };
    const auto name = [&](std::string& to) { return take_name(reader, inside, findings, to); };
    const auto cut = [&](std::size_t limit) {
      return [&, limit](std::string& to) { return take_cut_text(reader, inside, findings, limit, to); };
    };
    switch (static_cast<Member>(member)) {
      case id:
        if (!take_null(reader)) nil_id = uuid(out.id) && out.id.is_nil();
        break;
      case time:
        take_time(reader, inside, findings, out.time_us);
        break;
      case status:
        take_status(reader, inside, findings, out.status);
        break;
      case organization_id:
        uuid(out.organization);
        break;
      case workspace_owner_id:
        uuid(out.owner);
        break;
      case workspace_id:
        uuid(out.workspace);
        break;
      case workspace_name:
        name(out.workspace_name);
        break;
      case agent_name:
        name(out.agent_name);
        break;
      case type:
        take_type(reader, inside, findings, out.type);
        break;
      case connection_id:
        take_optional(reader, out.connection, uuid);
        break;
      case ip:
        take_ip(reader, out.ip);
        break;
      case user_agent:
        take_optional(reader, out.user_agent, cut(kUserAgentLimitBytes));
        break;
      case user_id:
        take_optional(reader, out.user, uuid);
        break;
      case slug_or_port:
        take_optional(reader, out.slug_or_port, name);
        break;
      case code:
        take_optional(reader, out.code, [&](std::int64_t& to) { return take_integer(reader, inside, findings, to); });
        break;
      case reason:
        take_optional(reader, out.reason, cut(kReasonLimitBytes));
        break;
    }
  });
  if (!seen) return;
  for (const Member member : kRequired)
    if ((*seen >> member & 1) == 0) findings.invalid(place.at(kMembers[member]), "missing");
  // As an id it would make one of all points whose senders left it at zero; as none it would make two of one.
  if (nil_id && !out.connection) findings.invalid(place.at(kMembers[id]), "the nil UUID: leave it out, or give an id");
}

ConnectionSchema::Encoder::Encoder(std::string& out, std::size_t expected_bytes) : encoder_(out) {
  out.reserve(out.size() + expected_bytes);
}

void ConnectionSchema::Encoder::begin_effect(const Uuid& key, std::uint64_t body) {
  encoder_.begin_effect(key, body);
  key_ = key;
  number_ = 0;
}

void ConnectionSchema::Encoder::add(Event event) {
  canonical_.clear();
  tracker::append_canonical(canonical_, event);
  event.hash = hash_of({canonical_});
  const auto organization = text_of(event.organization), workspace = text_of(event.workspace);
  if (event.connection) {
    const std::string_view agent = holds("S10.key") ? event.agent_name : std::string_view();
    event.entry = hash_of({"session", text_of(*event.connection), workspace, agent, organization});
    tracker::mark_entry(event.entry, *event.connection);
    event.id = as_version_8(event.entry);
  } else {
    // A point without an id is told apart by its key; without that, every one is another.
    if (event.id.is_nil())
      event.id = key_ ? as_version_8(hash_of({"point", text_of(*key_), std::to_string(number_)})) : Uuid::random();
    event.entry = hash_of({"point", text_of(event.id), workspace, organization});
  }
  ++number_;
  encoder_.add(event);
}

}  // namespace tally::ingest::detail
