#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "db/connection_log.hpp"
#include "tests/db/connection_batches.hpp"

namespace tally::db {
namespace {

using test::connection_event;
using tracker::ConnectionEntry;
using tracker::ConnectionEvent;
using tracker::FlushBatch;
using tracker::Uuid;
using Status = tracker::ConnectionStatus;

std::string hex(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

template <class T>
std::string said(const std::optional<tracker::Said<T>>& value, const ConnectionEntry& entry) {
  if (!value) return "-|-";
  std::string text;
  if constexpr (std::is_same_v<T, Uuid>)
    text = value->value.to_string();
  else if constexpr (std::is_same_v<T, std::int64_t>)
    text = std::to_string(value->value);
  else
    text = value->value;
  return text + "|" + (value->by == entry.first ? "-" : hex(value->by.to_bytes()));
}

std::string number(const std::optional<std::int64_t>& value) {
  return value ? std::to_string(*value) : "-";
}

/// The row that the memory's join asks for, as `kRowText` spells it.
std::string row_text(const ConnectionEntry& entry) {
  std::string text = entry.entry.to_string() + "|" + entry.id.to_string() + "|" + entry.organization.to_string() + "|" +
                     entry.owner.to_string() + "|" + entry.workspace.to_string() + "|" + entry.workspace_name + "|" +
                     entry.agent_name + "|" + entry.type + "|";
  text += entry.connection ? entry.connection->to_string() : "-";
  text += "|" + number(entry.first_connect_us) + "|" + number(entry.last_connect_us);
  if (entry.end)
    text += "|" + std::to_string(entry.end->time_us) + "|" + number(entry.end->code) + "|" +
            entry.end->reason.value_or("-") + "|" + entry.end->hash.to_string();
  else
    text += "|-|-|-|-";
  text += "|" + hex(entry.first.to_bytes());
  text += "|" + said(entry.ip, entry) + "|" + said(entry.user_agent, entry) + "|" + said(entry.user, entry) + "|" +
          said(entry.slug_or_port, entry) + "|" + said(entry.connect_code, entry) + "|" +
          said(entry.connect_reason, entry);
  return text + "|" + (entry.ongoing() ? "1" : entry.connection ? "2" : "0");
}

constexpr const char* kRowText = R"sql(
  SELECT coalesce(string_agg(concat_ws('|', entry, id, organization_id, workspace_owner_id, workspace_id, workspace_name,
           agent_name, type, coalesce(connection_id::text, '-'),
           coalesce(((extract(epoch FROM first_connect) * 1000000)::bigint)::text, '-'),
           coalesce(((extract(epoch FROM last_connect) * 1000000)::bigint)::text, '-'),
           coalesce(((extract(epoch FROM disconnect) * 1000000)::bigint)::text, '-'), coalesce(code::text, '-'),
           coalesce(reason, '-'), coalesce(disconnect_hash::text, '-'), encode(said_first, 'hex'),
           coalesce(host(ip), '-'), coalesce(encode(ip_said, 'hex'), '-'),
           coalesce(user_agent, '-'), coalesce(encode(user_agent_said, 'hex'), '-'),
           coalesce(user_id::text, '-'), coalesce(encode(user_id_said, 'hex'), '-'),
           coalesce(slug_or_port, '-'), coalesce(encode(slug_or_port_said, 'hex'), '-'),
           coalesce(connect_code::text, '-'), coalesce(encode(connect_code_said, 'hex'), '-'),
           coalesce(connect_reason, '-'), coalesce(encode(connect_reason_said, 'hex'), '-'), state), E'\n' ORDER BY entry), '')
    FROM tallyd.connection_logs)sql";

std::string rows_text(const std::map<Uuid, ConnectionEntry>& entries) {
  std::string text;
  for (const auto& [id, entry] : entries) text += (text.empty() ? "" : "\n") + row_text(entry);
  return text;
}

void expect(std::map<Uuid, ConnectionEntry>& entries, const ConnectionEvent& event) {
  const auto [held, fresh] = entries.try_emplace(event.entry, to_entry(event));
  if (!fresh) tracker::join(held->second, to_entry(event));
}

/// A payload without a key, and some of the events in effects of their own: those meet only in the database.
std::vector<std::string> some_keyed(std::span<const ConnectionEvent> events, std::mt19937_64& random) {
  std::vector<std::string> payloads;
  std::vector<ConnectionEvent> others;
  const bool any = random() % 2 == 0;
  for (const ConnectionEvent& event : events) {
    if (any && random() % 2 == 0)
      payloads.push_back(test::keyed_connection_payload(Uuid::random(), 1, {event}));
    else
      others.push_back(event);
  }
  if (!others.empty()) payloads.push_back(test::connection_payload(others));
  return payloads;
}

// CL-06, CL-07, CL-08: the database joins as the memory does, for any order, grouping and repeats over two streams.
TEST(ConnectionRows, AreWhatTheMemoryJoinsWhateverTheOrderTheGroupingAndTheRepeats) {
  Counting db;
  db.register_stream(db.two, "replica-2");
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    db.database.query("TRUNCATE tallyd.connection_logs");
    std::mt19937_64 random(seed);
    std::map<Uuid, ConnectionEntry> expected;
    std::vector<ConnectionEvent> events;
    for (int i = 0; i < 40; ++i) events.push_back(test::random_connection_event(random, 8));
    for (int i = 0; i < 15; ++i) events.push_back(events[random() % events.size()]);
    std::shuffle(events.begin(), events.end(), random);
    for (const ConnectionEvent& event : events) expect(expected, event);
    std::map<tracker::StreamId, tracker::Lsn> at{{db.one, db.applied(db.one)}, {db.two, db.applied(db.two)}};
    for (std::size_t begin = 0; begin < events.size();) {
      const std::size_t end = std::min(events.size(), begin + 1 + random() % 12);
      const tracker::StreamId stream = random() % 2 == 0 ? db.one : db.two;
      const FlushBatch batch =
          connections(stream, at[stream], at[stream] + 1, some_keyed({&events[begin], end - begin}, random));
      ASSERT_TRUE(db.flush(batch).value().applied);
      ASSERT_FALSE(db.flush(batch).value().applied);  // sent again after a lost answer
      ++at[stream];
      begin = end;
    }
    ASSERT_EQ(db.database.query(kRowText), rows_text(expected));
  }
}

TEST(ConnectionRows, TwoEffectsOfOneBatchMaySpeakOfOneEntry) {  // CL-04
  Counting db;
  const auto connect = connection_event(1, Status::connected, 10);
  const auto disconnect = disconnected(1, 50, 0, "bye");
  const auto answer =
      db.flush(connections(db.one, 0, 3,
                           {test::keyed_connection_payload(id(1), 1, {disconnect}),
                            test::keyed_connection_payload(id(2), 1, {connect}), test::connection_payload({connect})}));
  ASSERT_TRUE(answer.value().applied);
  EXPECT_EQ(answer.value().accepted.size(), 2u);
  std::map<Uuid, ConnectionEntry> expected;
  expect(expected, connect);
  expect(expected, disconnect);
  EXPECT_EQ(db.database.query(kRowText), rows_text(expected));
}

// Whoever may write can send as many; each is an effect of its own, and none may hold up what travels with them.
TEST(ConnectionRows, AThousandEffectsOfOneSessionComeInBesideTwentyThousandOthers) {
  Counting db;
  std::vector<std::string> payloads;
  std::map<Uuid, ConnectionEntry> expected;
  for (std::uint64_t i = 0; i < 1'000; ++i) {
    const auto event = connection_event(1, Status::connected, static_cast<std::int64_t>(i));
    expect(expected, event);
    payloads.push_back(test::keyed_connection_payload(Uuid::random(), 1, {event}));
  }
  std::vector<ConnectionEvent> others;
  for (std::uint64_t i = 2; i < 20'002; ++i) others.push_back(connection_event(i, Status::connected, 10));
  payloads.push_back(test::connection_payload(others));
  const auto answer = db.flush(connections(db.one, 0, payloads.size(), payloads));
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer.value().accepted.size(), 1'000u);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM tallyd.connection_logs"), "20001");
  db.database.query("DELETE FROM tallyd.connection_logs WHERE entry <> '" + expected.begin()->first.to_string() + "'");
  EXPECT_EQ(db.database.query(kRowText), rows_text(expected));
}

TEST(ConnectionRows, AKeyThatIsTakenBringsNothing) {
  Counting db;
  db.register_stream(db.two, "replica-2");
  auto point = connection_event(1, Status::connected, 10);
  point.connection.reset();
  auto other = point;
  other.entry = other.id = id(9);
  ASSERT_TRUE(db.flush(connections(db.one, 0, 1, {test::keyed_connection_payload(id(1), 1, {point})})).value().applied);
  const auto again = db.flush(connections(db.two, 0, 1, {test::keyed_connection_payload(id(1), 2, {other})})).value();
  EXPECT_TRUE(again.applied);
  EXPECT_TRUE(again.accepted.empty());
  EXPECT_EQ(again.conflicts, 1u);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM tallyd.connection_logs"), "1");
  EXPECT_EQ(db.database.query("SELECT sum(connection_events) FROM tallyd.streams"), "2");
}

TEST(ConnectionRows, ARefusedBatchLeavesNoRow) {  // CL-17: the row and what vouches for it are one transaction
  Counting db;
  const auto event = connection_event(1, Status::connected, 10);
  EXPECT_FALSE(db.flush(connections(db.one, 5, 6, {event})).value().applied);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM tallyd.connection_logs"), "0");
  EXPECT_EQ(db.database.query("SELECT connection_events FROM tallyd.streams"), "0");
}

TEST(ConnectionRows, RequestsAndConnectionsTravelInOneStatement) {
  Counting db;
  FlushBatch both = connections(db.one, 0, 4, {connection_event(1, Status::connected, 10)});
  both.allowed = 5;
  both.increments = 1;
  both.workspaces = {id(3)};
  ASSERT_TRUE(db.flush(both).value().applied);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM tallyd.connection_logs"), "1");
  EXPECT_EQ(db.close().allowed, "5");
  EXPECT_TRUE(db.balanced());
}

TEST(ConnectionRows, WhatChangesNothingWritesNothing) {  // CL-16
  Counting db;
  const std::vector events{connection_event(1, Status::connected, 10), disconnected(1, 50, 0)};
  ASSERT_TRUE(db.flush(connections(db.one, 0, 1, events)).value().applied);
  const auto version = db.database.query("SELECT xmin FROM tallyd.connection_logs");
  ASSERT_TRUE(db.flush(connections(db.one, 1, 2, events)).value().applied);
  EXPECT_EQ(db.database.query("SELECT xmin FROM tallyd.connection_logs"), version);
}

TEST(ConnectionRows, AnotherOrganizationIsAnotherEntryAndSoAreOtherKeys) {  // CL-05
  // The entry is a hash that ingest makes; here only that rows are told apart by nothing else.
  Counting db;
  auto one = connection_event(1, Status::connected, 10);
  auto other = one;
  other.entry = other.id = id(77);
  other.workspace = id(78);
  ASSERT_TRUE(db.flush(connections(db.one, 0, 1, {one, other})).value().applied);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM tallyd.connection_logs WHERE connection_id = '" +
                              one.connection->to_string() + "'"),
            "2");
}

