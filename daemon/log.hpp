#pragma once
#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "daemon/config.hpp"
#include "tracker/clock.hpp"

/// Structured log lines: a constant message and fields. `log::warn("flush failed", {{"stream", id}, {"error",
/// ec.message()}});` JSON: one object a line with ts (RFC 3339, UTC, ms), level, msg and the fields; text for people at
/// a terminal. Thread-safe. After `start` a line is handed to a thread of its own, and never waits for whoever reads
/// the log: when 8192 lines wait, the oldest gives way and is counted. Before `start` lines go straight to stderr, as
/// text. Any bytes may stand in a value (hostile ones come out escaped); never put a secret there.
namespace tally::daemon::log {

/// A JSON text of our own making, written as it stands; one that is too long comes as a text that is cut.
struct Json {
  std::string_view text;
};

class Value {
 public:
  Value(Json v) : value_(v) {}
  Value(bool v) : value_(v) {}
  template <std::signed_integral T>
  Value(T v) : value_(static_cast<std::int64_t>(v)) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Value(T v) : value_(static_cast<std::uint64_t>(v)) {}
  Value(double v) : value_(v) {}
  Value(const char* v) : value_(std::string_view(v)) {}
  Value(std::string_view v) : value_(v) {}
  Value(const std::string& v) : value_(std::string_view(v)) {}
  /// In milliseconds, as a number: give the field a name that ends in `_ms`.
  Value(std::chrono::milliseconds v) : value_(static_cast<std::int64_t>(v.count())) {}

  const auto& get() const { return value_; }

 private:
  std::variant<bool, std::int64_t, std::uint64_t, double, std::string_view, Json> value_;
};

/// The key is written as it stands: `[a-z0-9_]+`.
struct Field {
  std::string_view key;
  Value value;
};
using Fields = std::initializer_list<Field>;
using FieldSpan = std::span<const Field>;

void debug(std::string_view message, Fields fields = {});
void info(std::string_view message, Fields fields = {});
void warn(std::string_view message, Fields fields = {});
void error(std::string_view message, Fields fields = {});
/// Who did what that must be findable later (a token made or revoked, a period closed or discarded, ...): always
/// written, whatever the level, with `"audit": true`.
void audit(std::string_view message, Fields fields = {});

/// One of the lines that a setting asks for, one for each of many events: always written, whatever the level, and
/// through a queue of its own (16384 lines), so that a flood of them pushes out no other line.
void event(std::string_view message, FieldSpan fields);

bool enabled(LogLevel level);
void set_level(LogLevel level);

/// Starts the writing thread. `clock` must outlive `stop`.
void start(LogLevel level, LogFormat format, const tracker::Clock& clock);
/// Writes out what waits and goes back to direct writing.
void stop();
/// Lines that gave way since `start`.
std::uint64_t dropped();
/// The same of `event`.
std::uint64_t events_dropped();

/// Holds a repeated message back: the first passes, then one every `every`. Thread-safe.
///   if (auto held = throttle_.admit(clock_.steady())) log::warn("...", {..., {"held_back", *held}});
class Throttle {
 public:
  explicit Throttle(std::chrono::milliseconds every) : every_(every) {}
  /// How many were held back since the last that passed; nothing: hold this one back too.
  std::optional<std::uint64_t> admit(tracker::SteadyTime now);

 private:
  std::chrono::milliseconds every_;
  std::atomic<std::int64_t> next_ns_{INT64_MIN};
  std::atomic<std::uint64_t> held_{0};
};

/// Starts and stops the log for a scope.
class Scope {
 public:
  Scope(LogLevel level, LogFormat format, const tracker::Clock& clock) { start(level, format, clock); }
  ~Scope() { stop(); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
};

/// One line without its end, as the log would write it; for tests and for the formats' own use.
std::string format_json(tracker::WallTime at, LogLevel level, std::string_view message, FieldSpan fields,
                        bool audit = false);
std::string format_text(tracker::WallTime at, LogLevel level, std::string_view message, FieldSpan fields,
                        bool audit = false);

inline std::string format_json(tracker::WallTime at, LogLevel level, std::string_view message, Fields fields,
                               bool audit = false) {
  return format_json(at, level, message, FieldSpan(fields.begin(), fields.size()), audit);
}
inline std::string format_text(tracker::WallTime at, LogLevel level, std::string_view message, Fields fields,
                               bool audit = false) {
  return format_text(at, level, message, FieldSpan(fields.begin(), fields.size()), audit);
}

}  // namespace tally::daemon::log
