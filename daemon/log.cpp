#include "daemon/log.hpp"

#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <shared_mutex>

namespace tally::daemon::log {
namespace {

constexpr std::size_t kWaitingLines = 8192;
constexpr std::size_t kWaitingEvents = 16384;

/// Lines that wait for a thread of their own, which writes them to stderr. Another queue's lines may stand between
/// them.
struct Queue {
  std::shared_ptr<spdlog::details::thread_pool> thread;
  std::shared_ptr<spdlog::logger> logger;

  void open(std::size_t lines) {
    thread = std::make_shared<spdlog::details::thread_pool>(lines, 1);
    logger = std::make_shared<spdlog::async_logger>("tallyd", std::make_shared<spdlog::sinks::stderr_sink_mt>(), thread,
                                                    spdlog::async_overflow_policy::overrun_oldest);
    logger->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::utc, "\n"));
    // A reader that went away is no reason to write about it, to the same place.
    logger->set_error_handler([](const std::string&) {});
  }
  /// Writes out what waits.
  void close() {
    logger.reset();
    thread.reset();
  }
  std::uint64_t dropped() const { return thread ? thread->overrun_counter() : 0; }
};

/// What `start` made. Lines take the lock shared, so that `stop` cannot pull a thread away under one of them.
struct Running {
  std::shared_mutex lock;
  Queue lines;
  Queue events;  ///< opened by the first
  const tracker::Clock* clock = nullptr;
  bool json = false;
};

// Never destroyed: objects with static lifetime may log while they go.
Running& running() {
  static auto* const state = new Running;
  return *state;
}

std::atomic<LogLevel> least_level{LogLevel::info};

/// With the lock held.
void put(Running& state, Queue& queue, LogLevel level, std::string_view message, FieldSpan fields, bool audit) {
  static const tracker::SystemClock system_clock;
  const auto now = (state.clock != nullptr ? *state.clock : system_clock).wall();
  const std::string line =
      state.json ? format_json(now, level, message, fields, audit) : format_text(now, level, message, fields, audit);
  if (queue.logger)
    queue.logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  else if (::write(STDERR_FILENO, (line + "\n").data(), line.size() + 1) < 0)
    return;  // nobody is left to tell
}

void write(LogLevel level, std::string_view message, Fields fields, bool audit) {
  Running& state = running();
  const std::shared_lock shared(state.lock);
  put(state, state.lines, level, message, FieldSpan(fields.begin(), fields.size()), audit);
}

void write_if_enabled(LogLevel level, std::string_view message, Fields fields) {
  if (enabled(level)) write(level, message, fields, false);
}

/// The queue of events is as large as many replicas never need.
void open_events(Running& state) {
  const std::unique_lock alone(state.lock);
  if (state.lines.logger && !state.events.logger) state.events.open(kWaitingEvents);
}

}  // namespace

void debug(std::string_view message, Fields fields) {
  write_if_enabled(LogLevel::debug, message, fields);
}
void info(std::string_view message, Fields fields) {
  write_if_enabled(LogLevel::info, message, fields);
}
void warn(std::string_view message, Fields fields) {
  write_if_enabled(LogLevel::warn, message, fields);
}
void error(std::string_view message, Fields fields) {
  write_if_enabled(LogLevel::error, message, fields);
}
void audit(std::string_view message, Fields fields) {
  write(LogLevel::info, message, fields, true);
}

void event(std::string_view message, FieldSpan fields) {
  Running& state = running();
  {
    const std::shared_lock shared(state.lock);
    if (state.events.logger || !state.lines.logger)
      return put(state, state.events, LogLevel::info, message, fields, false);
  }
  open_events(state);
  const std::shared_lock shared(state.lock);
  put(state, state.events, LogLevel::info, message, fields, false);
}

bool enabled(LogLevel level) {
  return level >= least_level.load(std::memory_order_relaxed);
}
void set_level(LogLevel level) {
  least_level.store(level, std::memory_order_relaxed);
}

void start(LogLevel level, LogFormat format, const tracker::Clock& clock) {
  Running& state = running();
  const std::unique_lock alone(state.lock);
  set_level(level);
  state.json = format == LogFormat::json || (format == LogFormat::automatic && ::isatty(STDERR_FILENO) == 0);
  state.clock = &clock;
  state.lines.open(kWaitingLines);
}

void stop() {
  Running& state = running();
  const std::unique_lock alone(state.lock);
  state.events.close();
  state.lines.close();
  state.clock = nullptr;
}

std::uint64_t dropped() {
  Running& state = running();
  const std::shared_lock shared(state.lock);
  return state.lines.dropped();
}

std::uint64_t events_dropped() {
  Running& state = running();
  const std::shared_lock shared(state.lock);
  return state.events.dropped();
}

std::optional<std::uint64_t> Throttle::admit(tracker::SteadyTime now) {
  const std::int64_t now_ns = std::chrono::nanoseconds(now.time_since_epoch()).count();
  std::int64_t next = next_ns_.load(std::memory_order_relaxed);
  const std::int64_t after = now_ns + std::chrono::nanoseconds(every_).count();
  if (now_ns < next || !next_ns_.compare_exchange_strong(next, after, std::memory_order_relaxed)) {
    held_.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  return held_.exchange(0, std::memory_order_relaxed);
}

}  // namespace tally::daemon::log
