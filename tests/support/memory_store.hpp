#pragma once
#include <map>
#include <set>

#include "tracker/ports.hpp"

namespace tally::test {

/// The database as accounting.md section 5 describes it, in memory and one statement at a time: what PgStore's
/// statement must mean. Every applied batch is kept as multiplicities, so that a loss cannot cancel a double count.
class MemoryStore {
 public:
  struct Period {
    tracker::Sum allowed = 0, denied = 0, dup_allowed = 0, dup_denied = 0;
    std::set<tracker::Uuid> workspaces, users;
  };

  tracker::PeriodId clock = 1;
  std::map<tracker::StreamId, tracker::StreamRow> streams;
  std::map<tracker::PeriodId, Period> periods;
  std::map<tracker::Uuid, std::uint64_t> keys;
  std::map<tracker::Uuid, tracker::ConnectionEntry> connections;
  std::uint64_t connection_events = 0;
  /// Answers data_refused for batches that hold this workspace.
  std::optional<tracker::Uuid> poison;

  tracker::Result<tracker::FlushAnswer> flush(const tracker::FlushBatch& batch) {
    tracker::FlushAnswer answer;
    answer.clock = clock;
    const auto found = streams.find(batch.stream);
    if (found == streams.end()) return answer;
    tracker::StreamRow& row = found->second;
    answer.ids_epoch = row.ids_epoch;
    if (row.applied_lsn != batch.from || row.chain != batch.chain_from || row.state != tracker::StreamState::open)
      return answer;
    if (batch.guard && *batch.guard != tracker::Guard{clock, row.ids_epoch}) return answer;
    if (poison)
      for (const auto& id : batch.workspaces)
        if (id == *poison) return tracker::Errc::data_refused;

    Period& period = periods[clock];
    period.allowed += batch.allowed;
    period.denied += batch.denied;
    period.dup_allowed += batch.repeat_allowed;
    period.dup_denied += batch.repeat_denied;
    period.workspaces.insert(batch.workspaces.begin(), batch.workspaces.end());
    period.users.insert(batch.users.begin(), batch.users.end());
    for (std::uint32_t n = 0; n < batch.effects.size(); ++n) {
      const tracker::KeyedEffect& effect = batch.effects[n];
      const auto [held, fresh] = keys.emplace(effect.key, effect.body);
      (fresh ? period.allowed : period.dup_allowed) += effect.allowed;
      (fresh ? period.denied : period.dup_denied) += effect.denied;
      if (!fresh) {
        if (held->second != effect.body) ++answer.conflicts;
        continue;
      }
      answer.accepted.push_back(n);
      period.workspaces.insert(effect.workspaces.begin(), effect.workspaces.end());
      period.users.insert(effect.users.begin(), effect.users.end());
      merge(effect.connections);
    }
    merge(batch.connections);
    connection_events += batch.connection_events;
    history_.push_back({batch.stream, batch.from, batch.to, clock});
    row.applied_lsn = batch.to;
    row.chain = batch.chain_to;
    answer.applied = clock;
    return answer;
  }

  std::optional<tracker::StreamRow> read(const tracker::StreamId& stream) {
    const auto found = streams.find(stream);
    if (found == streams.end()) return std::nullopt;
    tracker::StreamRow row = found->second;
    row.clock = clock;
    return row;
  }

  struct Applied {
    tracker::StreamId stream;
    tracker::Lsn from = 0, to = 0;
    tracker::PeriodId period = 0;
  };
  /// Which records were applied in which period, in the order of their commits.
  const std::vector<Applied>& history() const { return history_; }

 private:
  void merge(const std::vector<tracker::ConnectionEntry>& entries) {
    for (tracker::ConnectionEntry entry : entries) {
      const auto [held, fresh] = connections.try_emplace(entry.entry, entry);
      if (!fresh) join(held->second, std::move(entry));
    }
  }
  std::vector<Applied> history_;
};

}  // namespace tally::test