TEST(ConnectionRows, AConnectAndADisconnectOfOneInstantAreOver) {  // CL-27
  Counting db;
  const std::vector events{disconnected(1, 10, 0), connection_event(1, Status::connected, 10)};
  ASSERT_TRUE(db.flush(connections(db.one, 0, 1, events)).value().applied);
  EXPECT_EQ(db.database.query("SELECT state FROM tallyd.connection_logs"), "2");
}

TEST(ConnectionRows, ThirtyThousandConnectsThroughTwoStreamsMeetWithoutDeadlock) {  // CL-03, CL-04
  Counting db({.limit = 2});
  db.register_stream(db.two, "replica-2");
  constexpr std::uint64_t kSessions = 15'000, kBatch = 1'000;
  std::mt19937_64 random(1);
  for (std::uint64_t batch = 0; batch < kSessions / kBatch; ++batch) {
    // Both speak of the same sessions at the same time, each in an order of its own.
    std::vector<ConnectionEvent> begun, ended;
    for (std::uint64_t i = 0; i < kBatch; ++i) {
      begun.push_back(connection_event(batch * kBatch + i, Status::connected, 10));
      ended.push_back(disconnected(batch * kBatch + i, 20, 0));
    }
    std::shuffle(begun.begin(), begun.end(), random);
    std::shuffle(ended.begin(), ended.end(), random);
    const FlushBatch one = connections(db.one, batch, batch + 1, begun);
    const FlushBatch two = connections(db.two, batch, batch + 1, ended);
    auto first = db.store.start(db.store->flush(one));
    auto second = db.store.start(db.store->flush(two));
    const auto first_answer = first.get();
    const auto second_answer = second.get();
    ASSERT_TRUE(first_answer && first_answer->applied) << first_answer.error().message();
    ASSERT_TRUE(second_answer && second_answer->applied) << second_answer.error().message();
  }
  EXPECT_EQ(
      db.database.query("SELECT count(*) || ' ' || count(*) FILTER (WHERE state = 2) FROM tallyd.connection_logs"),
      "15000 15000");
}

