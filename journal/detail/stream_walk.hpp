#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "journal/detail/segment_scan.hpp"
#include "journal/directory.hpp"

namespace tally::journal::detail {

/// Where a walk stood.
struct Place {
  tracker::StreamId stream;
  std::uint32_t segment = 0;
  std::uint64_t offset = 0;
  tracker::Lsn lsn = 0;
  tracker::Chain chain = 0;
};

/// Walks the valid records of a stream across its segments, and says how they end.
class StreamWalk {
 public:
  /// Lists the segments. `not_found`: no such stream.
  static Result<StreamWalk> open(Directory& directory, const tracker::StreamId& stream);

  bool is_empty() const { return segments_.empty(); }
  /// Lowest LSN that the segments still there may hold; `corrupt` if the oldest header is bad.
  Result<tracker::Lsn> first();

  /// Stands behind `after`, so that `next` finds the record after it. False: the valid records end at a lower LSN.
  /// `not_found`: the record after `after` is in a segment that is gone. `corrupt`: damage on the way.
  Result<bool> seek(tracker::Lsn after);
  /// The same, from where an earlier walk stood.
  Result<bool> resume(const Place& place);

  /// False: the end. `corrupt`: damage, told to the observer.
  Result<bool> next() {
    if (scan_ && scan_->next()) return true;
    return next_segment();
  }
  const tracker::RecordView& record() const { return scan_->record(); }
  tracker::Lsn lsn() const { return scan_ ? scan_->lsn() : 0; }
  tracker::Chain chain() const { return scan_ ? scan_->chain() : 0; }
  Place place() const;
  /// Asked at the end: is there anything but zeros behind it, the remains of a torn group?
  Result<bool> has_remains();

 private:
  StreamWalk(Directory& directory, const tracker::StreamId& stream, std::vector<std::uint32_t> segments);

  std::string path_of(std::uint32_t segment) const;
  Result<bool> open_segment(std::size_t index);
  Result<bool> is_unborn(std::size_t index) const;
  tracker::Errc damage(std::uint32_t segment, std::uint64_t offset);
  Result<bool> next_segment();
  Result<bool> end_of_segment();

  Directory* directory_;
  tracker::StreamId stream_;
  std::string path_;
  std::vector<std::uint32_t> segments_;  ///< ascending
  std::size_t index_ = 0;
  std::optional<SegmentScan> scan_;
};

}  // namespace tally::journal::detail
