#include "tracker/connection.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/support/connections.hpp"
#include "tracker/accumulator.hpp"

namespace tally::tracker {
namespace {

using test::connection_event;
using test::connection_payload;
using test::content_hash;
using test::id;
using test::keyed_connection_payload;
using Status = ConnectionStatus;

constexpr std::int64_t kSecond = 1'000'000;

ConnectionEntry joined(std::vector<ConnectionEvent> events) {
  ConnectionEntry whole = to_entry(events.front());
  for (std::size_t i = 1; i < events.size(); ++i) join(whole, to_entry(events[i]));
  return whole;
}

ConnectionEvent disconnected(std::int64_t second, std::optional<std::int64_t> code, std::optional<std::string> reason) {
  ConnectionEvent event = connection_event(1, Status::disconnected, second);
  event.code = code;
  event.reason = std::move(reason);
  event.hash = content_hash(event);
  return event;
}

auto bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// CL-06, CL-07, CL-08: one rule, whatever the order, the grouping and the repeats.
TEST(ConnectionJoin, OrderGroupingAndRepeatsMakeNoDifference) {
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    std::vector<ConnectionEvent> events;
    for (std::uint64_t i = 0; i < 2 + seed % 5; ++i) {
      events.push_back(test::random_connection_event(random, 2));
      events.back().entry = events.back().id = id(1);
      events.back().connection = seed % 2 == 0 ? std::optional(id(2)) : std::nullopt;
    }
    const ConnectionEntry expected = joined(events);
    for (int round = 0; round < 6; ++round) {
      auto again = events;
      for (int repeats = 0; repeats < round; ++repeats) again.push_back(events[random() % events.size()]);
      std::shuffle(again.begin(), again.end(), random);
      // Groups are joined first, and then with each other.
      const std::size_t cut = 1 + random() % again.size();
      ConnectionEntry left = joined({again.begin(), again.begin() + static_cast<std::ptrdiff_t>(cut)});
      if (cut < again.size()) {
        ConnectionEntry right = joined({again.begin() + static_cast<std::ptrdiff_t>(cut), again.end()});
        join(right, std::move(left));
        ASSERT_EQ(right, expected);
      } else {
        ASSERT_EQ(left, expected);
      }
    }
  }
}

TEST(ConnectionJoin, KeepsTheEarliestConnectWhenItComesLast) {  // CL-06
  const auto entry = joined({disconnected(50, 1, "gone"), connection_event(1, Status::connected, 10)});
  EXPECT_EQ(entry.first_connect_us, 10 * kSecond);
  ASSERT_TRUE(entry.end);
  EXPECT_EQ(entry.end->time_us, 50 * kSecond);
  EXPECT_FALSE(entry.ongoing());
}

TEST(ConnectionJoin, KeepsCodeAndReasonWhenAConnectIsStampedLater) {  // CL-07
  const auto entry = joined({connection_event(1, Status::connected, 10), disconnected(20, 255, "reset"),
                             connection_event(1, Status::connected, 30)});
  ASSERT_TRUE(entry.end);
  EXPECT_EQ(entry.end->code, 255);
  EXPECT_EQ(entry.end->reason, "reset");
  EXPECT_EQ(entry.first_connect_us, 10 * kSecond);
  EXPECT_EQ(entry.last_connect_us, 30 * kSecond);
  EXPECT_TRUE(entry.ongoing()) << "it came back after the disconnect";
}

TEST(ConnectionJoin, TakesTheLatestDisconnectWithItsOwnCodeAndReason) {  // CL-08
  const auto entry = joined({disconnected(60, std::nullopt, "second"), disconnected(50, 7, "first")});
  EXPECT_EQ(entry.end->time_us, 60 * kSecond);
  EXPECT_EQ(entry.end->code, std::nullopt);
  EXPECT_EQ(entry.end->reason, "second");
}

TEST(ConnectionJoin, OfTwoDisconnectsAtOneInstantTheOneThatSaysMoreWins) {
  const auto entry = joined({disconnected(50, std::nullopt, std::nullopt), disconnected(50, 3, "known")});
  EXPECT_EQ(entry.end->code, 3);
  EXPECT_EQ(joined({disconnected(50, 3, "known"), disconnected(50, std::nullopt, std::nullopt)}), entry);
}

TEST(ConnectionJoin, NothingThatNobodySaidHasAValue) {  // CL-09
  const auto entry = joined({disconnected(50, std::nullopt, std::nullopt)});
  EXPECT_FALSE(entry.first_connect_us);
  EXPECT_FALSE(entry.last_connect_us);
  EXPECT_FALSE(entry.ip);
  EXPECT_FALSE(entry.end->code);
}

TEST(ConnectionJoin, AnExitCodeOfZeroIsAValue) {  // CL-10
  EXPECT_EQ(joined({disconnected(50, 0, std::nullopt)}).end->code, 0);
}

TEST(ConnectionJoin, LosesNothingThatEitherEventSaid) {
  auto connect = connection_event(1, Status::connected, 10);
  connect.ip = "192.0.2.7";
  connect.code = 101;
  connect.reason = "switching protocols";
  auto disconnect = disconnected(50, 0, "bye");
  disconnect.user_agent = "ssh";
  disconnect.ip = "192.0.2.99";
  disconnect.workspace_name = "renamed";
  const auto entry = joined({disconnect, connect});
  EXPECT_EQ(entry.ip->value, "192.0.2.7") << "of the earliest event that has one";
  EXPECT_EQ(entry.user_agent->value, "ssh");
  EXPECT_EQ(entry.workspace_name, "dev");
  EXPECT_EQ(entry.connect_code->value, 101);
  EXPECT_EQ(entry.connect_reason->value, "switching protocols");
  EXPECT_EQ(entry.end->code, 0) << "the end keeps its own";
}

TEST(ConnectionJoin, APointInTimeIsNeverOngoing) {
  auto point = connection_event(1, Status::connected, 10);
  point.connection.reset();
  point.code = 200;
  const auto entry = to_entry(point);
  EXPECT_FALSE(entry.ongoing());
  EXPECT_EQ(entry.first_connect_us, 10 * kSecond);
  EXPECT_EQ(entry.end->code, 200);
}

TEST(ConnectionEntries, OfAConnectionStandTogetherAndApartFromOthers) {
  std::mt19937_64 random(5);
  std::map<Uuid, Uuid> starts;
  for (int i = 0; i < 2000; ++i) {
    const Uuid connection = i % 2 == 0 ? Uuid::random() : id(static_cast<std::uint64_t>(i));
    const auto [first, last] = entries_of(connection);
    for (int agent = 0; agent < 5; ++agent) {
      Uuid entry = Uuid::random();
      const Uuid before = entry;
      mark_entry(entry, connection);
      EXPECT_LE(first, entry);
      EXPECT_LE(entry, last);
      EXPECT_TRUE(std::equal(entry.bytes.begin() + 4, entry.bytes.end(), before.bytes.begin() + 4));
    }
    starts[first] = connection;
  }
  EXPECT_GT(starts.size(), 1990u) << "few share a digest, also of those that only count up";
}

TEST(EventRank, SortsAsBytesAsItDoesAsARank) {
  std::mt19937_64 random(7);
  std::vector<EventRank> ranks;
  for (const std::int64_t time : {INT64_MIN, std::int64_t{-1}, std::int64_t{0}, std::int64_t{1}, INT64_MAX})
    for (const Status status : {Status::connected, Status::disconnected})
      for (int i = 0; i < 3; ++i) ranks.push_back({time, status, id(random())});
  for (const EventRank& a : ranks)
    for (const EventRank& b : ranks) EXPECT_EQ(a < b, a.to_bytes() < b.to_bytes());
}

TEST(ConnectionRecord, GivesBackWhatWasPutIn) {
  std::mt19937_64 random(1);
  std::vector<ConnectionEvent> events;
  for (int i = 0; i < 200; ++i) events.push_back(test::random_connection_event(random));
  std::vector<ConnectionEvent> read;
  std::vector<std::uint32_t> counts;
  const std::string payload = connection_payload(events);
  EXPECT_FALSE(has_keys(bytes(payload)));
  ASSERT_TRUE(for_each_connection(
      bytes(payload),
      [&](const std::optional<GroupKey>& key, std::uint32_t count) {
        EXPECT_FALSE(key);
        counts.push_back(count);
      },
      [&](const ConnectionEvent& event) { read.push_back(event); }));
  EXPECT_EQ(read, events);
  EXPECT_EQ(counts, std::vector<std::uint32_t>{200});
}

TEST(ConnectionRecord, KeepsEachKeyWithItsEvents) {
  std::string payload;
  ConnectionEncoder encoder(payload);
  encoder.begin_effect(id(1), 11);
  encoder.add(connection_event(1, Status::connected, 1));
  encoder.begin_effect(id(2), 22);
  encoder.add(connection_event(2, Status::connected, 1));
  encoder.add(connection_event(2, Status::disconnected, 2));
  encoder.finish();
  EXPECT_TRUE(has_keys(bytes(payload)));
  std::map<Uuid, std::pair<std::uint64_t, std::uint32_t>> groups;
  std::uint32_t events = 0;
  ASSERT_TRUE(for_each_connection(
      bytes(payload),
      [&](const std::optional<GroupKey>& key, std::uint32_t count) {
        groups[key.value().key] = {key->body, count};
      },
      [&](const ConnectionEvent&) { ++events; }));
  EXPECT_EQ(groups, (std::map<Uuid, std::pair<std::uint64_t, std::uint32_t>>{{id(1), {11, 1}}, {id(2), {22, 2}}}));
  EXPECT_EQ(events, 3u);
}

TEST(ConnectionRecord, ACutPayloadIsMalformedWhereverItIsCut) {
  std::mt19937_64 random(3);
  const std::string whole = keyed_connection_payload(
      id(1), 1, {test::random_connection_event(random), test::random_connection_event(random)});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    EXPECT_FALSE(for_each_connection(
        bytes(cut), [](const std::optional<GroupKey>&, std::uint32_t) {}, [](ConnectionEvent&) {}))
        << size;
  }
}

