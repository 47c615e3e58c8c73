#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "tracker/errors.hpp"
#include "tracker/record.hpp"

namespace tally::journal {

/// What happens to the journal, for metrics and the log. Called on whichever thread it happens on (the writer's, the
/// drainer's), so implementations are thread-safe; must not block or throw.
class Observer {
 public:
  virtual ~Observer() = default;

  /// One `pwrite` with its `fdatasync`. A relaxed sync mode tells them apart: writes with a zero `sync`, syncs with 0
  /// records.
  virtual void group_written(std::size_t records, std::size_t bytes, std::chrono::nanoseconds sync) {
    (void)records, (void)bytes, (void)sync;
  }
  /// Records given back with an error.
  virtual void refused(std::size_t records, boost::system::error_code why) { (void)records, (void)why; }
  virtual void stream_opened(const tracker::StreamId& stream) { (void)stream; }
  /// The disk failed: the stream ends at `last`, and a new one is tried.
  /// No error: it was ended on demand.
  virtual void stream_sealed(const tracker::StreamId& stream, tracker::Lsn last, boost::system::error_code why) {
    (void)stream, (void)last, (void)why;
  }
  /// No stream could be made; the next attempt comes after `retry_after`.
  virtual void open_failed(boost::system::error_code why, std::chrono::milliseconds retry_after) {
    (void)why, (void)retry_after;
  }
  /// Bytes of all streams of the directory against `--journal-max-bytes`. `full`: a segment was refused since the last
  /// call.
  virtual void quota(std::uint64_t used, std::uint64_t max, bool full) { (void)used, (void)max, (void)full; }
  /// A scan found this many valid records above what was applied, in a stream of a dead process.
  virtual void recovered(const tracker::StreamId& stream, std::uint64_t records) { (void)stream, (void)records; }
  /// A bad record before good ones, or a bad segment. `after`: the last good LSN before the damage.
  virtual void corrupt(const tracker::StreamId& stream, const std::string& file, std::uint64_t offset,
                       tracker::Lsn after) {
    (void)stream, (void)file, (void)offset, (void)after;
  }
};

}  // namespace tally::journal
