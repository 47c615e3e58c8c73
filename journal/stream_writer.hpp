#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "journal/directory.hpp"
#include "journal/format.hpp"
#include "tracker/clock.hpp"
#include "tracker/ports.hpp"

namespace tally::journal {

/// --journal-sync.
enum class SyncMode : std::uint8_t {
  always,    ///< delivered after fdatasync
  interval,  ///< delivered after pwrite, fdatasync every so often: a power loss takes at most the interval
  never,     ///< left to the kernel
};

struct WriterOptions {
  SyncMode sync = SyncMode::always;
  std::chrono::milliseconds sync_interval{10};  ///< only `interval`
  std::size_t max_group_bytes = 4u << 20;       ///< one pwrite; a larger record goes alone
};

/// Appends groups of records to this process's own stream, and opens the next stream when the disk fails. Has no thread
/// and waits for nothing but the disk, so that a simulator can drive it; `WriterThread` drives it in the daemon.
///
/// - Everything appended comes back through `Completions` before `append` returns, for each shard in LSN order.
/// - Any error in writing or syncing seals the stream at the last record delivered: the group comes back as
/// `journal_failed`,
///   a sealed cut (ticket 0) follows, and a new stream takes the rest. The failed file is never written or synced
///   again.
/// - No new stream: `journal_full` (no space, quota) or `journal_failed`, and another attempt after 0.1 s, doubling to
/// 5 s.
///   Over the quota without an error: `journal_full` until space is freed; the stream stays.
/// - `interval`: a cut is preceded by an fdatasync, so a flush sends only what is durable. If that fails the stream is
/// sealed at the
///   last record delivered, durable or not: it was acknowledged, memory still has it, and applying it is right even if
///   the file loses it, because nobody ever appends to that stream again. `never`: cuts do not wait for the disk
///   either, for the same reason.
class StreamWriter {
 public:
  /// All must outlive it.
  StreamWriter(Directory& directory, const tracker::Clock& clock, tracker::Completions& completions,
               WriterOptions options = {});
  /// Leaves the files as they are, like a crash; see `close`.
  ~StreamWriter();

  /// Opens a stream if there is none and the next attempt is due. True: there is one now.
  bool open();
  void append(tracker::AppendGroup group);
  /// Gives records back without writing them.
  void refuse(tracker::AppendGroup group, tracker::Errc why);
  /// Emits a cut at the last record delivered. Without a stream it repeats the end of the sealed one (nil if there
  /// never was one).
  void cut(std::uint64_t ticket);
  /// Does what is due: the fdatasync of `interval`, the next attempt to open a stream.
  void tick();
  /// When `tick` has something to do.
  std::optional<tracker::SteadyTime> next_tick() const;
  /// Ends `stream` with the records that it has, if it is the current one, as an error would but without one: a sealed
  /// cut, and a new stream takes the rest.
  void roll(const tracker::StreamId& stream);
  /// Syncs, gives unused preallocated space back, releases the stream. Nothing may be appended after.
  void close();

  /// The stream that takes appends now.
  std::optional<tracker::StreamId> stream() const;

 private:
  struct Stream;
  struct Encoded;

  boost::system::error_code make_room(std::size_t record_bytes);
  boost::system::error_code open_stream(std::size_t record_bytes);
  void continue_an_old_one(Stream& stream);
  boost::system::error_code make_files(Stream& stream, std::size_t record_bytes);
  boost::system::error_code make_segment(Stream& stream, std::size_t record_bytes);
  boost::system::error_code rotate(std::size_t record_bytes);
  Encoded encode(tracker::AppendGroup& group, std::size_t from);
  void write(tracker::AppendGroup& group, std::size_t from, const Encoded& encoded);
  boost::system::error_code sync();
  void seal(boost::system::error_code why);
  void trim_file();
  void hand_back(tracker::AppendGroup& group, std::size_t from, std::size_t to, boost::system::error_code error);
  void reserve(std::size_t bytes);
  void report_full();

  Directory& directory_;
  const tracker::Clock& clock_;
  tracker::Completions& completions_;
  const WriterOptions options_;

  std::unique_ptr<Stream> stream_;
  tracker::Cut end_;  ///< where the last sealed stream ended
  bool closed_ = false;
  bool is_full_ = false;  ///< over the quota, and said so

  boost::system::error_code open_error_;  ///< why there is no stream
  tracker::SteadyTime retry_at_{};
  std::chrono::milliseconds retry_after_{};

  std::unique_ptr<std::byte[]> buffer_;  ///< one group
  std::size_t buffer_bytes_ = 0;
  std::vector<tracker::AppendGroup> by_shard_;
};

}  // namespace tally::journal