TEST(ConnectionUpkeep, MarksSilentSessionsOnceAndAnEventTakesItBack) {  // CL-14
  Counting db;
  ConnectionLog log(db.store.pool());
  const auto mark = [&] { return db.store.run(log.mark_lost(std::chrono::milliseconds(1000))).value(); };
  ASSERT_TRUE(db.flush(connections(db.one, 0, 1, {connection_event(1, Status::connected, 10)})).value().applied);
  EXPECT_EQ(mark(), 0);
  db.database.query("UPDATE tallyd.connection_logs SET heard_at = now() - interval '2 s'");
  EXPECT_EQ(mark(), 1);
  EXPECT_EQ(mark(), 0);
  const auto shown = [&] {
    ConnectionPageRequest request;
    request.rights = ConnectionRights::everything();
    return db.store.run(log.page(request)).value().entries.at(0);
  };
  EXPECT_TRUE(shown().lost_us);
  EXPECT_EQ(shown().state, ConnectionShown::State::completed);
  ASSERT_TRUE(db.flush(connections(db.one, 1, 2, {connection_event(1, Status::connected, 11)})).value().applied);
  EXPECT_FALSE(shown().lost_us);
  EXPECT_EQ(shown().state, ConnectionShown::State::ongoing);
}

TEST(ConnectionPurge, RemovesWhatEndedBeforeTheRetentionInChunks) {  // CL-20
  Counting db;
  std::vector<ConnectionEvent> events;
  for (std::uint64_t i = 0; i < 10; ++i) {
    events.push_back(connection_event(i, Status::connected, 1'000'000));
    events.push_back(disconnected(i, 1'000'100));
  }
  ASSERT_TRUE(db.flush(connections(db.one, 0, 1, events)).value().applied);
  const auto now = std::stoll(db.database.query("SELECT extract(epoch FROM now())::bigint"));
  ASSERT_TRUE(db.flush(connections(db.one, 1, 2, {connection_event(50, Status::connected, now)})).value().applied);
  const auto purge = [&] { return db.database.query("SELECT tallyd.purge_connections_v1(86400, 6)"); };
  EXPECT_EQ(purge(), "6");
  EXPECT_EQ(purge(), "4");
  EXPECT_EQ(purge(), "0");
  EXPECT_EQ(db.database.query("SELECT count(*) FROM tallyd.connection_logs"), "1");
  EXPECT_EQ(db.database.query("SELECT count(*) FROM tallyd.connection_logs_purged WHERE ended"), "10");
}

