#include "journal/stream_writer.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "tracker/rules.hpp"

namespace tally::journal {
namespace {

using boost::system::error_code;
using tracker::AppendGroup;
using tracker::Chain;
using tracker::Errc;
using tracker::Lsn;
using tracker::StreamId;

constexpr std::chrono::milliseconds kFirstRetry{100};
constexpr std::chrono::milliseconds kLongestRetry{5000};

// How far ahead of the records zeros are written. The first write to a preallocated block costs its fdatasync a commit
// of the file system's own journal; writing over zeros does not. One longer write now and then makes all others a third
// cheaper.
constexpr std::uint64_t kZeroAhead = 256u << 10;
constexpr std::uint64_t kPage = 4096;

/// What the callers of a group learn: retry later (no space), or it may have been counted (disk failed).
Errc outcome_of(error_code error) {
  namespace errc = boost::system::errc;
  const bool no_space = error == Errc::journal_full || error == errc::no_space_on_device ||
                        error == errc::file_too_large || error == error_code(EDQUOT, boost::system::system_category());
  return no_space ? Errc::journal_full : Errc::journal_failed;
}

std::size_t record_size(const tracker::Append& append) {
  return kRecordHeaderBytes + append.payload.size();
}

}  // namespace

struct StreamWriter::Stream {
  StreamId id;
  std::uint32_t seed = 0;
  std::string path;
  std::unique_ptr<Lock> lock;
  std::unique_ptr<File> file;
  std::uint32_t segment = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;  ///< where the next record goes
  std::uint64_t zeroed = 0;  ///< up to here the file has been written, not only allocated
  Lsn last = 0;              ///< last record delivered
  Chain chain = 0;           ///< at `last`
  Lsn durable = 0;
  tracker::SteadyTime sync_at{};  ///< of `interval`, while last != durable
};

/// A group in the buffer.
struct StreamWriter::Encoded {
  std::size_t to = 0;  ///< one past its last record
  std::size_t bytes = 0;
  std::size_t with_zeros = 0;
  Lsn last = 0;
  Chain chain = 0;
};

StreamWriter::StreamWriter(Directory& directory, const tracker::Clock& clock, tracker::Completions& completions,
                           WriterOptions options)
    : directory_(directory), clock_(clock), completions_(completions), options_(options) {}

StreamWriter::~StreamWriter() = default;

std::optional<StreamId> StreamWriter::stream() const {
  if (!stream_) return std::nullopt;
  return stream_->id;
}

bool StreamWriter::open() {
  if (!stream_ && !closed_) (void)make_room(0);
  return stream_ != nullptr;
}

void StreamWriter::append(AppendGroup group) {
  const std::size_t size = group.size();
  for (std::size_t at = 0; at < size;) {
    if (group[at]->payload.size() > kMaxPayloadBytes) {
      hand_back(group, at, at + 1, Errc::data_refused);
      ++at;
      continue;
    }
    if (const error_code error = closed_ ? Errc::shutting_down : make_room(record_size(*group[at]))) {
      hand_back(group, at, size, error);
      return;
    }
    const auto encoded = encode(group, at);
    write(group, at, encoded);
    at = encoded.to;
  }
}

void StreamWriter::refuse(AppendGroup group, Errc why) {
  if (!group.empty()) hand_back(group, 0, group.size(), why);
}

/// There is a stream afterwards whose segment takes this record, or an error for whoever brought it.
error_code StreamWriter::make_room(std::size_t record_bytes) {
  if (stream_ && stream_->offset + record_bytes > stream_->size) {
    if (const auto error = rotate(record_bytes)) {
      if (error == Errc::journal_full) return error;  // over the quota: the stream stays
      seal(error);
    }
  }
  if (stream_) return {};
  if (clock_.steady() < retry_at_) return outcome_of(open_error_);
  open_error_ = open_stream(record_bytes);
  if (!open_error_) {
    retry_after_ = {};
    return {};
  }
  const bool over_quota = open_error_ == Errc::journal_full;
  retry_after_ = over_quota ? kFirstRetry : std::clamp(2 * retry_after_, kFirstRetry, kLongestRetry);
  retry_at_ = clock_.steady() + retry_after_;
  if (!over_quota) directory_.observer().open_failed(open_error_, retry_after_);
  return outcome_of(open_error_);
}

error_code StreamWriter::open_stream(std::size_t record_bytes) {
  auto stream = std::make_unique<Stream>();
  stream->id = {directory_.options().make_id()};
  stream->seed = crc_seed(stream->id);
  if (!tracker::holds("M6")) continue_an_old_one(*stream);
  stream->path = directory_.stream_path(stream->id);
  if (const auto error = make_files(*stream, record_bytes)) return error;
  stream_ = std::move(stream);
  directory_.observer().stream_opened(stream_->id);
  return {};
}

/// What nobody may do (tracker/rules.hpp): go on where a dead process stopped.
void StreamWriter::continue_an_old_one(Stream& stream) {
  const auto all = directory_.streams();
  if (!all) return;
  for (const StreamInfo& info : *all) {
    const auto scan = directory_.scan(info.id, 0);
    const auto segments = directory_.segments(info.id);
    if (info.live || !scan || !segments || segments->empty()) continue;
    stream.id = info.id;
    stream.seed = crc_seed(info.id);
    stream.segment = segments->back();
    stream.last = stream.durable = scan->last;
    stream.chain = scan->chain;
  }
}

error_code StreamWriter::make_files(Stream& stream, std::size_t record_bytes) {
  Disk& disk = directory_.disk();
  if (directory_.quota().used() + directory_.options().segment_bytes > directory_.quota().max()) {
    report_full();
    return Errc::journal_full;
  }
  if (const auto made = disk.make_directory(stream.path); !made && tracker::holds("M6")) return made.error();
  const std::string lock_path = stream.path + "/lock";
  const auto error = [&]() -> error_code {
    auto lock = disk.try_lock(lock_path);
    if (!lock) return lock.error();
    stream.lock = std::move(*lock);
    if (!tracker::holds("S4.stream")) return make_segment(stream, record_bytes);
    if (const auto synced = disk.sync_directory(directory_.streams_path()); !synced) return synced.error();
    return make_segment(stream, record_bytes);
  }();
  if (error) {
    stream.lock.reset();
    (void)disk.remove(lock_path);
    (void)disk.remove_directory(stream.path);
  }
  return error;
}

/// Makes the next segment and leaves the stream in it. On an error the stream is as it was, and its current file too.
error_code StreamWriter::make_segment(Stream& stream, std::size_t record_bytes) {
  Disk& disk = directory_.disk();
  const auto size = std::max<std::uint64_t>(directory_.options().segment_bytes, kSegmentHeaderBytes + record_bytes);
  if (!directory_.quota().take(size)) {
    report_full();
    return Errc::journal_full;
  }
  const SegmentHeader header{stream.id, stream.segment + 1, stream.last + 1, stream.chain, clock_.wall()};
  const std::string path = stream.path + "/" + segment_name(header.number);
  std::byte bytes[kSegmentHeaderBytes];
  journal::encode(header, bytes);

  auto file = disk.create(path);
  const auto error = [&]() -> error_code {
    if (!file) return file.error();
    if (const auto done = (*file)->allocate(size); !done) return done.error();
    if (const auto done = (*file)->write_at(0, bytes); !done) return done.error();
    if (!tracker::holds("S4.segment")) return {};
    if (const auto done = (*file)->sync(); !done) return done.error();
    if (const auto done = disk.sync_directory(stream.path); !done) return done.error();
    return {};
  }();
  if (error) {
    // Without records in it the file means nothing: removing it only tidies up.
    if (file) {
      file->reset();
      (void)disk.remove(path);
    }
    directory_.quota().give(size);
    return error;
  }
  stream.file = std::move(*file);
  stream.segment = header.number;
  stream.size = size;
  stream.offset = stream.zeroed = kSegmentHeaderBytes;
  is_full_ = false;
  directory_.report_quota();
  return {};
}

/// `journal_full`: over the quota, nothing changed. Any other error: the stream cannot go on.
error_code StreamWriter::rotate(std::size_t record_bytes) {
  // A segment that has a successor must hold all its records, whatever the sync mode: a reader takes it for damaged
  // otherwise.
  if (tracker::holds("S4.rotate"))
    if (const auto error = sync()) return error;
  return make_segment(*stream_, record_bytes);
}

void StreamWriter::report_full() {
  if (!is_full_) directory_.report_quota(true);
  is_full_ = true;
}

void StreamWriter::reserve(std::size_t bytes) {
  if (bytes <= buffer_bytes_) return;
  const std::size_t larger = std::max(bytes, 2 * buffer_bytes_);
  auto buffer = std::make_unique_for_overwrite<std::byte[]>(larger);
  if (buffer_) std::memcpy(buffer.get(), buffer_.get(), buffer_bytes_);
  buffer_ = std::move(buffer);
  buffer_bytes_ = larger;
}

/// As many records as go into one write. The first one fits (make_room).
StreamWriter::Encoded StreamWriter::encode(AppendGroup& group, std::size_t from) {
  const Stream& stream = *stream_;
  const auto now = clock_.wall();
  Encoded encoded{.to = from, .last = stream.last, .chain = stream.chain};
  while (encoded.to < group.size()) {
    tracker::Append& append = *group[encoded.to];
    const std::size_t size = record_size(append);
    const bool fits = stream.offset + encoded.bytes + size <= stream.size &&
                      encoded.bytes + size <= options_.max_group_bytes && append.payload.size() <= kMaxPayloadBytes;
    if (!fits && encoded.to > from) break;
    reserve(encoded.bytes + size);
    const std::span<std::byte> record(buffer_.get() + encoded.bytes, size);
    std::memcpy(record.data() + kRecordHeaderBytes, append.payload.data(), append.payload.size());
    append.stream = stream.id;
    append.lsn = ++encoded.last;
    append.appended_at = now;
    seal_record({.payload_bytes = static_cast<std::uint32_t>(append.payload.size()),
                 .lsn = append.lsn,
                 .appended_at = now,
                 .type = append.type,
                 .unsynced = static_cast<std::uint32_t>(std::min<Lsn>(append.lsn - stream.durable, kUnsyncedMany))},
                stream.seed, record);
    encoded.chain = next_chain(record, encoded.chain);
    encoded.bytes += size;
    ++encoded.to;
  }
  encoded.with_zeros = encoded.bytes;
  const auto end = stream.offset + encoded.bytes;
  if (options_.sync == SyncMode::always && end > stream.zeroed && encoded.bytes < kZeroAhead) {
    const auto zeroed = std::min(stream.size, (end + kZeroAhead) / kPage * kPage);
    encoded.with_zeros += static_cast<std::size_t>(zeroed - end);
    reserve(encoded.with_zeros);
    std::memset(buffer_.get() + encoded.bytes, 0, encoded.with_zeros - encoded.bytes);
  }
  return encoded;
}

void StreamWriter::write(AppendGroup& group, std::size_t from, const Encoded& encoded) {
  Stream& stream = *stream_;
  auto written = stream.file->write_at(stream.offset, {buffer_.get(), encoded.with_zeros});
  std::chrono::nanoseconds took{};
  if (written && options_.sync == SyncMode::always && tracker::holds("M5")) {
    const auto started = clock_.steady();
    written = stream.file->sync_data();
    took = clock_.steady() - started;
  }
  if (!written) {
    hand_back(group, from, encoded.to, Errc::journal_failed);
    if (tracker::holds("M15")) seal(written.error());
    return;
  }
  if (options_.sync == SyncMode::interval && stream.last == stream.durable)
    stream.sync_at = clock_.steady() + options_.sync_interval;
  stream.offset += encoded.bytes;
  stream.zeroed = std::max(stream.zeroed, stream.offset + encoded.with_zeros - encoded.bytes);
  stream.last = encoded.last;
  stream.chain = encoded.chain;
  if (options_.sync == SyncMode::always) stream.durable = stream.last;
  directory_.observer().group_written(encoded.to - from, encoded.bytes, took);
  hand_back(group, from, encoded.to, {});
}

/// After an error the stream must be sealed: the file may have lost what it claims to hold, and a second call may claim
/// otherwise.
error_code StreamWriter::sync() {
  Stream& stream = *stream_;
  if (stream.last == stream.durable) return {};
  const auto started = clock_.steady();
  if (const auto synced = stream.file->sync_data(); !synced) return synced.error();
  stream.durable = stream.last;
  directory_.observer().group_written(0, 0, clock_.steady() - started);
  return {};
}

void StreamWriter::seal(error_code why) {
  end_ = {.stream = stream_->id, .upto = stream_->last, .chain = stream_->chain, .ticket = 0, .sealed = true};
  stream_.reset();  // releases its lock: whoever drains may have it
  retry_at_ = {};
  directory_.observer().stream_sealed(end_.stream, end_.upto, why);
  completions_.cut(end_);
}

void StreamWriter::cut(std::uint64_t ticket) {
  if (stream_ && options_.sync == SyncMode::interval)
    if (const auto error = sync()) seal(error);
  tracker::Cut cut = end_;
  if (stream_) cut = {.stream = stream_->id, .upto = stream_->last, .chain = stream_->chain};
  cut.ticket = ticket;
  completions_.cut(cut);
}

void StreamWriter::tick() {
  if (closed_) return;
  if (!stream_) {
    (void)open();
  } else if (options_.sync == SyncMode::interval && stream_->last != stream_->durable &&
             clock_.steady() >= stream_->sync_at) {
    if (const auto error = sync()) seal(error);
  }
}

std::optional<tracker::SteadyTime> StreamWriter::next_tick() const {
  if (closed_) return std::nullopt;
  if (!stream_) return retry_at_;
  if (options_.sync == SyncMode::interval && stream_->last != stream_->durable) return stream_->sync_at;
  return std::nullopt;
}

void StreamWriter::roll(const StreamId& stream) {
  if (closed_ || !stream_ || stream_->id != stream) return;
  const auto error = sync();
  if (!error) trim_file();
  seal(error);
  (void)open();
}

/// Gives back what was allocated and not used.
void StreamWriter::trim_file() {
  if (!stream_->file->truncate(stream_->offset)) return;
  directory_.quota().give(stream_->size - stream_->offset);
  directory_.report_quota();
}

void StreamWriter::close() {
  closed_ = true;
  if (!stream_) return;
  if (const auto error = sync()) {
    seal(error);
    return;
  }
  trim_file();
  end_ = {.stream = stream_->id, .upto = stream_->last, .chain = stream_->chain, .ticket = 0, .sealed = true};
  stream_.reset();
}

void StreamWriter::hand_back(AppendGroup& group, std::size_t from, std::size_t to, error_code error) {
  const std::uint32_t first_shard = group[from]->shard;
  bool one_shard = from == 0 && to == group.size();
  for (std::size_t i = from; i < to; ++i) {
    tracker::Append& append = *group[i];
    one_shard = one_shard && append.shard == first_shard;
    append.error = error;
    if (error) {
      append.stream = {};
      append.lsn = 0;
    }
  }
  if (error) directory_.observer().refused(to - from, error);
  if (one_shard) {
    completions_.deliver(first_shard, std::exchange(group, {}));
    return;
  }
  for (std::size_t i = from; i < to; ++i) {
    const std::size_t shard = group[i]->shard;
    if (shard >= by_shard_.size()) by_shard_.resize(shard + 1);
    if (by_shard_[shard].empty()) by_shard_[shard].reserve(to - from);
    by_shard_[shard].push_back(std::move(group[i]));
  }
  for (std::size_t shard = 0; shard < by_shard_.size(); ++shard) {
    if (by_shard_[shard].empty()) continue;
    completions_.deliver(static_cast<std::uint32_t>(shard), std::exchange(by_shard_[shard], {}));
  }
}

}  // namespace tally::journal
