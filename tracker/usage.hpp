#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "tracker/record.hpp"

namespace tally::tracker {

/// One billable fact, checked. Texts are valid UTF-8 without NUL; its id counts once, for ever.
struct UsageEvent {
  std::string id;
  std::string type;
  std::string data;  ///< a JSON object, as it was sent
  std::optional<std::int64_t>
      created_us;      ///< by the sender's clock, microseconds since the Unix epoch; nothing: unsaid
  bool known = false;  ///< of a type that this program knows; others are held
  friend bool operator==(const UsageEvent&, const UsageEvent&) = default;
};

/// Encodes one `usage` payload behind what `out` holds: u32 count, then each event as u8 parts, i64 time if there is
/// one, and three texts with a u32 length before each.
class UsageEncoder {
 public:
  explicit UsageEncoder(std::string& out);
  void add(const UsageEvent& event);
  std::uint32_t count() const { return count_; }
  void finish();

 private:
  std::string& out_;
  std::size_t start_;
  std::uint32_t count_ = 0;
};

namespace detail {

bool decode_usage_event(std::span<const std::byte> bytes, std::size_t& at, UsageEvent& out);

}  // namespace detail

/// Walks a `usage` payload: `on_event(event)`, which may move from it. False: malformed, as for `for_each_effect`.
template <class OnEvent>
bool for_each_usage_event(std::span<const std::byte> payload, OnEvent&& on_event) {
  std::size_t at = 0;
  std::uint32_t count = 0;
  if (!decode_u32(payload, at, count)) return false;
  for (; count > 0; --count) {
    UsageEvent event;
    if (!detail::decode_usage_event(payload, at, event)) return false;
    on_event(event);
  }
  return at == payload.size();
}

}  // namespace tally::tracker
