#pragma once
#include <cstdint>
#include <memory>

#include "journal/directory.hpp"
#include "tracker/ports.hpp"

namespace tally::journal {

/// Reads streams back: memory bounded by one record and a window of 1 MiB, time by the size of the files, whatever
/// bytes they hold. Remembers where the last read ended, so that reading on costs nothing extra; any other start costs
/// a scan of one segment. Blocking; one thread at a time. A stream that is being appended to is read safely up to an
/// LSN that its writer delivered.
///
/// Beyond tracker/ports.hpp: damage is told to the observer too; `not_supported` (generic): a segment of a newer
/// version; errors of the disk come through unchanged. `after` past the last valid record is an empty read with `chain`
/// 0.
class Reader final : public tracker::JournalReader {
 public:
  /// `directory` must outlive it.
  explicit Reader(Directory& directory);
  ~Reader() override;

  Result<tracker::ReadEnd> read(const tracker::StreamId& stream, tracker::Lsn after, tracker::Lsn upto,
                                std::size_t max_bytes,
                                const std::function<bool(const tracker::RecordView&)>& sink) override;
  Result<tracker::Chain> chain_at(const tracker::StreamId& stream, tracker::Lsn at) override;

 private:
  struct Memory;
  Directory& directory_;
  std::unique_ptr<Memory> memory_;  ///< where the last read ended
};

}  // namespace tally::journal
