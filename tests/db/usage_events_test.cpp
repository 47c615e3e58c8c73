#include "db/usage_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/db/batches.hpp"

namespace tally::db {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using Kind = UsageOutcome::Kind;

tracker::UsageEvent event(std::string id, std::int64_t created_us = 1'000'000) {
  tracker::UsageEvent made;
  made.id = std::move(id);
  made.type = "dc_managed_agents_v1";
  made.data = R"({"count":1})";
  made.created_us = created_us;
  made.known = true;
  return made;
}

/// Usage events in the outbox, and what moves them on.
struct Outbox : Counting {
  UsageEvents events{store.pool()};
  tracker::Lsn at = 0;

  tracker::FlushAnswer bring(std::vector<tracker::UsageEvent> made) {
    tracker::FlushBatch batch = tally::db::batch(one, at, at + 1);
    batch.increments = 0;
    batch.allowed = 0;
    batch.usage_events = made.size();
    batch.usage = std::move(made);
    ++at;
    return flush(batch).value();
  }
  std::vector<UsageEventRow> lease(const std::string& holder, std::int64_t most = 100, bool only_again = false) {
    UsageEvents::Lease wish;
    wish.holder = holder;
    wish.lasts = 15s;
    wish.most = most;
    wish.only_again = only_again;
    return store.run(events.lease(std::move(wish))).value();
  }
  std::vector<std::string> leased_ids(const std::string& holder, std::int64_t most = 100) {
    std::vector<std::string> ids;
    for (const UsageEventRow& row : lease(holder, most)) ids.push_back(row.id);
    return ids;
  }
  std::int64_t settle(const UsageEventRow& row, Kind kind, std::chrono::milliseconds wait = 0ms,
                      std::string message = "why") {
    UsageOutcome outcome;
    outcome.id = row.id;
    outcome.attempt = row.attempts;
    outcome.kind = kind;
    outcome.wait = wait;
    outcome.message = kind == Kind::published ? "" : std::move(message);
    return store.run(events.settle({outcome})).value();
  }
  std::string status(const std::string& id) {
    const std::string number = database.query("SELECT status FROM usage_events WHERE id = '" + id + "'");
    return number.empty() ? "absent" : std::string(to_string(static_cast<UsageStatus>(std::stoi(number))));
  }
  void end_leases() { database.query("UPDATE usage_events SET leased_until = now() WHERE status = 1"); }
  UsageCounts counts() { return store.run(events.counts()).value(); }
};

TEST(UsageOutbox, TakesAnIdOnceAndCountsEveryBringing) {
  Outbox db;
  EXPECT_TRUE(db.bring({event("a"), event("b")}).applied);
  EXPECT_TRUE(db.bring({event("a"), event("c")}).applied);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM usage_events"), "3");
  EXPECT_EQ(db.store.run(db.store->ledger()).value().usage_events_applied, 4);
}

TEST(UsageOutbox, TakesNothingOfAFlushThatIsRefused) {
  Outbox db;
  db.bring({event("a")});
  db.at = 0;
  EXPECT_FALSE(db.bring({event("b")}).applied);
  EXPECT_EQ(db.status("b"), "absent");
}

TEST(UsageOutbox, HoldsAnUnknownType_UP13) {
  Outbox db;
  tracker::UsageEvent unknown = event("a");
  unknown.known = false;
  db.bring({unknown});
  EXPECT_EQ(db.status("a"), "held");
  EXPECT_THAT(db.leased_ids("x"), IsEmpty());
}

TEST(UsageOutbox, LeasesTheOldestFirstAndEachToOneHolder) {
  Outbox db;
  db.bring({event("new", 3'000'000), event("old", 1'000'000), event("middle", 2'000'000)});
  EXPECT_THAT(db.leased_ids("x", 2), ElementsAre("old", "middle"));
  EXPECT_THAT(db.leased_ids("y"), ElementsAre("new"));
  EXPECT_THAT(db.leased_ids("x"), IsEmpty());
}

TEST(UsageOutbox, PassesOverWhatAnotherTransactionHolds) {
  Outbox db;
  db.bring({event("a"), event("b")});
  test::Session other(db.database.conninfo());
  other.query("BEGIN");
  other.query("SELECT * FROM tallyd.usage_events WHERE id = 'a' FOR UPDATE");
  EXPECT_THAT(db.leased_ids("x"), ElementsAre("b"));
}

TEST(UsageOutbox, ADeadHoldersEventsGoToAnotherWhenItsLeaseHasRunOut_UP01) {
  Outbox db;
  db.bring({event("a")});
  const auto first = db.lease("x");
  db.end_leases();
  const auto second = db.lease("y");
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].attempts, 2);
  EXPECT_EQ(db.settle(first[0], Kind::rejected), 0) << "its lease is another's";
  EXPECT_EQ(db.status("a"), "sending");
  EXPECT_EQ(db.settle(first[0], Kind::published), 1) << "but what was accepted was";
  EXPECT_EQ(db.settle(second[0], Kind::again), 0);
  EXPECT_EQ(db.status("a"), "published");
}

