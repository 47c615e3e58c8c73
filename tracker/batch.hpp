#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracker/connection.hpp"
#include "tracker/record.hpp"
#include "tracker/usage.hpp"

namespace tally::tracker {

/// Sums of requests. 2^75 increments of the largest count fit, so a sum cannot overflow (docs/decisions/0003).
using Sum = unsigned __int128;
std::string to_string(Sum sum);
/// Of decimal digits, as the store answers whole sums; anything else in the text is passed over.
Sum parse_sum(std::string_view digits);

/// What may be left out of a flush holds only while both still say so (accounting.md F5, M9; section 7 for the epoch).
struct Guard {
  PeriodId period = 0;
  std::int64_t ids_epoch = 0;
  friend bool operator==(const Guard&, const Guard&) = default;
};

/// One keyed request or CloudEvent: its sums, its own ids and its connections are applied together, and only if the key
/// is new.
struct KeyedEffect {
  Uuid key;
  std::uint64_t body = 0;
  Sum allowed = 0;
  Sum denied = 0;
  std::uint64_t increments = 0;
  std::vector<Uuid> workspaces;
  std::vector<Uuid> users;
  std::vector<ConnectionEntry> connections;  ///< each entry once
};

/// How many increments were appended in the second that starts at `at` (the replica's own clock; for
/// `late_increments`).
struct AppendedAt {
  std::int64_t at_unix_seconds = 0;
  std::uint64_t increments = 0;
};

/// The records (from, to] of one stream, added up: what one flush statement applies.
struct FlushBatch {
  StreamId stream;
  Lsn from = 0;
  Lsn to = 0;
  Chain chain_from = 0;
  Chain chain_to = 0;
  std::optional<Guard> guard;  ///< set exactly when ids were left out

  Sum allowed = 0;  ///< of increments without a key
  Sum denied = 0;
  std::vector<Uuid> workspaces;  ///< of increments without a key; may hold repeats
  std::vector<Uuid> users;
  std::vector<KeyedEffect> effects;  ///< each key once
  Sum repeat_allowed = 0;            ///< repeats of a key that were merged away inside the batch
  Sum repeat_denied = 0;
  std::uint64_t repeat_increments = 0;
  std::uint64_t repeat_conflicts = 0;  ///< effects among the repeats that have another body

  std::vector<ConnectionEntry> connections;  ///< of events without a key; each entry once
  std::uint64_t connection_events = 0;       ///< all of them, keyed or not, repeats too

  std::vector<UsageEvent> usage;   ///< each id once
  std::uint64_t usage_events = 0;  ///< all of them, repeats too

  std::uint64_t increments = 0;  ///< all of them, keyed or not
  std::vector<AppendedAt> appended;
};

/// What the batch adds to the ledger, repeats included.
Sum all_requests(const FlushBatch& batch);

struct FlushAnswer {
  PeriodId clock = 0;                    ///< the open period that the statement saw
  std::int64_t ids_epoch = 0;            ///< of the stream; only meaningful when applied
  std::optional<PeriodId> applied;       ///< nothing: refused
  std::vector<std::uint32_t> accepted;   ///< indices into FlushBatch::effects
  std::uint64_t conflicts = 0;           ///< refused effects whose key is held by another body
  std::uint64_t fresh_usage_events = 0;  ///< usage events whose id was not there
};

enum class StreamState : std::int16_t { open = 0, drained = 1, removed = 2, given_up = 3 };

struct StreamRow {
  Lsn applied_lsn = 0;
  Chain chain = 0;
  StreamState state = StreamState::open;
  std::int64_t ids_epoch = 0;
  PeriodId clock = 0;  ///< the open period, read in the same snapshot
};

struct Report {
  PeriodId period = 0;
  std::string cluster_id;
  std::int64_t started_at_us = 0;  ///< database clock, microseconds since the Unix epoch
  std::int64_t ended_at_us = 0;
  std::int64_t replicas = 0;
  std::string allowed;  ///< decimal text: wider than 64 bits
  std::string denied;
  std::string late_increments;
  std::int64_t unique_workspaces = 0;
  std::int64_t unique_users = 0;
  bool discarded = false;
  std::string coverage = "[]";  ///< JSON: what each replica brought, and when its first and last batch were committed
  friend bool operator==(const Report&, const Report&) = default;
};

}  // namespace tally::tracker