TEST(Accumulator, JoinsTheEventsOfAnEntryBeforeTheyAreSent) {  // CL-03, CL-04
  Accumulator accumulator;
  const std::string payload =
      connection_payload({connection_event(1, Status::connected, 10), disconnected(50, 0, "bye"),
                          connection_event(2, Status::connected, 11)});
  ASSERT_EQ(accumulator.add(RecordType::connection, bytes(payload), {}), Accumulator::Added::yes);
  ASSERT_EQ(accumulator.add(RecordType::connection, bytes(payload), {}), Accumulator::Added::yes);
  const FlushBatch batch = accumulator.take();
  EXPECT_EQ(batch.connections.size(), 2u);
  EXPECT_EQ(batch.connection_events, 6u);
  EXPECT_TRUE(accumulator.empty());
}

TEST(Accumulator, KeepsTheConnectionsOfAKeyApartAndDropsItsRepeats) {
  Accumulator accumulator;
  const std::string first = keyed_connection_payload(id(1), 7, {connection_event(1, Status::connected, 10)});
  const std::string other_body = keyed_connection_payload(id(1), 8, {connection_event(1, Status::disconnected, 20)});
  accumulator.add(RecordType::connection, bytes(first), {});
  accumulator.add(RecordType::connection, bytes(other_body), {});
  const FlushBatch batch = accumulator.take();
  EXPECT_TRUE(batch.connections.empty());
  ASSERT_EQ(batch.effects.size(), 1u);
  ASSERT_EQ(batch.effects[0].connections.size(), 1u);
  EXPECT_FALSE(batch.effects[0].connections[0].end);
  EXPECT_EQ(batch.connection_events, 2u);
  EXPECT_EQ(batch.repeat_conflicts, 1u);
}

