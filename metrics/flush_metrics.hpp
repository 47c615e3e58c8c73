#pragma once
#include <prometheus/histogram.h>
#include <chrono>
#include <cstdint>

#include "metrics/counter_by.hpp"

namespace tally::metrics {

enum class FlushResult : std::uint8_t {
  applied,
  refused,  ///< by the compare-and-set or the guard: what was refused is re-read from the journal
  unknown,  ///< the answer was lost; resolved by reading back
  failed,   ///< nothing was sent, or the database rolled back
};

/// Flushes into the database. Thread-safe.
class FlushMetrics {
 public:
  explicit FlushMetrics(Registry& registry);

  void flushed(FlushResult result, std::chrono::nanoseconds took) noexcept;
  void set_last_success(std::chrono::sys_time<std::chrono::milliseconds> when) noexcept;
  void reread(std::uint64_t records) noexcept;  ///< records added up from the journal again

 private:
  prometheus::Histogram& duration_;
  CountersBy<FlushResult, 4> flushes_;
  prometheus::Gauge& last_success_;
  prometheus::Counter& reread_;
};

enum class DbConnectionState : std::uint8_t { idle, busy, connecting };

enum class DbErrorClass : std::uint8_t {
  connection,     ///< could not be reached, or was cut
  serialization,  ///< SQLSTATE 40
  data,           ///< SQLSTATE 22, 23
  refused,        ///< read-only, no rights, disk full, schema missing
  timeout,
  other,
};

/// The connection pool. Thread-safe.
class DbMetrics {
 public:
  explicit DbMetrics(Registry& registry);

  void set_connections(DbConnectionState state, std::uint64_t count) noexcept;
  void error(DbErrorClass error) noexcept;

 private:
  GaugesBy<DbConnectionState, 3> connections_;
  CountersBy<DbErrorClass, 6> errors_;
};

}  // namespace tally::metrics