TEST(UsageOutbox, SettlesManyAtOnceEachInItsOwnWay_UP15) {
  Outbox db;
  db.bring({event("a"), event("b"), event("c"), event("d")});
  const auto rows = db.lease("x");
  std::vector<UsageOutcome> outcomes(4);
  for (std::size_t i = 0; i < 4; ++i) {
    outcomes[i].id = rows[i].id;
    outcomes[i].attempt = rows[i].attempts;
    outcomes[i].kind = static_cast<Kind>(i);
    outcomes[i].message = i == 0 ? "" : "why";
    outcomes[i].wait = 1h;
  }
  EXPECT_EQ(db.store.run(db.events.settle(outcomes)).value(), 4);
  EXPECT_EQ(db.status("a"), "published");
  EXPECT_EQ(db.status("b"), "rejected");
  EXPECT_EQ(db.status("c"), "pending");
  EXPECT_EQ(db.database.query("SELECT unknown_since IS NULL FROM usage_events WHERE id = 'c'"), "t");
  EXPECT_EQ(db.database.query("SELECT unknown_since IS NULL FROM usage_events WHERE id = 'd'"), "f");
  EXPECT_THAT(db.leased_ids("x"), IsEmpty()) << "the others wait";
  EXPECT_EQ(db.settle(rows[0], Kind::published), 0) << "known already";
}

TEST(UsageOutbox, LeasesBetweenTicksOnlyWhatWasSentBefore) {
  Outbox db;
  db.bring({event("a")});
  db.settle(db.lease("x")[0], Kind::again);
  db.bring({event("b")});
  const auto again = db.lease("x", 100, true);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].id, "a");
}

TEST(UsageOutbox, ExpiresWhatWasNeverSentAndHoldsWhatNobodyKnowsOf_UP03) {
  Outbox db;
  db.bring({event("waited"), event("unknown"), event("fresh"), event("refused")});
  for (const auto& row : db.lease("x")) {
    if (row.id == "unknown") db.settle(row, Kind::unknown);
    if (row.id == "refused") db.settle(row, Kind::again);
  }
  db.database.query(
      "UPDATE usage_events SET status = 0, unknown_since = NULL, leased_until = NULL WHERE id IN ('waited', 'fresh')");
  db.database.query("UPDATE usage_events SET received_at = now() - interval '2 h' WHERE id <> 'fresh'");
  const UsageSwept early = db.store.run(db.events.sweep(3h)).value();
  EXPECT_EQ(early.expired + early.held, 0);
  db.database.query("UPDATE usage_events SET unknown_since = now() - interval '2 h' WHERE id = 'unknown'");
  const UsageSwept swept = db.store.run(db.events.sweep(1h)).value();
  EXPECT_EQ(swept.expired, 2);
  EXPECT_EQ(swept.held, 1);
  EXPECT_EQ(db.status("waited"), "expired");
  EXPECT_EQ(db.status("refused"), "expired");
  EXPECT_EQ(db.status("unknown"), "held");
  EXPECT_EQ(db.status("fresh"), "pending");
}

TEST(UsageOutbox, HoldsNothingBackThatIsBeingSent) {
  Outbox db;
  db.bring({event("a")});
  const auto rows = db.lease("x");
  db.database.query("UPDATE usage_events SET unknown_since = now() - interval '2 h'");
  const UsageSwept swept = db.store.run(db.events.sweep(1h)).value();
  EXPECT_EQ(swept.held, 0);
  db.end_leases();
  EXPECT_EQ(db.store.run(db.events.sweep(1h)).value().held, 1);
  EXPECT_EQ(db.settle(rows[0], Kind::published), 1) << "a late answer still counts";
  EXPECT_EQ(db.status("a"), "published");
}

TEST(UsageOutbox, RequeuesWhatCameToRestAndNothingElse_UP04) {
  Outbox db;
  db.bring({event("a"), event("b"), event("c")});
  const auto rows = db.lease("x");
  db.settle(rows[0], Kind::rejected);
  db.settle(rows[1], Kind::published);
  EXPECT_EQ(db.store.run(db.events.requeue({"a", "b", "c", "absent"}, std::nullopt, "cli:me")).value(), 1);
  EXPECT_EQ(db.status("a"), "pending");
  EXPECT_EQ(db.lease("y")[0].attempts, 2) << "the fence never goes back";
  EXPECT_EQ(db.database.query("SELECT actor || ' ' || object FROM audit_log"), "cli:me a");
  EXPECT_EQ(db.store.run(db.events.requeue({}, UsageStatus::held, "cli:me")).value(), 0);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM audit_log"), "1");
}

