// Seeded random histories of one or two replicas against the store's rules: every acknowledged increment must be in
// exactly one period, and a period's ids must be the union of the ids of the increments that it counts. TALLY_SEED and
// TALLY_HISTORIES (environment) repeat one seed or run more.

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "tests/support/connections.hpp"
#include "tests/support/memory_journal.hpp"
#include "tests/support/memory_store.hpp"
#include "tests/support/payloads.hpp"
#include "tracker/stream_flush.hpp"

namespace tally::tracker {
namespace {

using test::id;
using Do = StreamFlush::Do;

struct Reached {
  StreamFlush::Counts counts;
  std::uint64_t late_commits = 0, closes = 0, restarts = 0, keyed = 0, key_twice = 0, connection_key_twice = 0;
};

constexpr AccumulatorLimits kLimits{.ids = 40, .effects = 6, .effect_ids = 40, .connection_bytes = 2'000};

/// One process: shards, journal and the machine of its stream. What is dead leaves its journal to a drainer.
struct Process {
  StreamId stream;
  test::MemoryJournal journal;
  std::array<Shard, 2> shards{Shard(kLimits), Shard(kLimits)};
  std::uint64_t epoch = 1;
  Lsn cut_at = 0;
  StreamFlush flush;
  bool dead = false;

  explicit Process(StreamId id) : stream(id), flush(id, StreamFlush::Owner::this_process) {}
};

class History {
 public:
  explicit History(std::uint64_t seed) : random_(seed) {
    start();
    start();
  }

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) step();
    settle();
  }

  Reached reached;

 private:
  std::uint64_t draw(std::uint64_t below) { return random_() % below; }
  bool chance(std::uint64_t one_in) { return draw(one_in) == 0; }

  void start() { processes_.push_back(std::make_unique<Process>(StreamId{id(1000 + processes_.size())})); }

