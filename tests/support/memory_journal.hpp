#pragma once
#include <deque>
#include <map>

#include "tracker/ports.hpp"

namespace tally::test {

/// One stream's durable records in memory, with a chain that depends on every byte.
class MemoryJournal final : public tracker::JournalReader {
 public:
  struct Entry {
    tracker::Chain chain = 0;
    tracker::RecordType type{};
    tracker::WallTime at{};
    std::string payload;
  };

  tracker::Lsn append(tracker::RecordType type, std::string payload, tracker::WallTime at = {}) {
    const tracker::Chain before = entries_.empty() ? 0 : entries_.back().chain;
    const tracker::Chain chain = std::hash<std::string>{}(payload)*31 + before * 1099511628211ULL + 7;
    entries_.push_back({chain, type, at, std::move(payload)});
    return entries_.size();
  }
  tracker::Lsn last() const { return entries_.size(); }
  tracker::Chain chain() const { return entries_.empty() ? 0 : entries_.back().chain; }
  const Entry& at(tracker::Lsn lsn) const { return entries_[lsn - 1]; }
  /// Records up to here are gone, as after retention.
  void trim(tracker::Lsn upto) { trimmed_ = upto; }

  tracker::Result<tracker::ReadEnd> read(const tracker::StreamId&, tracker::Lsn after, tracker::Lsn upto,
                                         std::size_t max_bytes,
                                         const std::function<bool(const tracker::RecordView&)>& sink) override {
    if (after < trimmed_) return tracker::Errc::not_found;
    tracker::ReadEnd end{after, after == 0 ? 0 : at(after).chain, false};
    std::size_t bytes = 0;
    for (tracker::Lsn lsn = after + 1; lsn <= last() && lsn <= upto; ++lsn) {
      const Entry& entry = at(lsn);
      if (bytes > max_bytes ||
          !sink({lsn, entry.chain, entry.type, entry.at, std::as_bytes(std::span(entry.payload))})) {
        end.more = true;
        break;
      }
      bytes += entry.payload.size();
      end.last = lsn;
      end.chain = entry.chain;
    }
    return end;
  }

  tracker::Result<tracker::Chain> chain_at(const tracker::StreamId&, tracker::Lsn lsn) override {
    if (lsn == 0) return tracker::Chain{0};
    if (lsn < trimmed_ || lsn > last()) return tracker::Errc::not_found;
    return at(lsn).chain;
  }

 private:
  std::vector<Entry> entries_;
  tracker::Lsn trimmed_ = 0;
};

}  // namespace tally::test
