#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "journal/disk.hpp"
#include "journal/observer.hpp"
#include "journal/quota.hpp"
#include "tracker/record.hpp"

namespace tally::journal {

struct DirectoryOptions {
  std::string path;                    ///< --state-dir; made if its parent exists
  std::uint64_t max_bytes = 1u << 30;  ///< --journal-max-bytes, over all streams together
  std::uint64_t segment_bytes = 16u << 20;
  /// False: do not lock the directory. Only for tests that show that nothing rests on the lock.
  bool exclusive = true;
  std::function<tracker::Uuid()> make_id = &tracker::Uuid::random;
};

/// One stream as the file names tell, without reading it.
struct StreamInfo {
  tracker::StreamId id;
  bool live = false;  ///< its lock is held: some process (also this one) appends to it or drains it
  std::uint32_t segments = 0;
  std::uint64_t bytes = 0;
  tracker::WallTime modified{};  ///< last write to its newest segment
};

enum class StreamEnd : std::uint8_t { clean, torn, corrupt, unsupported };

/// What a whole stream holds.
struct StreamScan {
  tracker::Lsn first = 0;  ///< lowest LSN still there; 0: no segment
  tracker::Lsn last = 0;   ///< last valid record; first - 1 if there is none
  tracker::Chain chain = 0;
  std::uint64_t records = 0;         ///< valid records above `applied`
  std::uint64_t payload_bytes = 0;   ///< of those
  bool gap = false;                  ///< records above `applied` are missing at the front: lost
  StreamEnd end = StreamEnd::clean;  ///< of the valid records; `torn` is harmless
};

/// The state directory: who may use it, which streams are in it, how much it may hold. Thread-safe.
/// Errors: those of the system; `conflict`: somebody holds the lock; `not_found`: no such stream.
class Directory {
 public:
  /// Takes the lock, makes what is missing. Throws `std::runtime_error` with a text for the operator (in use by process
  /// N, cannot be written, ...). `disk` and `observer` must outlive it.
  Directory(Disk& disk, DirectoryOptions options, Observer& observer);

  /// Made at the first start and kept in `<state-dir>/replica_id`.
  const tracker::Uuid& replica_id() const { return replica_id_; }
  const DirectoryOptions& options() const { return options_; }
  Disk& disk() { return disk_; }
  Observer& observer() { return observer_; }
  Quota& quota() { return quota_; }

  /// All streams, the own one too, in no order.
  Result<std::vector<StreamInfo>> streams();
  /// Takes the lock of a stream, which shows that no process appends to it (accounting.md B4, M12). `conflict`: held.
  Result<std::unique_ptr<Lock>> claim(const tracker::StreamId& stream);
  /// Reads all of a dead stream. `applied`: what the database has; `each` is called with every record above it. Damage
  /// is told to the observer.
  Result<StreamScan> scan(const tracker::StreamId& stream, tracker::Lsn applied,
                          const std::function<void(const tracker::RecordView&)>& each = {});

  /// Unlinks whole segments whose records are all <= `applied` (as read from a *committed* answer) and that were last
  /// written before `keep_until`; when the quota is short, also younger ones. Never the newest segment. Answers the
  /// bytes freed.
  Result<std::uint64_t> trim(const tracker::StreamId& stream, tracker::Lsn applied, tracker::WallTime keep_until);
  /// Removes a stream whose row says drained, if it was last written before `keep_until` or the quota is short. True:
  /// it is gone. `conflict`: its lock is held.
  Result<bool> remove(const tracker::StreamId& stream, tracker::WallTime keep_until);

  std::string streams_path() const { return options_.path + "/streams"; }
  std::string stream_path(const tracker::StreamId& stream) const;
  /// Numbers of the segments that are there, ascending.
  Result<std::vector<std::uint32_t>> segments(const tracker::StreamId& stream);
  /// Tells the observer how much is used.
  void report_quota(bool full = false) { observer_.quota(quota_.used(), quota_.max(), full); }

 private:
  void take_lock();
  void load_replica_id();
  void count_bytes();

  Disk& disk_;
  DirectoryOptions options_;
  Observer& observer_;
  Quota quota_;
  std::unique_ptr<Lock> lock_;
  tracker::Uuid replica_id_;
};

}  // namespace tally::journal