TEST(Accumulator, TakesNoMoreConnectionsThanItsBoundButAlwaysOneRecord) {
  const std::string payload = connection_payload({connection_event(1, Status::connected, 10)});
  Accumulator accumulator({.connection_bytes = payload.size() * 2 - 1});
  EXPECT_EQ(accumulator.add(RecordType::connection, bytes(payload), {}), Accumulator::Added::yes);
  EXPECT_EQ(accumulator.add(RecordType::connection, bytes(payload), {}), Accumulator::Added::full);
  accumulator.take();
  EXPECT_EQ(accumulator.add(RecordType::connection, bytes(payload), {}), Accumulator::Added::yes);
}

TEST(Accumulator, TheShardsOfACutJoinTheirShareOfAnEntry) {
  Accumulator one, other;
  const std::string connect = connection_payload({connection_event(1, Status::connected, 10)});
  const std::string disconnect = connection_payload({disconnected(50, 0, "bye")});
  one.add(RecordType::connection, bytes(connect), {});
  other.add(RecordType::connection, bytes(disconnect), {});
  FlushBatch whole = one.take();
  ASSERT_TRUE(merge(whole, other.take(), 10));
  ASSERT_EQ(whole.connections.size(), 1u);
  EXPECT_EQ(whole.connections[0], joined({connection_event(1, Status::connected, 10), disconnected(50, 0, "bye")}));
  EXPECT_EQ(whole.connection_events, 2u);
}

}  // namespace
}  // namespace tally::tracker
