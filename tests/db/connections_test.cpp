#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "authz/scope.hpp"
#include "authz/subject.hpp"
#include "db/connection_log.hpp"
#include "db/detail/connection_sql.hpp"
#include "tests/db/batches.hpp"
#include "tests/support/connections.hpp"
#include "tracker/accumulator.hpp"

namespace tally::db {
namespace {

using test::connection_event;
using test::content_hash;
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
          said(entry.slug_or_port, entry);
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
           coalesce(slug_or_port, '-'), coalesce(encode(slug_or_port_said, 'hex'), '-'), state), E'\n' ORDER BY entry), '')
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

/// A batch as a shard makes it of these events.
FlushBatch connections(tracker::StreamId stream, tracker::Lsn from, tracker::Lsn to,
                       const std::vector<std::string>& payloads) {
  tracker::Accumulator accumulator;
  for (const std::string& payload : payloads)
    EXPECT_EQ(accumulator.add(tracker::RecordType::connection, std::as_bytes(std::span(payload)), {}),
              tracker::Accumulator::Added::yes);
  FlushBatch made = accumulator.take();
  made.stream = stream;
  made.from = from;
  made.to = to;
  made.chain_from = chain(from);
  made.chain_to = chain(to);
  return made;
}

FlushBatch connections(tracker::StreamId stream, tracker::Lsn from, tracker::Lsn to,
                       const std::vector<ConnectionEvent>& events) {
  return connections(stream, from, to, std::vector{test::connection_payload(events)});
}