  void step() {
    Process& process = *processes_[draw(processes_.size())];
    switch (draw(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return append(process);
      case 4:
        return cut(process);
      case 5:
        if (chance(3)) close();
        return;
      case 6:
        if (chance(10)) kill(process);
        return;
      case 7:
        return commit_a_late_one();
      default:
        return drive(process, true);
    }
  }

  void append(Process& process) {
    if (process.dead) return;
    Append append;
    if (chance(4)) {
      append.type = RecordType::connection;
      append.payload = connections();
      append.lsn = process.journal.append(append.type, append.payload);
      return process.shards[draw(2)].track(append);
    }
    std::vector<Increment> increments;
    for (std::uint64_t i = 0; i <= draw(3); ++i)
      increments.push_back({id(draw(12)), id(100 + draw(6)), draw(5), draw(3)});
    if (chance(3)) {
      const Uuid key = id(5000 + draw(40));
      append.type = RecordType::boundary_keyed;
      // The same key always carries the same body, drawn from the key.
      std::mt19937_64 body(key.low());
      increments = {{id(body() % 12), id(100 + body() % 6), body() % 5, 1}};
      append.payload = test::keyed_payload({{key, 1, increments}});
      ++reached.keyed;
      if (!keyed_.emplace(key, increments.front()).second) ++reached.key_twice;
    } else {
      append.type = RecordType::boundary;
      append.payload = test::boundary_payload(increments);
      for (const auto& one : increments) {
        acknowledged_allowed_ += one.allowed;
        acknowledged_denied_ += one.denied;
      }
    }
    append.lsn = process.journal.append(append.type, append.payload);
    process.shards[draw(2)].track(append);
  }

  /// Some events, or one under a key, and what the log must say of them in the end.
  std::string connections() {
    std::vector<ConnectionEvent> events;
    if (chance(3)) {
      const Uuid key = id(6000 + draw(20));
      std::mt19937_64 body(key.low());  // the same key always carries the same events
      events = {test::random_connection_event(body), test::random_connection_event(body)};
      if (!connection_keys_.insert(key).second) ++reached.connection_key_twice;
      expect(events);
      return test::keyed_connection_payload(key, 1, events);
    }
    for (std::uint64_t i = 0; i <= draw(3); ++i) events.push_back(test::random_connection_event(random_, 8));
    expect(events);
    return test::connection_payload(events);
  }

  void expect(const std::vector<ConnectionEvent>& events) {
    for (const ConnectionEvent& event : events) {
      const auto [held, fresh] = expected_connections_.try_emplace(event.entry, to_entry(event));
      if (!fresh) tracker::join(held->second, to_entry(event));
      ++connection_events_;
    }
  }

  void cut(Process& process) {
    if (process.dead || !process.flush.idle()) return;
    if (process.flush.wants_new_epoch()) {
      ++process.epoch;
      process.flush.new_epoch_asked();
    }
    std::vector<Shard::Part> parts;
    for (Shard& shard : process.shards) parts.push_back(shard.cut(process.epoch));
    const Lsn from = std::exchange(process.cut_at, process.journal.last());
    process.flush.gathered(join(std::move(parts), from,
                                Cut{.stream = process.stream, .upto = process.cut_at, .chain = process.journal.chain()},
                                8));
  }

  void close() {
    ++store_.clock;
    ++reached.closes;
  }

  void kill(Process& process) {
    if (process.dead) return;
    collect(process);
    process.dead = true;
    process.flush = StreamFlush(process.stream, StreamFlush::Owner::another);
    process.flush.durable(process.journal.last());
    ++reached.restarts;
    start();
  }

  /// A request that was sent and whose sender has long given up reaches the database now (fault "late").
  void commit_a_late_one() {
    if (in_flight_.empty()) return;
    const std::size_t which = draw(in_flight_.size());
    const auto answer = store_.flush(in_flight_[which]);
    if (answer && answer->applied) ++reached.late_commits;
    in_flight_.erase(in_flight_.begin() + static_cast<std::ptrdiff_t>(which));
  }

  void drive(Process& process, bool faults) {
    StreamFlush& flush = process.flush;
    const auto action = flush.next();
    if (faults && chance(8) && action.what != Do::nothing && action.what != Do::read_journal &&
        action.what != Do::check_chain && action.what != Do::find_registration) {
      if (action.what == Do::send && chance(2)) {
        if (chance(2))
          in_flight_.push_back(flush.batch());  // may commit at any later time
        else
          (void)store_.flush(flush.batch());  // committed, the answer was lost
        return flush.failed(Errc::outcome_unknown);
      }
      return flush.failed(chance(2) ? Errc::store_unavailable : Errc::serialization);
    }
    switch (action.what) {
      case Do::nothing:
        return;
      case Do::halt:
        FAIL() << to_string(flush.alarm());
      case Do::set_aside:
        FAIL() << "nothing is refused here";
      case Do::read_row:
        return flush.row(store_.read(process.stream));
      case Do::find_registration: {
        bool found = false;
        for (Lsn lsn = 1; lsn <= process.journal.last(); ++lsn)
          found = found || process.journal.at(lsn).type == RecordType::registered;
        return flush.registration(found);
      }
      case Do::register_stream:
        store_.streams.try_emplace(process.stream);
        if (!process.dead) {
          Append record;
          record.type = RecordType::registered;
          process.journal.append(record.type, {});
          process.shards[0].track(record);
        }
        return flush.registered();
      case Do::check_chain:
        return flush.chain(process.journal.chain_at(process.stream, action.upto));
      case Do::read_journal: {
        auto batch =
            rebuild_batch(process.journal, process.stream, action.from,
                          action.from ? process.journal.at(action.from).chain : 0, action.upto, action.records,
                          {.payload_bytes = 400,
                           .accumulator = {.ids = 30, .effects = 8, .effect_ids = 50, .connection_bytes = 1'500}});
        if (batch) return flush.rebuilt(std::move(*batch));
        return flush.unreadable(Errc::corrupt);
      }
      case Do::send: {
        auto answer = store_.flush(flush.batch());
        return flush.answer(*answer);
      }
    }
  }

  void settle() {
    for (const auto& process : processes_)
      for (int i = 0; i < 2000 && !testing::Test::HasFatalFailure(); ++i) {
        drive(*process, false);
        if (process->flush.idle()) {
          if (process->dead || process->cut_at == process->journal.last()) break;
          cut(*process);
        }
      }
    while (!in_flight_.empty()) commit_a_late_one();  // zombies come last and must do nothing
    check_all();
  }

  void check_all() {
    Sum allowed = 0, denied = 0;
    for (const auto& [period, sums] : store_.periods) {
      allowed += sums.allowed;
      denied += sums.denied;
    }
    for (const auto& [key, one] : keyed_) {
      acknowledged_allowed_ += one.allowed;
      acknowledged_denied_ += one.denied;
      EXPECT_TRUE(store_.keys.contains(key));
    }
    EXPECT_EQ(to_string(allowed), to_string(acknowledged_allowed_));
    EXPECT_EQ(to_string(denied), to_string(acknowledged_denied_));
    for (const auto& process : processes_) {
      EXPECT_EQ(process->flush.applied(), process->journal.last()) << "something is stuck";
      collect(*process);
    }
    check_unions();
    EXPECT_TRUE(store_.connections == expected_connections_);
    EXPECT_EQ(store_.connection_events, connection_events_);
  }

  /// Replays every stream's records into the periods in which the store applied them, and compares the unions.
  void check_unions() {
    std::map<PeriodId, std::pair<std::set<Uuid>, std::set<Uuid>>> expected;
    std::set<Uuid> keys_seen;
    for (const auto& entry : store_.history()) {
      for (const auto& process : processes_) {
        if (process->stream != entry.stream) continue;
        for (Lsn lsn = entry.from + 1; lsn <= entry.to; ++lsn) {
          const auto& record = process->journal.at(lsn);
          const auto bytes = std::as_bytes(std::span(record.payload));
          std::size_t at = 0;
          std::uint32_t count = 0;
          if (record.type == RecordType::registered || record.type == RecordType::connection) continue;
          decode_u32(bytes, at, count);
          if (record.type == RecordType::boundary_keyed) {
            Uuid key;
            std::uint64_t body = 0;
            decode_uuid(bytes, at, key);
            decode_u64(bytes, at, body);
            decode_u32(bytes, at, count);
            if (!keys_seen.insert(key).second) continue;
          }
          Increment increment;
          for (std::uint32_t i = 0; i < count; ++i) {
            decode_increment(bytes, at, increment);
            expected[entry.period].first.insert(increment.workspace);
            expected[entry.period].second.insert(increment.owner);
          }
        }
      }
    }
    for (const auto& [period, sums] : store_.periods) {
      EXPECT_EQ(sums.workspaces, expected[period].first) << "period " << period;
      EXPECT_EQ(sums.users, expected[period].second) << "period " << period;
    }
  }

  void collect(const Process& process) {
    const auto& from = process.flush.counts();
    auto& to = reached.counts;
    to.confirmed += from.confirmed;
    to.refused_guard += from.refused_guard;
    to.refused_cas += from.refused_cas;
    to.unknown_applied += from.unknown_applied;
    to.unknown_not_applied += from.unknown_not_applied;
    to.rebuilt += from.rebuilt;
  }

  std::mt19937_64 random_;
  test::MemoryStore store_;
  std::vector<std::unique_ptr<Process>> processes_;
  std::vector<FlushBatch> in_flight_;
  Sum acknowledged_allowed_ = 0, acknowledged_denied_ = 0;
  std::map<Uuid, Increment> keyed_;
  std::map<Uuid, ConnectionEntry> expected_connections_;
  std::set<Uuid> connection_keys_;
  std::uint64_t connection_events_ = 0;
};

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(FlushHistory, EveryAcknowledgedIncrementIsInExactlyOnePeriodWithItsIds) {
  const std::uint64_t first = from_environment("TALLY_SEED", 1);
  const std::uint64_t histories = from_environment("TALLY_HISTORIES", std::getenv("TALLY_SEED") ? 1 : 400);
  Reached all;
  for (std::uint64_t seed = first; seed < first + histories; ++seed) {
    SCOPED_TRACE("TALLY_SEED=" + std::to_string(seed));
    History history(seed);
    history.run(300);
    if (HasFailure()) return;
    const auto& counts = history.reached.counts;
    all.counts.confirmed += counts.confirmed;
    all.counts.refused_guard += counts.refused_guard;
    all.counts.refused_cas += counts.refused_cas;
    all.counts.unknown_applied += counts.unknown_applied;
    all.counts.unknown_not_applied += counts.unknown_not_applied;
    all.counts.rebuilt += counts.rebuilt;
    all.late_commits += history.reached.late_commits;
    all.closes += history.reached.closes;
    all.restarts += history.reached.restarts;
    all.key_twice += history.reached.key_twice;
    all.connection_key_twice += history.reached.connection_key_twice;
  }
  if (histories < 100) return;
  // The generator really got to the places where a rule matters.
  EXPECT_GT(all.counts.confirmed, 1000u);
  EXPECT_GT(all.counts.refused_guard, 100u);
  EXPECT_GT(all.counts.refused_cas, 20u);
  EXPECT_GT(all.counts.unknown_applied, 100u);
  EXPECT_GT(all.counts.unknown_not_applied, 100u);
  EXPECT_GT(all.late_commits, 20u);
  EXPECT_GT(all.restarts, 100u);
  EXPECT_GT(all.key_twice, 100u);
  EXPECT_GT(all.connection_key_twice, 100u);
}

}  // namespace
}  // namespace tally::tracker
