#include "journal/reader.hpp"

#include "journal/detail/stream_walk.hpp"

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
  detail::Place place = walk->place();
  std::size_t bytes = 0;
  for (;;) {
    if (end.last >= upto || (bytes >= max_bytes && end.last > after)) {
      end.more = true;
      break;
    }
    const auto found = walk->next();
    if (!found) return found.error();
    if (!*found) break;
    const auto record = walk->record();
    if (!sink(record)) {
      end.more = true;
      break;
    }
    end.last = record.lsn;
    end.chain = record.chain;
    bytes += record.payload.size();
    place = walk->place();
  }
  static_cast<detail::Place&>(*memory_) = place;
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
