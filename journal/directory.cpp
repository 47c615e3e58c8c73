#include "journal/directory.hpp"

#include <algorithm>
#include <stdexcept>

#include "journal/detail/stream_walk.hpp"
#include "journal/format.hpp"
#include "tracker/rules.hpp"

namespace tally::journal {
namespace {

using boost::system::errc::file_exists;
using boost::system::errc::no_such_file_or_directory;
using boost::system::errc::resource_unavailable_try_again;
using tracker::Errc;
using tracker::Lsn;
using tracker::StreamId;
using tracker::Uuid;

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw std::runtime_error("state directory " + path + ": " + what);
}

void must(const Status& status, const std::string& path, const std::string& what) {
  if (!status) fail(path, what + ": " + status.error().message());
}

std::string read_text(Disk& disk, const std::string& path, std::size_t max_bytes) {
  const auto file = disk.open(path);
  if (!file) return {};
  std::string text(max_bytes, '\0');
  const auto got = (*file)->read_at(0, std::as_writable_bytes(std::span(text)));
  text.resize(got ? *got : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

struct Segment {
  std::uint32_t number = 0;
  std::uint64_t bytes = 0;
  tracker::WallTime modified{};
};

std::string parent_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// Oldest first.
std::vector<Segment> segments_in(const std::vector<DirectoryEntry>& entries) {
  std::vector<Segment> segments;
  for (const auto& entry : entries)
    if (const auto number = segment_number(entry.name); number != 0 && !entry.is_directory)
      segments.push_back({number, entry.bytes, entry.modified});
  std::ranges::sort(segments, {}, &Segment::number);
  return segments;
}

Result<std::vector<DirectoryEntry>> list_stream(Disk& disk, const std::string& path) {
  auto entries = disk.list(path);
  if (!entries && entries.error() == no_such_file_or_directory) return Errc::not_found;
  return entries;
}

}  // namespace

Directory::Directory(Disk& disk, DirectoryOptions options, Observer& observer)
    : disk_(disk),
      options_(std::move(options)),
      observer_(observer),
      quota_(options_.max_bytes, options_.segment_bytes) {
  while (options_.path.size() > 1 && options_.path.ends_with('/')) options_.path.pop_back();
  for (const auto& path : {options_.path, streams_path()}) {
    const auto made = disk_.make_directory(path);
    if (!made && made.error() != file_exists) must(made, path, "cannot be made");
    if (made) must(disk_.sync_directory(parent_of(path)), path, "cannot be made durable");
    if (path == options_.path && options_.exclusive) take_lock();
  }
  load_replica_id();
  must(disk_.sync_directory(options_.path), options_.path, "cannot be synced");
  count_bytes();
}

void Directory::take_lock() {
  const std::string path = options_.path + "/lock";
  auto lock = disk_.try_lock(path);
  if (lock) {
    lock_ = std::move(*lock);
    return;
  }
  if (lock.error() != resource_unavailable_try_again)
    fail(options_.path, "cannot be locked: " + lock.error().message());
  const auto pid = read_text(disk_, path, 20);
  fail(options_.path,
       "in use by process " + (pid.empty() ? "(unknown)" : pid) + "; stop it, or give this one another --state-dir");
}

void Directory::load_replica_id() {
  const std::string path = options_.path + "/replica_id";
  const auto file = disk_.open(path);
  if (file) {
    const auto id = Uuid::parse(read_text(disk_, path, 64));
    if (!id) fail(options_.path, "replica_id does not hold a UUID; restore it, or remove it to become a new replica");
    replica_id_ = *id;
    return;
  }
  if (file.error() != no_such_file_or_directory) fail(options_.path, "replica_id: " + file.error().message());

  // Durable under another name first: a crash leaves a whole one or none.
  replica_id_ = options_.make_id();
  const std::string draft = path + ".new";
  (void)disk_.remove(draft);
  auto created = disk_.create(draft);
  if (!created) fail(options_.path, "replica_id cannot be made: " + created.error().message());
  const std::string text = replica_id_.to_string() + "\n";
  must((*created)->write_at(0, std::as_bytes(std::span(text))), options_.path, "replica_id cannot be written");
  must((*created)->sync(), options_.path, "replica_id cannot be synced");
  must(disk_.rename(draft, path), options_.path, "replica_id cannot be made");
}

void Directory::count_bytes() {
  const auto all = streams();
  if (!all) fail(options_.path, "streams cannot be listed: " + all.error().message());
  for (const auto& stream : *all) quota_.add(stream.bytes);
  report_quota();
}

std::string Directory::stream_path(const StreamId& stream) const {
  return streams_path() + "/" + stream.uuid.to_string();
}

Result<std::vector<std::uint32_t>> Directory::segments(const StreamId& stream) {
  const auto entries = list_stream(disk_, stream_path(stream));
  if (!entries) return entries.error();
  std::vector<std::uint32_t> numbers;
  for (const auto& segment : segments_in(*entries)) numbers.push_back(segment.number);
  return numbers;
}

Result<std::vector<StreamInfo>> Directory::streams() {
  const auto entries = disk_.list(streams_path());
  if (!entries) return entries.error();
  std::vector<StreamInfo> streams;
  for (const auto& entry : *entries) {
    const auto id = Uuid::parse(entry.name);
    if (!entry.is_directory || !id || entry.name != id->to_string()) continue;  // not ours
    StreamInfo info{.id = {*id}, .modified = entry.modified};
    const auto files = list_stream(disk_, stream_path(info.id));
    if (!files && files.error() == Errc::not_found) continue;  // removed meanwhile
    if (!files) return files.error();
    for (const auto& segment : segments_in(*files)) {
      ++info.segments;
      info.bytes += segment.bytes;
      info.modified = segment.modified;
    }
    const auto locked = disk_.is_locked(stream_path(info.id) + "/lock");
    if (!locked) return locked.error();
    info.live = *locked;
    streams.push_back(info);
  }
  return streams;
}

Result<std::unique_ptr<Lock>> Directory::claim(const StreamId& stream) {
  auto lock = disk_.try_lock(stream_path(stream) + "/lock");
  if (lock) return lock;
  if (lock.error() == resource_unavailable_try_again && !tracker::holds("M12")) return std::unique_ptr<Lock>();
  if (lock.error() == resource_unavailable_try_again) return Errc::conflict;
  if (lock.error() == no_such_file_or_directory) return Errc::not_found;
  return lock.error();
}

Result<StreamScan> Directory::scan(const StreamId& stream, Lsn applied,
                                   const std::function<void(const tracker::RecordView&)>& each) {
  auto walk = detail::StreamWalk::open(*this, stream);
  if (!walk) return walk.error();
  StreamScan scan;
  if (walk->is_empty()) return scan;

  const auto stopped_by = [&scan](boost::system::error_code error) -> Result<StreamScan> {
    if (error == Errc::corrupt)
      scan.end = StreamEnd::corrupt;
    else if (error == boost::system::errc::not_supported)
      scan.end = StreamEnd::unsupported;
    else
      return error;
    return scan;
  };
  const auto first = walk->first();
  if (!first) return stopped_by(first.error());
  scan.first = *first;
  scan.last = *first - 1;
  scan.gap = scan.last > applied;
  const auto there = walk->seek(std::max(applied, scan.last));
  scan.last = std::max(scan.last, walk->lsn());
  scan.chain = walk->chain();
  if (!there) return stopped_by(there.error());
  while (*there) {
    const auto found = walk->next();
    if (!found) {
      if (scan.records > 0) observer_.recovered(stream, scan.records);
      return stopped_by(found.error());
    }
    if (!*found) break;
    ++scan.records;
    if (each) each(walk->record());
    scan.payload_bytes += walk->record().payload.size();
    scan.last = walk->lsn();
    scan.chain = walk->chain();
  }
  const auto remains = walk->has_remains();
  if (!remains) return remains.error();
  if (*remains) scan.end = StreamEnd::torn;
  if (scan.records > 0) observer_.recovered(stream, scan.records);
  return scan;
}

Result<std::uint64_t> Directory::trim(const StreamId& stream, Lsn applied, tracker::WallTime keep_until) {
  const std::string path = stream_path(stream);
  const auto entries = list_stream(disk_, path);
  if (!entries) return entries.error();
  const auto segments = segments_in(*entries);
  std::uint64_t freed = 0;
  Status failed;
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    const auto following = segments[i + 1].number;
    const auto header =
        detail::SegmentScan::read_header(disk_, path + "/" + segment_name(following), stream, following);
    // Without a good header behind it nobody knows which LSNs a segment holds: it stays.
    if (!header || (header->first - 1 > applied && tracker::holds("M4"))) break;
    if (segments[i].modified >= keep_until && !quota_.is_short()) break;
    failed = disk_.remove(path + "/" + segment_name(segments[i].number));
    if (!failed) break;
    quota_.give(segments[i].bytes);
    freed += segments[i].bytes;
  }
  if (freed > 0) {
    if (const auto synced = disk_.sync_directory(path); !synced) failed = synced;
    report_quota();
  }
  if (!failed && freed == 0) return failed.error();
  return freed;
}

Result<bool> Directory::remove(const StreamId& stream, tracker::WallTime keep_until) {
  const std::string path = stream_path(stream);
  const auto entries = list_stream(disk_, path);
  if (!entries) return failure(entries.error());
  const auto segments = segments_in(*entries);
  if (!segments.empty() && segments.back().modified >= keep_until && !quota_.is_short()) return false;
  const auto lock = claim(stream);
  if (!lock) return failure(lock.error());

  // Oldest first: what a crash leaves is a stream whose front is gone, which is legal for one that is applied.
  for (const auto& segment : segments) {
    if (const auto removed = disk_.remove(path + "/" + segment_name(segment.number)); !removed)
      return failure(removed.error());
    quota_.give(segment.bytes);
  }
  report_quota();
  if (const auto synced = disk_.sync_directory(path); !synced) return failure(synced.error());
  if (const auto removed = disk_.remove(path + "/lock"); !removed) return failure(removed.error());
  if (const auto removed = disk_.remove_directory(path); !removed) return failure(removed.error());
  if (const auto synced = disk_.sync_directory(streams_path()); !synced) return failure(synced.error());
  return true;
}

}  // namespace tally::journal