TEST(ConnectionPurge, ALateDisconnectOfAPurgedConnectMakesNoRow) {  // CL-21
  Counting db;
  const auto now = std::stoll(db.database.query("SELECT extract(epoch FROM now())::bigint"));
  ASSERT_TRUE(
      db.flush(connections(db.one, 0, 1, {connection_event(1, Status::connected, now - 5000)})).value().applied);
  EXPECT_EQ(db.database.query("SELECT tallyd.purge_connections_v1(3600, 100)"), "1");
  ASSERT_TRUE(db.flush(connections(db.one, 1, 2, {disconnected(1, now)})).value().applied);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM tallyd.connection_logs"), "0");
  // One that has nothing to do with it is taken, and so is a whole session that is as old.
  ASSERT_TRUE(db.flush(connections(db.one, 2, 3, {disconnected(2, now)})).value().applied);
  ASSERT_TRUE(db.flush(connections(db.one, 3, 4,
                                   {disconnected(3, now - 4000), connection_event(3, Status::connected, now - 4500)}))
                  .value()
                  .applied);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM tallyd.connection_logs"), "2");
}

TEST(ConnectionPurge, ARepeatedDisconnectOfAPurgedSessionMakesNoRow) {  // CL-21
  Counting db;
  const auto now = std::stoll(db.database.query("SELECT extract(epoch FROM now())::bigint"));
  const std::vector events{connection_event(1, Status::connected, now - 5000), disconnected(1, now - 4000)};
  ASSERT_TRUE(db.flush(connections(db.one, 0, 1, events)).value().applied);
  EXPECT_EQ(db.database.query("SELECT tallyd.purge_connections_v1(3600, 100)"), "1");
  ASSERT_TRUE(db.flush(connections(db.one, 1, 2, {disconnected(1, now - 4000)})).value().applied);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM tallyd.connection_logs"), "0");
}

