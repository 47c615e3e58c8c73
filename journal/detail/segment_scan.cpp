#include "journal/detail/segment_scan.hpp"

#include <algorithm>
#include <cstring>

#include "tracker/rules.hpp"

namespace tally::journal::detail {
namespace {

using tracker::Errc;
using tracker::Lsn;

constexpr std::size_t kWindowBytes = 256u << 10;
// Bytes that the search for good records behind a bad one may checksum before it stops and says "damaged": payloads can
// be made to look like record headers, each of which would cost a checksum of up to 12 MiB.
constexpr std::uint64_t kSuspectBytes = 256u << 20;

Result<FileWindow> open_window(Disk& disk, const std::string& path) {
  auto file = disk.open(path);
  if (!file) {
    if (file.error() == boost::system::errc::no_such_file_or_directory) return Errc::not_found;
    return file.error();
  }
  const auto size = (*file)->size();
  if (!size) return size.error();
  return FileWindow(std::move(*file), *size);
}

Result<SegmentHeader> header_in(FileWindow& window, const tracker::StreamId& stream, std::uint32_t number) {
  const auto bytes = window.at(0, kSegmentHeaderBytes);
  if (!bytes) return bytes.error();
  auto header = decode_segment_header(*bytes);
  if (header && (header->stream != stream || header->number != number)) return Errc::corrupt;
  return header;
}

/// First place at or after `from` that is not zero; the size if there is none.
std::size_t skip_zeros(std::span<const std::byte> bytes, std::size_t from) {
  while (from + 8 <= bytes.size()) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + from, 8);
    if (word != 0) break;
    from += 8;
  }
  while (from < bytes.size() && bytes[from] == std::byte{0}) ++from;
  return from;
}

}  // namespace

Result<std::span<const std::byte>> FileWindow::at(std::uint64_t offset, std::size_t wanted) {
  if (offset >= size_) return std::span<const std::byte>{};
  wanted = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, size_ - offset));
  if (offset < start_ || offset + wanted > start_ + filled_) {
    const std::size_t capacity = std::max(wanted, kWindowBytes);
    if (capacity > capacity_) {
      buffer_ = std::make_unique_for_overwrite<std::byte[]>(capacity);
      capacity_ = capacity;
    }
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(capacity, size_ - offset));
    start_ = offset;
    filled_ = 0;
    const auto got = file_->read_at(offset, {buffer_.get(), length});
    if (!got) return got.error();
    filled_ = *got;
  }
  const auto skip = static_cast<std::size_t>(offset - start_);
  return std::span<const std::byte>(buffer_.get() + skip, filled_ - skip);
}

SegmentScan::SegmentScan(FileWindow window, const SegmentHeader& header, const tracker::StreamId& stream)
    : window_(std::move(window)), header_(header), seed_(crc_seed(stream)) {
  record_.lsn = header.first - 1;
  record_.chain = header.chain;
}

Result<SegmentScan> SegmentScan::open(Disk& disk, const std::string& path, const tracker::StreamId& stream,
                                      std::uint32_t number) {
  auto window = open_window(disk, path);
  if (!window) return window.error();
  const auto header = header_in(*window, stream, number);
  if (!header) return header.error();
  return SegmentScan(std::move(*window), *header, stream);
}

Result<SegmentHeader> SegmentScan::read_header(Disk& disk, const std::string& path, const tracker::StreamId& stream,
                                               std::uint32_t number) {
  auto file = disk.open(path);
  if (!file) {
    if (file.error() == boost::system::errc::no_such_file_or_directory) return Errc::not_found;
    return file.error();
  }
  std::byte bytes[kSegmentHeaderBytes];
  const auto got = (*file)->read_at(0, bytes);
  if (!got) return got.error();
  auto header = decode_segment_header(std::span(bytes).first(*got));
  if (header && (header->stream != stream || header->number != number)) return Errc::corrupt;
  return header;
}

Result<bool> SegmentScan::holds_records(Disk& disk, const std::string& path, const tracker::StreamId& stream) {
  auto window = open_window(disk, path);
  if (!window) return failure(window.error());
  SegmentScan scan(std::move(*window), SegmentHeader{.stream = stream}, stream);
  return scan.find_record_behind(0, 1, true);
}