TEST(UsageOutbox, ARefusalKeepsWhatWasUnknownBeforeItUnknown_UP03) {
  Outbox db;
  db.bring({event("a"), event("b")});
  const auto first = db.lease("x");
  db.settle(first[0], Kind::unknown);
  db.settle(first[1], Kind::refused);
  EXPECT_EQ(db.database.query("SELECT string_agg(id, ',') FROM usage_events WHERE unknown_since IS NOT NULL"), "a");
  for (const auto& row : db.lease("x")) db.settle(row, Kind::refused);
  EXPECT_EQ(db.database.query("SELECT string_agg(id, ',') FROM usage_events WHERE unknown_since IS NOT NULL"), "a");
  for (const auto& row : db.lease("x")) db.settle(row, Kind::again);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM usage_events WHERE unknown_since IS NOT NULL"), "0");
}

TEST(UsageOutbox, LeasesNothingThatIsPastItsWindow_UP03) {
  Outbox db;
  db.bring({event("old"), event("unknown"), event("fresh")});
  db.database.query("UPDATE usage_events SET received_at = now() - interval '2 h' WHERE id = 'old'");
  db.database.query("UPDATE usage_events SET unknown_since = now() - interval '2 h' WHERE id = 'unknown'");
  UsageEvents::Lease wish;
  wish.holder = "x";
  wish.lasts = 15s;
  wish.window = 1h;
  const auto rows = db.store.run(db.events.lease(std::move(wish))).value();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].id, "fresh");
}

TEST(UsageOutbox, RequeuesManyInPartsWithEveryIdOnRecord) {
  Outbox db;
  std::vector<tracker::UsageEvent> many;
  for (int i = 0; i < 1'500; ++i) many.push_back(event("e" + std::to_string(i)));
  db.bring(std::move(many));
  db.database.query("UPDATE usage_events SET status = 4");
  EXPECT_EQ(db.store.run(db.events.requeue({}, UsageStatus::expired, "cli:me")).value(), 1'500);
  EXPECT_EQ(db.database.query("SELECT sum(jsonb_array_length(detail -> 'events')) FROM audit_log"), "1500");
}

TEST(UsageOutbox, ListsPagesThatEndBehindLargeData) {
  Outbox db;
  std::vector<tracker::UsageEvent> large;
  for (int i = 0; i < 6; ++i) {
    large.push_back(event("e" + std::to_string(i)));
    large.back().data = "{\"text\":\"" + std::string(1 << 20, 'x') + "\"}";
  }
  db.bring(std::move(large));
  UsageFilter filter;
  const UsagePage first = db.store.run(db.events.list(filter)).value();
  EXPECT_EQ(first.events.size(), 4u);
  EXPECT_TRUE(first.more);
  filter.before = first.events.back().number;
  const UsagePage second = db.store.run(db.events.list(filter)).value();
  EXPECT_EQ(second.events.size(), 2u);
  EXPECT_FALSE(second.more);
}

TEST(UsageOutbox, CountsWhatWaitsAndSaysSinceWhenItFails_UP10) {
  Outbox db;
  EXPECT_EQ(db.counts().pending, 0);
  db.bring({event("a", 0), event("b")});
  EXPECT_FALSE(db.counts().failing_since_us) << "an old event alone is no alarm";
  EXPECT_LT(db.counts().oldest_pending_seconds, 60) << "by its arrival";
  for (const auto& row : db.lease("x")) db.settle(row, row.id == "a" ? Kind::again : Kind::rejected, 0ms, "oops");
  const UsageCounts counts = db.counts();
  EXPECT_EQ(counts.pending, 1);
  EXPECT_TRUE(counts.some_sent_before);
  EXPECT_EQ(counts.rejected, 1);
  EXPECT_TRUE(counts.failing_since_us);
  EXPECT_EQ(counts.last_error, "oops");
}

TEST(UsageOutbox, RemovesFinishedOnesPastTheirRetentionOnly) {
  Outbox db;
  db.bring({event("a"), event("b"), event("c")});
  const auto rows = db.lease("x");
  db.settle(rows[0], Kind::published);
  db.settle(rows[1], Kind::rejected);
  EXPECT_EQ(db.store.run(db.events.expire(1h)).value(), 0);
  db.database.query(
      "UPDATE usage_events SET settled_at = now() - interval '2 h', received_at = now() - interval '2 h'");
  EXPECT_EQ(db.store.run(db.events.expire(1h, 1)).value(), 1);
  EXPECT_EQ(db.store.run(db.events.expire(1h)).value(), 1);
  EXPECT_EQ(db.status("c"), "sending");
}

}  // namespace
}  // namespace tally::db