TEST(ConnectionPurge, ALaterDisconnectOfAPurgedSessionThatHadEndedMakesNoRow) {  // CL-21
  Counting db;
  const auto now = std::stoll(db.database.query("SELECT extract(epoch FROM now())::bigint"));
  const std::vector events{connection_event(1, Status::connected, now - 5000), disconnected(1, now - 4000)};
  ASSERT_TRUE(db.flush(connections(db.one, 0, 1, events)).value().applied);
  EXPECT_EQ(db.database.query("SELECT tallyd.purge_connections_v1(3600, 100)"), "1");
  ASSERT_TRUE(db.flush(connections(db.one, 1, 2, {disconnected(1, now)})).value().applied);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM tallyd.connection_logs"), "0");
}

TEST(ConnectionPurge, RemembersWhatItRemovedForLongerThanAShortRetention) {  // CL-21
  Counting db;
  const auto now = std::stoll(db.database.query("SELECT extract(epoch FROM now())::bigint"));
  ASSERT_TRUE(db.flush(connections(db.one, 0, 1,
                                   {connection_event(1, Status::connected, now - 5000),
                                    connection_event(2, Status::connected, now - 5000), disconnected(2, now - 4000)}))
                  .value()
                  .applied);
  const auto notes = [&](const std::string& age) {
    db.database.query("UPDATE tallyd.connection_logs_purged SET purged_at = now() - interval '" + age + "'");
    db.database.query("SELECT tallyd.purge_connections_v1(1, 100)");
    return db.database.query("SELECT string_agg(ended::text, ' ' ORDER BY ended) FROM tallyd.connection_logs_purged");
  };
  EXPECT_EQ(db.database.query("SELECT tallyd.purge_connections_v1(1, 100)"), "2");
  EXPECT_EQ(notes("6 days"), "false true");
  EXPECT_EQ(notes("8 days"), "false") << "one that had ended is not heard of any more";
  EXPECT_EQ(notes("89 days"), "false");
  EXPECT_EQ(notes("91 days"), "");
}

TEST(ConnectionPurge, ADisconnectThatWaitsForThePurgeOfItsSessionMakesNoRow) {  // CL-21
  Counting db;
  const auto now = std::stoll(db.database.query("SELECT extract(epoch FROM now())::bigint"));
  ASSERT_TRUE(
      db.flush(connections(db.one, 0, 1, {connection_event(1, Status::connected, now - 5000)})).value().applied);
  // Something was removed before, so that flushes look for what was.
  db.database.query("UPDATE tallyd.connection_log_purge SET purged_before = now() - interval '2 hours'");
  test::Session purge(db.database.conninfo());
  purge.query("BEGIN");
  purge.query("SELECT tallyd.purge_connections_v1(3600, 100)");
  const FlushBatch late = connections(db.one, 1, 2, {disconnected(1, now)});
  auto waiting = db.store.start(db.store->flush(late));
  db.database.await_lock_waits(1);
  purge.query("COMMIT");
  const auto answer = waiting.get();
  ASSERT_TRUE(answer.value().applied);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM tallyd.connection_logs"), "0");
}

}  // namespace
}  // namespace tally::db