void SegmentScan::resume(std::uint64_t offset, tracker::Lsn lsn, tracker::Chain chain) {
  offset_ = offset;
  record_.lsn = lsn;
  record_.chain = chain;
  rest_ = {};
}

bool SegmentScan::refill(std::size_t wanted) {
  const auto bytes = window_.at(offset_, wanted);
  if (!bytes) {
    error_ = bytes.error();
    return false;
  }
  rest_ = *bytes;
  return rest_.size() >= wanted;
}

bool SegmentScan::next() {
  if (rest_.size() < kRecordHeaderBytes && !refill(kRecordHeaderBytes)) return false;
  const auto header = decode_record_header(rest_.data());
  if (header.lsn != record_.lsn + 1 || header.payload_bytes > kMaxPayloadBytes) return false;
  const std::size_t size = kRecordHeaderBytes + header.payload_bytes;
  if (rest_.size() < size && !refill(size)) return false;
  const auto record = rest_.first(size);
  if (!crc_matches(record, seed_) && tracker::holds("B3.torn")) return false;
  record_.lsn = header.lsn;
  record_.chain = next_chain(record, record_.chain);
  record_.type = header.type;
  record_.appended_at = header.appended_at;
  record_.payload = record.subspan(kRecordHeaderBytes);
  rest_ = rest_.subspan(size);
  offset_ += size;
  return true;
}

Result<bool> SegmentScan::is_damaged() {
  if (!tracker::holds("B3.damage")) return false;
  rest_ = {};  // the search moves the window
  return find_record_behind(offset_ + 1, record_.lsn + 1, false);
}

Result<bool> SegmentScan::has_remains() {
  rest_ = {};
  for (std::uint64_t at = offset_; at < window_.size();) {
    const auto bytes = window_.at(at, 1);
    if (!bytes) return failure(bytes.error());
    if (bytes->empty()) break;
    if (skip_zeros(*bytes, 0) < bytes->size()) return true;
    at += bytes->size();
  }
  return false;
}

// `any`: a good record of any LSN is enough; otherwise one that was written when `missing` was already durable.
Result<bool> SegmentScan::find_record_behind(std::uint64_t from, Lsn missing, bool any) {
  std::uint64_t suspected = 0;
  std::uint64_t at = from;
  while (at + kRecordHeaderBytes <= window_.size()) {
    const auto bytes = window_.at(at, kRecordHeaderBytes);
    if (!bytes) return failure(bytes.error());
    if (bytes->size() < kRecordHeaderBytes) break;  // the file shrank
    std::uint64_t jump = 0;
    for (std::size_t i = 0; i + kRecordHeaderBytes <= bytes->size(); ++i) {
      // A record has a checksum of four bytes, of which not all should be zero: if they are, it is missed, and nothing
      // else.
      if ((*bytes)[i] == std::byte{0}) i = std::max(i + 3, skip_zeros(*bytes, i)) - 3;
      if (i + kRecordHeaderBytes > bytes->size()) break;
      const auto header = decode_record_header(bytes->data() + i);
      if (header.lsn < missing || (!any && header.lsn - missing > window_.size() / kRecordHeaderBytes)) continue;
      if (header.payload_bytes > kMaxPayloadBytes) continue;
      const std::uint64_t start = at + i;
      const std::size_t size = kRecordHeaderBytes + header.payload_bytes;
      if (start + size > window_.size()) continue;
      suspected += size;
      if (suspected > kSuspectBytes) return true;
      const auto record = window_.at(start, size);
      if (!record) return failure(record.error());
      const bool good = record->size() >= size && crc_matches(record->first(size), seed_);
      if (good && (any || (header.unsynced != kUnsyncedMany && header.lsn - header.unsynced >= missing))) return true;
      jump = start + (good ? size : 1);
      break;  // the window may have moved
    }
    at = jump != 0 ? jump : at + (bytes->size() - kRecordHeaderBytes + 1);
  }
  return false;
}

}  // namespace tally::journal::detail
