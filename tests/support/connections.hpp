#pragma once
#include <functional>
#include <random>
#include <vector>

#include "tests/support/payloads.hpp"
#include "tracker/connection.hpp"

namespace tally::test {

/// Stands in for the SHA-256 of an event: the same content, the same hash.
inline tracker::Uuid content_hash(const tracker::ConnectionEvent& event) {
  std::string canonical;
  tracker::append_canonical(canonical, event);
  const std::uint64_t words[] = {std::hash<std::string>()(canonical), std::hash<std::string>()(canonical + "+")};
  tracker::Uuid hash;
  std::memcpy(hash.bytes.data(), words, sizeof words);
  return hash;
}

/// What says least: session `number`, `status` at that second.
inline tracker::ConnectionEvent connection_event(std::uint64_t number, tracker::ConnectionStatus status,
                                                 std::int64_t second) {
  tracker::ConnectionEvent event;
  event.entry = event.id = id(70'000 + number);
  event.connection = id(71'000 + number);
  event.organization = id(1);
  event.owner = id(2);
  event.workspace = id(3);
  event.workspace_name = "dev";
  event.agent_name = "main";
  event.type = "ssh";
  event.status = status;
  event.time_us = second * 1'000'000;
  event.hash = content_hash(event);
  return event;
}

/// One of few sessions and points, with few different times and values, so that events meet in every way.
template <class Random>
tracker::ConnectionEvent random_connection_event(Random& random, std::uint64_t sessions = 5) {
  const auto draw = [&](std::uint64_t below) { return random() % below; };
  const auto maybe_text = [&](std::optional<std::string>& out, const char* one, const char* other) {
    if (draw(2) == 0) out = draw(2) == 0 ? one : other;
  };
  const std::uint64_t number = draw(sessions);
  tracker::ConnectionEvent event = connection_event(
      number, draw(2) == 0 ? tracker::ConnectionStatus::connected : tracker::ConnectionStatus::disconnected,
      1'700'000'000 + static_cast<std::int64_t>(draw(6)));
  if (number == 0) event.connection.reset();
  event.owner = id(10 + draw(2));
  event.workspace_name = draw(3) == 0 ? "renamed" : "dev";
  event.type = draw(3) == 0 ? "vscode" : "ssh";
  maybe_text(event.ip, "192.0.2.7", "2001:db8::1");
  maybe_text(event.user_agent, "curl/8", "Mozilla/5.0");
  maybe_text(event.slug_or_port, "8080", "code-server");
  maybe_text(event.reason, "user closed it",
             "\xC3\xBC"
             "berrascht");
  if (draw(2) == 0) event.user = id(20 + draw(2));
  if (draw(2) == 0) event.code = static_cast<std::int64_t>(draw(3)) - 1;
  event.hash = content_hash(event);
  return event;
}

inline std::string connection_payload(const std::vector<tracker::ConnectionEvent>& events) {
  std::string payload;
  tracker::ConnectionEncoder encoder(payload);
  for (const auto& event : events) encoder.add(event);
  encoder.finish();
  return payload;
}

inline std::string keyed_connection_payload(const tracker::Uuid& key, std::uint64_t body,
                                            const std::vector<tracker::ConnectionEvent>& events) {
  std::string payload;
  tracker::ConnectionEncoder encoder(payload);
  encoder.begin_effect(key, body);
  for (const auto& event : events) encoder.add(event);
  encoder.finish();
  return payload;
}

}  // namespace tally::test