ConnectionEvent disconnected(std::uint64_t session, std::int64_t second, std::optional<std::int64_t> code = {},
                             std::optional<std::string> reason = {}) {
  ConnectionEvent event = connection_event(session, Status::disconnected, second);
  event.code = code;
  event.reason = std::move(reason);
  event.hash = content_hash(event);
  return event;
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
      const std::vector<ConnectionEvent> group(events.begin() + static_cast<std::ptrdiff_t>(begin),
                                               events.begin() + static_cast<std::ptrdiff_t>(end));
      const FlushBatch batch = connections(stream, at[stream], at[stream] + 1, group);
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

/// A log of some entries over some organizations, and what is asked of it.
struct Asked : Counting {
  Asked() {
    database.query(R"sql(
      INSERT INTO tallyd.connection_logs (entry, id, organization_id, workspace_owner_id, workspace_id, workspace_name,
        agent_name, type, connection_id, first_connect, last_connect, said_first)
      SELECT md5('e' || i)::uuid, md5('e' || i)::uuid, md5('o' || i % 100)::uuid, md5('w' || i % 500)::uuid,
             md5('s' || i % 2000)::uuid, 'dev', 'main', (ARRAY['ssh', 'vscode'])[1 + i % 2], md5('c' || i)::uuid,
             to_timestamp(1.7e9 + i), to_timestamp(1.7e9 + i), decode(md5(i::text), 'hex')
        FROM generate_series(1, 20000) i)sql");
    database.query("VACUUM ANALYZE tallyd.connection_logs");
  }
  Uuid organization(int number) {
    return Uuid::parse(database.query("SELECT md5('o" + std::to_string(number) + "')::uuid")).value();
  }
  ConnectionPage page(ConnectionPageRequest request) {
    request.count_cap = 2000;
    return store.run(log.page(std::move(request))).value();
  }
  static authz::Filter organizations(const std::vector<Uuid>& ids) {
    authz::Condition condition{authz::Condition::Kind::equals_any, authz::Column::org, {}, {}};
    for (const Uuid& id : ids) condition.values.push_back(id.to_string());
    authz::Filter filter;
    filter.any_of.emplace_back().push_back(std::move(condition));
    return filter;
  }
  /// What PostgreSQL plans for the page and for the count.
  std::string plans(const ConnectionPageRequest& request, const detail::ResolvedFilter& resolved) {
    const auto statement = detail::page_statement(request, resolved);
    const std::string explain = "EXPLAIN (COSTS OFF) " + statement.sql;
    const Query query{"explain", explain};
    const auto rows = store.run(fetch(store.pool(), query, statement.params)).value();
    std::string text;
    for (int row = 0; row < rows.size(); ++row) text += std::string(rows.text(row, 0)) + "\n";
    return text;
  }
  static boost::asio::awaitable<tracker::Result<Rows>> fetch(Pool& pool, const Query& query, const Params& params) {
    co_return co_await pool.fetch(query, params, std::chrono::seconds(10));
  }
  ConnectionLog log{store.pool()};
};

TEST(ConnectionPages, ARoleSeesItsOrganizationsAndNoOther) {
  Asked db;
  ConnectionPageRequest request;
  request.limit = 1000;
  request.rights = ConnectionRights::of(Asked::organizations({db.organization(3), db.organization(5)}));
  const auto page = db.page(request);
  EXPECT_EQ(page.entries.size(), 400u);
  EXPECT_EQ(page.count, 400);
  for (const auto& entry : page.entries)
    EXPECT_TRUE(entry.organization == db.organization(3) || entry.organization == db.organization(5));
  EXPECT_TRUE(std::is_sorted(page.entries.begin(), page.entries.end(),
                             [](const auto& a, const auto& b) { return a.place.at_us > b.place.at_us; }));
  request.filter.organization = db.organization(5);
  EXPECT_EQ(db.page(request).count, 200);
  request.filter.organization = db.organization(6);
  EXPECT_EQ(db.page(request).count, 0);
}

TEST(ConnectionPages, RightsThatAreMoreThanAListOfOrganizationsAreRendered) {
  Asked db;
  authz::Filter filter = Asked::organizations({db.organization(3)});
  authz::Condition single{authz::Condition::Kind::equals_any, authz::Column::id, {}, {}};
  single.values.push_back(db.database.query("SELECT md5('e7')::uuid"));
  filter.any_of.emplace_back().push_back(std::move(single));
  ConnectionPageRequest request;
  request.rights = ConnectionRights::of(filter);
  EXPECT_EQ(db.page(request).count, 201);
  authz::Filter all;
  EXPECT_TRUE(ConnectionRights::of(all).none());
  all.any_of.emplace_back();
  EXPECT_TRUE(ConnectionRights::of(all).all);
}

TEST(ConnectionPages, TheRightsOfAnAuditorOfFiftyOrganizationsAreTheirList) {  // CL-02
  authz::Subject subject;
  subject.id = id(1).to_string();
  subject.roles.emplace();
  subject.roles->push_back(authz::expand_role(std::string_view("member")).value());
  std::vector<Uuid> organizations;
  for (std::uint8_t n = 1; n <= 50; ++n) {
    organizations.push_back(id(n));
    subject.roles->push_back(authz::expand_role("organization-auditor:" + id(n).to_string()).value());
  }
  subject.scope = authz::expand_scope("coder:all").value();
  const auto prepared = authz::prepare(subject).value();
  auto rights = ConnectionRights::of(authz::make_filter(prepared, authz::Action::read, authz::Type::connection_log));
  EXPECT_FALSE(rights.all);
  EXPECT_FALSE(rights.other);
  std::sort(rights.organizations.begin(), rights.organizations.end());
  EXPECT_EQ(rights.organizations, organizations);
}

// CL-01, CL-02: neither a page nor its count reads the table through, whoever asks.
TEST(ConnectionPages, ReadTheFirstEntriesOfAnIndexWhateverTheRole) {
  Asked db;
  ConnectionPageRequest all;
  all.rights = ConnectionRights::everything();
  all.count_cap = 2000;
  ConnectionPageRequest one = all, fifty = all, typed = all, ongoing = all, owned = all;
  one.rights = ConnectionRights::of(Asked::organizations({db.organization(1)}));
  std::vector<Uuid> organizations;
  for (int n = 0; n < 50; ++n) organizations.push_back(db.organization(n));
  fifty.rights = ConnectionRights::of(Asked::organizations(organizations));
  typed.filter.types = {"ssh"};
  ongoing.filter.status = ConnectionFilter::Status::ongoing;
  owned.filter.workspace_owner = "ada";
  detail::ResolvedFilter resolved;
  resolved.types = {"ssh"};
  resolved.owners = {Uuid::parse(db.database.query("SELECT md5('w1')::uuid")).value()};
  const struct {
    const ConnectionPageRequest& request;
    const char* index;
  } cases[] = {
      {all, "connection_logs_at"},     {one, "connection_logs_organization"}, {fifty, "connection_logs_organization"},
      {typed, "connection_logs_type"}, {ongoing, "connection_logs_"},         {owned, "connection_logs_owner"}};
  for (const auto& [request, index] : cases) {
    const std::string plans = db.plans(request, resolved);
    EXPECT_NE(plans.find(index), std::string::npos) << plans;
    EXPECT_EQ(plans.find("Seq Scan on connection_logs"), std::string::npos) << plans;
    EXPECT_EQ(plans.find("_id)::text"), std::string::npos) << "ids are compared as uuids\n" << plans;
  }
}

TEST(ConnectionPages, GoOnBehindACursorUntilTheEnd) {
  Asked db;
  ConnectionPageRequest request;
  request.rights = ConnectionRights::of(Asked::organizations({db.organization(1), db.organization(2)}));
  request.limit = 64;
  std::set<Uuid> seen;
  for (int pages = 0; pages < 100; ++pages) {
    const auto page = db.page(request);
    for (const auto& entry : page.entries) EXPECT_TRUE(seen.insert(entry.place.entry).second) << "repeated";
    EXPECT_EQ(page.count, 400);
    if (!page.more) break;
    request.after = page.entries.back().place;
  }
  EXPECT_EQ(seen.size(), 400u);
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
  EXPECT_EQ(db.database.query("SELECT count(*) FROM tallyd.connection_logs_purged"), "0") << "they had ended";
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

}  // namespace
}  // namespace tally::db
