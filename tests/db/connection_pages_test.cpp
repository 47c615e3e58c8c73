#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "authz/scope.hpp"
#include "authz/subject.hpp"
#include "db/connection_log.hpp"
#include "db/detail/connection_sql.hpp"
#include "tests/db/connection_batches.hpp"

namespace tally::db {
namespace {

using test::connection_event;
using tracker::ConnectionEvent;
using tracker::Uuid;
using Status = tracker::ConnectionStatus;

/// A log of some entries over some organizations, of which one in fifty is ongoing, and what is asked of it.
struct Asked : Counting {
  Asked() {
    database.query(R"sql(
      INSERT INTO tallyd.connection_logs (entry, id, organization_id, workspace_owner_id, workspace_id, workspace_name,
        agent_name, type, connection_id, first_connect, last_connect, disconnect, said_first)
      SELECT md5('e' || i)::uuid, md5('e' || i)::uuid, md5('o' || i % 100)::uuid, md5('w' || i % 500)::uuid,
             md5('s' || i % 2000)::uuid, 'dev', 'main', (ARRAY['ssh', 'vscode'])[1 + i % 2], md5('c' || i)::uuid,
             to_timestamp(1.7e9 + i), to_timestamp(1.7e9 + i), CASE WHEN i % 50 > 0 THEN to_timestamp(1.7e9 + i + 60) END,
             decode(md5(i::text), 'hex')
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
  ConnectionPageRequest one = all, fifty = all, typed = all, ongoing = all, owned = all, typed_of_fifty = all;
  one.rights = ConnectionRights::of(Asked::organizations({db.organization(1)}));
  std::vector<Uuid> organizations;
  for (int n = 0; n < 50; ++n) organizations.push_back(db.organization(n));
  fifty.rights = ConnectionRights::of(Asked::organizations(organizations));
  typed.filter.types = {"ssh"};
  typed_of_fifty.rights = fifty.rights;
  typed_of_fifty.filter.types = {"ssh"};
  ongoing.filter.status = ConnectionFilter::Status::ongoing;
  owned.filter.workspace_owner = "ada";
  detail::ResolvedFilter resolved;
  resolved.types = {"ssh"};
  resolved.owners = {Uuid::parse(db.database.query("SELECT md5('w1')::uuid")).value()};
  const struct {
    const ConnectionPageRequest& request;
    const char* index;
  } cases[] = {{all, "connection_logs_at"},
               {one, "connection_logs_organization"},
               {fifty, "connection_logs_organization"},
               {typed, "connection_logs_type"},
               {ongoing, "connection_logs_ongoing"},
               {typed_of_fifty, "connection_logs_organization_type"},
               {owned, "connection_logs_owner"}};
  for (const auto& [request, index] : cases) {
    const std::string plans = db.plans(request, resolved);
    EXPECT_NE(plans.find(" using " + std::string(index) + " on "), std::string::npos) << index << "\n" << plans;
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
    if (!page.next) break;
    request.after = page.next;
  }
  EXPECT_EQ(seen.size(), 400u);
}

/// Sessions of three organizations, told of in pieces.
struct Moving : Counting {
  void tell(const std::vector<ConnectionEvent>& events) {
    const tracker::Lsn at = applied(one);
    ASSERT_TRUE(flush(connections(one, at, at + 1, events)).value().applied);
  }
  static ConnectionEvent event(std::uint64_t session, Status status, std::int64_t second) {
    ConnectionEvent made = connection_event(session, status, second);
    made.organization = id(static_cast<std::uint8_t>(1 + session % 3));
    made.type = session % 2 == 0 ? "ssh" : "vscode";
    made.hash = test::content_hash(made);
    return made;
  }
  ConnectionPage page(const ConnectionPageRequest& request) { return store.run(log.page(request)).value(); }
  /// Every entry behind what `request` starts with, a page at a time; `meanwhile` runs between the pages.
  template <class Meanwhile>
  std::vector<ConnectionShown> read(ConnectionPageRequest request, Meanwhile meanwhile) {
    std::vector<ConnectionShown> all;
    for (int pages = 0; pages < 1000; ++pages) {
      const ConnectionPage found = page(request);
      all.insert(all.end(), found.entries.begin(), found.entries.end());
      if (!found.next) break;
      request.after = found.next;
      meanwhile();
    }
    return all;
  }
  static ConnectionPageRequest everything(std::int64_t limit) {
    ConnectionPageRequest request;
    request.rights = ConnectionRights::everything();
    request.limit = limit;
    return request;
  }
  ConnectionLog log{store.pool()};
};

std::vector<Uuid> ids_of(const std::vector<ConnectionShown>& entries) {
  std::vector<Uuid> ids;
  for (const ConnectionShown& entry : entries) ids.push_back(entry.place.entry);
  return ids;
}

// CL-23: an entry known by its disconnect alone moves back when its connect comes in.
TEST(ConnectionPages, AnEntryThatMovesBackBetweenPagesIsNotRepeated) {
  Moving db;
  std::vector<ConnectionEvent> events;
  for (std::uint64_t n = 0; n < 6; ++n) events.push_back(Moving::event(n, Status::disconnected, 1000 + 10 * n));
  db.tell(events);
  int told = 0;
  const auto shown = db.read(Moving::everything(2), [&] {
    if (told++ == 0) db.tell({Moving::event(5, Status::connected, 1), Moving::event(2, Status::connected, 2)});
  });
  const auto ids = ids_of(shown);
  EXPECT_EQ(std::set<Uuid>(ids.begin(), ids.end()).size(), 6u);
  EXPECT_EQ(ids.size(), 6u) << "one twice";
  EXPECT_EQ(shown[3].connect_us, 2'000'000) << "shown where it stood, as it is now";
  EXPECT_EQ(db.page(Moving::everything(10)).entries.back().place.at_us, 1'000'000)
      << "a new first page has the new order";
}

// CL-23: and one whose disconnect turns out to be later, or not the last, moves forward.
TEST(ConnectionPages, AnEntryThatMovesForwardBetweenPagesIsNotSkipped) {
  Moving db;
  std::vector<ConnectionEvent> events;
  for (std::uint64_t n = 0; n < 6; ++n) events.push_back(Moving::event(n, Status::disconnected, 1000 + 10 * n));
  db.tell(events);
  int told = 0;
  const auto ids = ids_of(db.read(Moving::everything(2), [&] {
    if (told++ == 0) db.tell({Moving::event(0, Status::disconnected, 9000), Moving::event(1, Status::connected, 9000)});
  }));
  EXPECT_EQ(std::set<Uuid>(ids.begin(), ids.end()).size(), 6u);
  EXPECT_EQ(ids.size(), 6u);
}

TEST(ConnectionPages, AMoveThatCommitsOnlyAfterTheFirstPageIsAMoveBehindIt) {
  Moving db;
  std::vector<ConnectionEvent> events;
  for (std::uint64_t n = 0; n < 6; ++n) events.push_back(Moving::event(n, Status::disconnected, 1000 + 10 * n));
  db.tell(events);
  test::Session mover(db.database.conninfo());
  mover.query("BEGIN");
  mover.query("UPDATE tallyd.connection_logs SET first_connect = 'epoch', last_connect = 'epoch' WHERE entry IN ('" +
              events[5].entry.to_string() + "', '" + events[3].entry.to_string() + "')");
  int told = 0;
  const auto ids = ids_of(db.read(Moving::everything(2), [&] {
    if (told++ == 0) mover.query("COMMIT");
  }));
  EXPECT_EQ(std::set<Uuid>(ids.begin(), ids.end()).size(), 6u);
  EXPECT_EQ(ids.size(), 6u);
}

// CL-23: whatever comes in, and whoever reads.
TEST(ConnectionPages, WhatWasThereAtTheFirstPageIsShownExactlyOnce) {
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    SCOPED_TRACE(seed);
    Moving db;
    std::mt19937_64 random(seed);
    std::uint64_t sessions = 0;
    const auto draw = [&](std::uint64_t below) { return random() % below; };
    const auto any_event = [&](std::uint64_t session) {
      return Moving::event(session, draw(2) == 0 ? Status::connected : Status::disconnected,
                           1'000 + static_cast<std::int64_t>(draw(300)));
    };
    std::vector<ConnectionEvent> events;
    for (; sessions < 80; ++sessions) events.push_back(any_event(sessions));
    db.tell(events);

    ConnectionPageRequest request = Moving::everything(1 + static_cast<std::int64_t>(draw(9)));
    if (seed % 4 == 1) {
      request.rights = ConnectionRights{};
      request.rights.organizations = {id(1), id(3)};
    }
    if (seed % 4 == 2) request.filter.types = {"ssh", "vscode"};
    if (seed % 4 == 3) request.filter.organization = id(2);
    ConnectionPageRequest whole = request;
    whole.limit = 1000;
    const auto there = ids_of(db.page(whole).entries);
    ASSERT_GT(there.size(), 20u);

    const auto shown = ids_of(db.read(request, [&] {
      std::vector<ConnectionEvent> more;
      for (std::uint64_t n = draw(6); n > 0; --n) more.push_back(any_event(draw(3) == 0 ? sessions++ : draw(sessions)));
      if (!more.empty()) db.tell(more);
    }));
    const std::set<Uuid> once(shown.begin(), shown.end());
    EXPECT_EQ(once.size(), shown.size()) << "repeated";
    for (const Uuid& entry : there) EXPECT_TRUE(once.contains(entry)) << "skipped";
  }
}

TEST(ConnectionPages, LeaveConnectionsToFlushesHoweverManyAreAskedFor) {
  Counting db({.limit = 4});
  ConnectionLog log(db.store.pool());
  test::Session holder(db.database.conninfo());
  holder.query("BEGIN; LOCK TABLE tallyd.organizations IN ACCESS EXCLUSIVE MODE");  // which every page looks into
  ConnectionPageRequest request;
  request.rights = ConnectionRights::everything();
  std::vector<std::future<tracker::Result<ConnectionPage>>> pages;
  for (int i = 0; i < 20; ++i) pages.push_back(db.store.start(log.page(request)));
  db.database.await_lock_waits(3);
  EXPECT_TRUE(db.flush(batch(db.one, 0, 1)).value().applied);
  holder.query("COMMIT");
  for (auto& page : pages) EXPECT_TRUE(page.get());
}

TEST(ConnectionPages, OldMovesAreForgottenInChunks) {
  Moving db;
  for (std::uint64_t n = 0; n < 5; ++n) db.tell({Moving::event(n, Status::disconnected, 1000)});
  for (std::uint64_t n = 0; n < 5; ++n)
    db.tell({Moving::event(n, Status::connected, 10), Moving::event(n, Status::connected, 5)});
  const auto moves = [&] { return db.database.query("SELECT count(*) FROM tallyd.connection_log_moves"); };
  EXPECT_EQ(moves(), "5");
  const auto forget = [&](std::chrono::milliseconds age) { return db.store.run(db.log.forget_moves(age, 3)).value(); };
  EXPECT_EQ(forget(std::chrono::hours(1)), 0);
  db.database.query("UPDATE tallyd.connection_log_moves SET moved_at = now() - interval '2 h'");
  EXPECT_EQ(forget(std::chrono::hours(1)), 3);
  EXPECT_EQ(forget(std::chrono::hours(1)), 2);
  EXPECT_EQ(moves(), "0");
}

}  // namespace
}  // namespace tally::db
