#pragma once
#include <string>
#include <vector>

#include "tracker/record.hpp"

/// Builders for record payloads and ids, so that a test shows only what matters to it.
namespace tally::test {

inline tracker::Uuid id(std::uint64_t number) {
  tracker::Uuid uuid;
  for (int i = 0; i < 8; ++i) uuid.bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  uuid.bytes[6] = 0x40;
  uuid.bytes[8] |= 0x80;
  return uuid;
}

inline std::string boundary_payload(const std::vector<tracker::Increment>& increments) {
  std::string payload;
  tracker::BoundaryEncoder encoder(payload);
  for (const auto& increment : increments) encoder.add(increment);
  encoder.finish();
  return payload;
}

struct Effect {
  tracker::Uuid key;
  std::uint64_t body = 0;
  std::vector<tracker::Increment> increments;
};

inline std::string keyed_payload(const std::vector<Effect>& effects) {
  std::string payload;
  tracker::KeyedEncoder encoder(payload);
  for (const auto& effect : effects) {
    encoder.begin_effect(effect.key, effect.body);
    for (const auto& increment : effect.increments) encoder.add(increment);
  }
  encoder.finish();
  return payload;
}

}  // namespace tally::test
