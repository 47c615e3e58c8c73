#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "journal/disk.hpp"
#include "journal/format.hpp"

namespace tally::journal::detail {

/// A window on a file that moves forward. Grows to the largest piece asked for, which the caller bounds.
class FileWindow {
 public:
  FileWindow(std::unique_ptr<File> file, std::uint64_t size) : file_(std::move(file)), size_(size) {}

  std::uint64_t size() const { return size_; }
  /// At least `wanted` bytes from `offset`, or what there is up to the end of the file. Valid until the next call.
  Result<std::span<const std::byte>> at(std::uint64_t offset, std::size_t wanted);

 private:
  std::unique_ptr<File> file_;
  std::uint64_t size_;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t capacity_ = 0;
  std::uint64_t start_ = 0;  ///< place of the buffer in the file
  std::size_t filled_ = 0;
};

/// Walks the records of one segment file; any bytes are survived, in time linear to the file (see kSuspectBytes).
class SegmentScan {
 public:
  /// Checks the header against the file's name and the stream. `corrupt`, `not_supported`, `not_found` or the disk's
  /// error.
  static Result<SegmentScan> open(Disk& disk, const std::string& path, const tracker::StreamId& stream,
                                  std::uint32_t number);
  /// Reads only the header.
  static Result<SegmentHeader> read_header(Disk& disk, const std::string& path, const tracker::StreamId& stream,
                                           std::uint32_t number);
  /// For a segment whose header is bad: does it hold any record of this stream? If not, the header was never made
  /// durable.
  static Result<bool> holds_records(Disk& disk, const std::string& path, const tracker::StreamId& stream);

  const SegmentHeader& header() const { return header_; }
  /// Moves on to the next record; false: the valid records of this segment end here, or the disk failed (`error`).
  bool next();
  boost::system::error_code error() const { return error_; }
  /// The record that `next` found. Its payload is valid until the next call of anything.
  const tracker::RecordView& record() const { return record_; }

  /// Of the last record found; one below the segment's first before that.
  tracker::Lsn lsn() const { return record_.lsn; }
  tracker::Chain chain() const { return record_.chain; }
  /// Where the next record starts.
  std::uint64_t offset() const { return offset_; }
  /// Goes on from a place where an earlier scan of the same segment stood.
  void resume(std::uint64_t offset, tracker::Lsn lsn, tracker::Chain chain);

  /// Asked where `next` said false: does a good record behind it show that the bad one had been durable?
  Result<bool> is_damaged();
  /// Asked at the same place: is there anything but zeros?
  Result<bool> has_remains();

 private:
  SegmentScan(FileWindow window, const SegmentHeader& header, const tracker::StreamId& stream);
  bool refill(std::size_t wanted);
  Result<bool> find_record_behind(std::uint64_t from, tracker::Lsn missing, bool any);

  FileWindow window_;
  SegmentHeader header_;
  std::uint32_t seed_;
  std::uint64_t offset_ = kSegmentHeaderBytes;
  tracker::RecordView record_;
  boost::system::error_code error_;
  std::span<const std::byte> rest_;  ///< what the window holds from `offset_` on; may be less than there is
};

}  // namespace tally::journal::detail
