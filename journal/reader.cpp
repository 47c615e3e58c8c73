#include "journal/reader.hpp"

#include "journal/detail/stream_walk.hpp"
#include "journal/format.hpp"

namespace tally::journal {

using tracker::Lsn;
using tracker::ReadEnd;

struct Reader::Memory : detail::Place {};

Reader::Reader(Directory& directory) : directory_(directory), memory_(std::make_unique<Memory>()) {}
Reader::~Reader() = default;

Result<ReadEnd> Reader::read(const tracker::StreamId& stream, Lsn after, Lsn upto, std::size_t max_bytes,
                             const std::function<bool(const tracker::RecordView&)>& sink) {
  auto walk = detail::StreamWalk::open(directory_, stream);
  if (!walk) return walk.error();
  const bool goes_on = memory_->segment != 0 && memory_->stream == stream && memory_->lsn == after;
  const auto there = goes_on ? walk->resume(*memory_) : walk->seek(after);
  if (!there) return there.error();
  if (!*there) return ReadEnd{after, 0, false};

  ReadEnd end{after, walk->chain(), false};
  const auto keep = [&](std::size_t refused_bytes) {
    detail::Place place = walk->place();
    place.offset -= refused_bytes;
    place.lsn = end.last;
    place.chain = end.chain;
    static_cast<detail::Place&>(*memory_) = place;
  };
  for (std::size_t bytes = 0; end.last < upto && (bytes < max_bytes || end.last == after);) {
    const auto found = walk->next();
    if (!found) return found.error();
    if (!*found) {
      keep(0);
      return end;
    }
    const auto& record = walk->record();
    if (!sink(record)) {
      keep(kRecordHeaderBytes + record.payload.size());
      end.more = true;
      return end;
    }
    end.last = record.lsn;
    end.chain = record.chain;
    bytes += record.payload.size();
  }
  keep(0);
  end.more = true;
  return end;
}

Result<tracker::Chain> Reader::chain_at(const tracker::StreamId& stream, Lsn at) {
  auto walk = detail::StreamWalk::open(directory_, stream);
  if (!walk) return walk.error();
  if (at == 0) return tracker::Chain{0};
  if (memory_->segment != 0 && memory_->stream == stream && memory_->lsn == at) return memory_->chain;
  const auto there = walk->seek(at);
  if (!there) return there.error();
  if (!*there) return tracker::Errc::not_found;
  return walk->chain();
}

}  // namespace tally::journal
