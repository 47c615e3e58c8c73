#include "journal/detail/stream_walk.hpp"

#include <algorithm>

namespace tally::journal::detail {

using tracker::Errc;

StreamWalk::StreamWalk(Directory& directory, const tracker::StreamId& stream, std::vector<std::uint32_t> segments)
    : directory_(&directory), stream_(stream), path_(directory.stream_path(stream)), segments_(std::move(segments)) {}

Result<StreamWalk> StreamWalk::open(Directory& directory, const tracker::StreamId& stream) {
  auto segments = directory.segments(stream);
  if (!segments) return segments.error();
  return StreamWalk(directory, stream, std::move(*segments));
}

std::string StreamWalk::path_of(std::uint32_t segment) const {
  return path_ + "/" + segment_name(segment);
}

tracker::Errc StreamWalk::damage(std::uint32_t segment, std::uint64_t offset) {
  directory_->observer().corrupt(stream_, path_of(segment), offset, lsn());
  return Errc::corrupt;
}

Result<tracker::Lsn> StreamWalk::first() {
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const auto header = SegmentScan::read_header(directory_->disk(), path_of(segments_[i]), stream_, segments_[i]);
    if (header) return header->first;
    if (header.error() != Errc::corrupt) return header.error();
    const auto unborn = is_unborn(i);
    if (!unborn) return unborn.error();
    if (!*unborn) return damage(segments_[i], 0);
  }
  return tracker::Lsn{1};
}

/// The newest segment may have lost its header to a crash before it was durable; no record can be in it then.
Result<bool> StreamWalk::is_unborn(std::size_t index) const {
  if (index + 1 != segments_.size()) return false;
  const auto holds = SegmentScan::holds_records(directory_->disk(), path_of(segments_[index]), stream_);
  if (!holds) return failure(holds.error());
  return !*holds;
}

/// False: it was never finished, so the stream ends before it.
Result<bool> StreamWalk::open_segment(std::size_t index) {
  auto scan = SegmentScan::open(directory_->disk(), path_of(segments_[index]), stream_, segments_[index]);
  if (!scan) {
    if (scan.error() != Errc::corrupt) return failure(scan.error());
    const auto unborn = is_unborn(index);
    if (!unborn) return failure(unborn.error());
    if (!*unborn) return damage(segments_[index], 0);
    return false;
  }
  scan_.emplace(std::move(*scan));
  index_ = index;
  return true;
}

Result<bool> StreamWalk::seek(tracker::Lsn after) {
  scan_.reset();
  for (std::size_t i = segments_.size(); i-- > 0 && !scan_;) {
    const auto header = SegmentScan::read_header(directory_->disk(), path_of(segments_[i]), stream_, segments_[i]);
    if (!header && header.error() != Errc::corrupt) return failure(header.error());
    // A bad header is met again, and judged, by walking up to it from the segment before.
    if (!header || header->first > after + 1) continue;
    const auto opened = open_segment(i);
    if (!opened) return failure(opened.error());
  }
  if (!scan_) {
    const auto lowest = first();
    if (!lowest) return failure(lowest.error());
    if (*lowest > after + 1) return Errc::not_found;
    return after == 0;
  }
  while (lsn() < after) {
    const auto found = next();
    if (!found) return failure(found.error());
    if (!*found) return false;
  }
  return true;
}

Result<bool> StreamWalk::resume(const Place& place) {
  const auto found = std::lower_bound(segments_.begin(), segments_.end(), place.segment);
  if (found == segments_.end() || *found != place.segment) return seek(place.lsn);
  const auto opened = open_segment(static_cast<std::size_t>(found - segments_.begin()));
  if (!opened) return failure(opened.error());
  if (*opened) scan_->resume(place.offset, place.lsn, place.chain);
  return *opened;
}

Result<bool> StreamWalk::next_segment() {
  while (scan_) {
    if (scan_->error()) return failure(scan_->error());
    const auto more = end_of_segment();
    if (!more) return failure(more.error());
    if (!*more) return false;
    if (scan_->next()) return true;
  }
  return false;
}

/// True: goes on in the next segment. False: the stream ends here.
Result<bool> StreamWalk::end_of_segment() {
  const auto last = scan_->lsn();
  const auto chain = scan_->chain();
  const auto offset = scan_->offset();
  const auto number = segments_[index_];
  if (index_ + 1 < segments_.size()) {
    const auto following = segments_[index_ + 1];
    if (following != number + 1) return damage(number + 1, 0);
    const auto header = SegmentScan::read_header(directory_->disk(), path_of(following), stream_, following);
    if (header) {
      if (header->first != last + 1 || header->chain != chain) return damage(number, offset);
      return open_segment(index_ + 1);
    }
    if (header.error() != Errc::corrupt) return failure(header.error());
    const auto unborn = is_unborn(index_ + 1);
    if (!unborn) return failure(unborn.error());
    if (!*unborn) return damage(following, 0);
  }
  const auto damaged = scan_->is_damaged();
  if (!damaged) return failure(damaged.error());
  if (*damaged) return damage(number, offset);
  return false;
}

Result<bool> StreamWalk::has_remains() {
  if (!scan_) return !segments_.empty();
  return scan_->has_remains();
}

Place StreamWalk::place() const {
  if (!scan_) return {};
  return {stream_, segments_[index_], scan_->offset(), scan_->lsn(), scan_->chain()};
}

}  // namespace tally::journal::detail
