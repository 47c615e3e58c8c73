#include "tests/daemon/ingest/connection_differential.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

#include "daemon/ingest/connections.hpp"
#include "daemon/ingest/detail/connection_event.hpp"
#include "daemon/ingest/rfc3339.hpp"
#include "tracker/accumulator.hpp"

namespace tally::ingest {
namespace {

namespace json = boost::json;
using tracker::ConnectionEntry;
using tracker::ConnectionEvent;
using tracker::ConnectionStatus;
using tracker::GroupKey;
using tracker::Uuid;

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

struct Group {
  std::optional<GroupKey> key;
  std::vector<ConnectionEvent> events;
};

std::optional<std::vector<Group>> walk(std::string_view payload) {
  std::vector<Group> groups;
  const bool readable = tracker::for_each_connection(
      std::as_bytes(std::span(payload)),
      [&](const std::optional<GroupKey>& key, std::uint32_t) {
        groups.push_back({key, {}});
      },
      [&](ConnectionEvent& event) { groups.back().events.push_back(std::move(event)); });
  if (!readable) return std::nullopt;
  return groups;
}

std::string encode(const std::vector<Group>& groups) {
  std::string payload;
  tracker::ConnectionEncoder encoder(payload);
  for (const Group& group : groups) {
    if (group.key) encoder.begin_effect(group.key->key, group.key->body);
    for (const ConnectionEvent& event : group.events) encoder.add(event);
  }
  encoder.finish();
  return payload;
}

bool storable(const std::string& text, std::size_t limit_bytes) {
  return text.size() <= limit_bytes && text.find('\0') == text.npos;
}

void check_event(const ConnectionEvent& event) {
  require(!event.entry.is_nil() && !event.id.is_nil() && !event.hash.is_nil(), "an event without an id of its own");
  require(detail::is_connection_type(event.type), "a type that is none");
  require(storable(event.workspace_name, 256) && storable(event.agent_name, 256), "a name");
  require(!event.ip || detail::normal_ip(*event.ip) == event.ip, "an address in another spelling");
  require(!event.user_agent || storable(*event.user_agent, 1024), "a user agent");
  require(!event.reason || storable(*event.reason, 1024), "a reason");
  require(!event.slug_or_port || storable(*event.slug_or_port, 256), "a slug or port");
}

/// What the batch of these events holds, forwards and backwards.
void check_join(const std::vector<Group>& groups) {
  std::vector<ConnectionEvent> events;
  for (const Group& group : groups) events.insert(events.end(), group.events.begin(), group.events.end());
  const auto batch = [&] {
    const std::string payload = encode({{std::nullopt, events}});
    tracker::Accumulator accumulator;
    require(accumulator.add(tracker::RecordType::connection, std::as_bytes(std::span(payload)), {}) ==
                tracker::Accumulator::Added::yes,
            "the record is not taken");
    auto entries = accumulator.take().connections;
    std::sort(entries.begin(), entries.end(),
              [](const ConnectionEntry& a, const ConnectionEntry& b) { return a.entry < b.entry; });
    return entries;
  };
  const auto forwards = batch();
  std::reverse(events.begin(), events.end());
  require(batch() == forwards, "the join depends on the order");
}

bool is_text(const json::object& members, const char* name, const std::optional<std::string>& value) {
  const json::value* member = members.if_contains(name);
  if (member == nullptr || member->is_null()) return !value;
  return member->is_string() && value && std::string_view(member->get_string()).starts_with(*value);
}

bool is_id(const json::object& members, const char* name, const std::optional<Uuid>& value) {
  const json::value* member = members.if_contains(name);
  if (member == nullptr || member->is_null()) return !value;
  return member->is_string() && value && Uuid::parse(std::string_view(member->get_string())) == value;
}

bool is_number(const json::object& members, const char* name, const std::optional<std::int64_t>& value) {
  const json::value* member = members.if_contains(name);
  if (member == nullptr || member->is_null()) return !value;
  boost::system::error_code error;
  return member->is_number() && value && member->to_number<std::int64_t>(error) == *value && !error;
}

/// What somebody else's parser makes of the same event.
void compare(const json::value& other, const ConnectionEvent& event) {
  require(other.is_object(), "an event that is no object");
  const json::object& members = other.get_object();
  require(is_id(members, "organization_id", event.organization) && is_id(members, "workspace_owner_id", event.owner) &&
              is_id(members, "workspace_id", event.workspace) && is_id(members, "connection_id", event.connection) &&
              is_id(members, "user_id", event.user),
          "another id");
  require(is_text(members, "workspace_name", event.workspace_name) &&
              is_text(members, "agent_name", event.agent_name) && is_text(members, "type", event.type) &&
              is_text(members, "user_agent", event.user_agent) &&
              is_text(members, "slug_or_port", event.slug_or_port) && is_text(members, "reason", event.reason),
          "another text");
  require(is_number(members, "code", event.code), "another code");
  const bool connected = event.status == ConnectionStatus::connected;
  require(members.at("status").as_string() == (connected ? "connected" : "disconnected"), "another status");
  const auto time = parse_rfc3339(std::string_view(members.at("time").as_string()));
  require(time && time->time_since_epoch().count() == event.time_us, "another time");
  const json::value* ip = members.if_contains("ip");
  const auto address =
      ip != nullptr && ip->is_string() ? detail::normal_ip(std::string_view(ip->get_string())) : std::nullopt;
  require(address == event.ip, "another address");
  if (!event.connection && members.contains("id") && members.at("id").is_string())
    require(is_id(members, "id", event.id), "a point with another id");
}

void compare_with_boost(std::string_view body, const std::vector<Group>& groups) {
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = 2'000;
  const json::value whole = json::parse(body, error, {}, options);
  require(!error, "Boost.JSON does not take the body");
  const std::vector<ConnectionEvent> none;
  const auto& events = groups.empty() ? none : groups.front().events;
  if (whole.is_object()) {
    require(events.size() == 1, "an object is one event");
    return compare(whole, events.front());
  }
  require(whole.is_array() && whole.get_array().size() == events.size(), "another number of events");
  for (std::size_t i = 0; i < events.size(); ++i) compare(whole.get_array()[i], events[i]);
}

/// Points without an id and a key are others each time; everything else is the same.
bool same(std::vector<Group> a, std::vector<Group> b) {
  for (auto* groups : {&a, &b})
    for (Group& group : *groups)
      for (ConnectionEvent& event : group.events)
        if (!event.connection && !group.key) event.entry = event.id = {};
  return encode(a) == encode(b);
}

}  // namespace

Outcome check_connection_request(std::string_view input) {
  if (input.empty()) return {};
  const auto choice = static_cast<unsigned char>(input.front());
  input.remove_prefix(1);
  // A block of exactly that size, so that a sanitizer sees a read beyond it.
  const auto block = std::make_unique<char[]>(input.size());
  std::copy(input.begin(), input.end(), block.get());

  static constexpr std::array<std::string_view, 4> kTypes = {
      "application/json", "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json"};
  static constexpr Header kHeaders[] = {
      {"ce-specversion", "1.0"}, {"ce-type", "tallyd.connection.v1"}, {"ce-source", "s"}, {"ce-id", "1"}};
  Request request;
  request.content_type = kTypes[choice % 4];
  request.body = {block.get(), input.size()};
  request.subject = KeySubject::system("fuzz");
  if ((choice & 4) != 0) request.idempotency_key = "key";
  if ((choice & 8) != 0) request.headers = kHeaders;

  Accepted accepted;
  if (const auto refusal = read_connection_events(request, accepted)) {
    require(refusal->status == 400 || refusal->status == 413 || refusal->status == 415 || refusal->status == 422,
            "status");
    require(refusal->errors.size() <= kMostProblems, "too many problems");
    return {false, refusal->status};
  }
  if (accepted.needs_record()) {
    require(accepted.type == tracker::RecordType::connection, "a record of another type");
    const auto groups = walk(accepted.payload);
    require(groups.has_value(), "the record cannot be walked");
    require(encode(*groups) == accepted.payload, "the record is not what its events encode to");
    std::size_t events = 0;
    for (const Group& group : *groups) {
      events += group.events.size();
      for (const ConnectionEvent& event : group.events) check_event(event);
    }
    require(events == accepted.events, "another number of events than were accepted");
    check_join(*groups);
    Accepted again;
    require(!read_connection_events(request, again), "refused the second time");
    const auto second = walk(again.payload);
    require(second && same(*groups, *second), "other events the second time");
    if (choice % 4 == 0 && (choice & 8) == 0) compare_with_boost(request.body, *groups);
  }
  return {true, 202};
}

bool check_connection_payload(std::string_view payload) {
  const auto block = std::make_unique<char[]>(payload.size());
  std::copy(payload.begin(), payload.end(), block.get());
  const auto groups = walk({block.get(), payload.size()});
  if (!groups) return false;
  for (const Group& group : *groups)
    if (!group.key && groups->size() > 1) return true;  // walked; an encoder makes one such group at most
  if (!groups->empty() && !groups->front().key && groups->front().events.empty()) return true;
  require(encode(*groups) == payload, "not what its events encode to");
  return true;
}

}  // namespace tally::ingest
