#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "db/connection_log.hpp"
#include "db/migrations.hpp"
#include "db/report_delivery.hpp"
#include "db/token_store.hpp"
#include "db/usage_events.hpp"
#include "db/usage_history.hpp"
#include "tests/db/batches.hpp"
#include "tests/support/connections.hpp"

namespace tally::db {
namespace {

/// A database set up by db/roles.sql as its head tells, with roles of its own.
struct Separated {
  Separated() {
    run_script();
    test::StoreUnderTest owner_store(as(owner));
    std::string why;
    if (!owner_store.run(migrate(owner_store.pool(), &why))) throw std::runtime_error(why);
    run_script();
  }
  ~Separated() {
    test::Session admin(database.conninfo());
    for (const std::string& role : {runtime, owner})
      admin.query("DROP OWNED BY " + role + " CASCADE; DROP ROLE " + role);
  }
  void run_script() {
    const std::string command = "psql -X -q -d '" + database.conninfo() + "' -v ON_ERROR_STOP=1 -v owner=" + owner +
                                " -v runtime=" + runtime + " -f " TALLYD_SOURCE_DIR "/db/roles.sql > /dev/null";
    if (std::system(command.c_str()) != 0) throw std::runtime_error("roles.sql failed");
  }
  std::string as(const std::string& role) const { return database.conninfo() + " user=" + role; }

  test::TestDatabase database{test::TestDatabase::Schema::none};
  std::string owner = "o_" + database.name();
  std::string runtime = "r_" + database.name();
};

TEST(Roles, LetTheDaemonDoAllItsWorkWithoutDdl) {
  Separated separated;
  test::StoreUnderTest store(separated.as(separated.runtime));
  EXPECT_EQ(store.run(migrate(store.pool())).value().state, SchemaState::current);
  const tracker::StreamId stream{id(1)};
  ASSERT_TRUE(store.run(store->register_stream(stream, "replica-1")));
  tracker::FlushBatch made = batch(stream, 0, 1, 5);
  made.workspaces = {id(2)};
  made.effects = {effect(id(3), 1, {id(4)})};
  made.usage = {{"event", "dc_managed_agents_v1", "{}", std::nullopt, true}};
  made.usage_events = 1;
  EXPECT_TRUE(store.run(store->flush(made)).value().applied);
  EXPECT_TRUE(store.run(store->set_aside(batch(stream, 1, 2), "raw", "why")).value());
  EXPECT_TRUE(store.run(store->heartbeat({.replica_id = "replica-1"})).value().known);
  EXPECT_EQ(store.run(store->adopt_period_length(60)).value(), 60);
  EXPECT_TRUE(store.run(store->summary()));
  EXPECT_TRUE(store.run(store->discard_replica("replica-1", "test")));
  EXPECT_TRUE(store.run(store->close(1, id(9), false)).value());
  EXPECT_TRUE(store.run(store->report(1)));
  EXPECT_TRUE(store.run(store->ledger()).value().balanced);
  EXPECT_TRUE(store.run(store->verify()).value().mismatches.empty());
  EXPECT_TRUE(store.run(store->expire_keys(std::chrono::hours(1))));
  UsageHistory history(store.pool());
  EXPECT_TRUE(store.run(history.retire_ids(std::chrono::seconds(0))).value());
  EXPECT_TRUE(store.run(history.read(0, 4'000'000'000'000'000, HistoryStep::day)));
  ReportDelivery delivery(store.pool());
  EXPECT_TRUE(store.run(delivery.lease("replica-1", std::chrono::seconds(15))).value());
  EXPECT_TRUE(store.run(delivery.delivered(1)).value());
  UsageEvents events(store.pool());
  EXPECT_EQ(store.run(events.lease({"replica-1", std::chrono::seconds(15)})).value().size(), 1u);
  EXPECT_TRUE(store.run(events.sweep(std::chrono::seconds(1))));
  EXPECT_TRUE(store.run(events.requeue({"event"}, std::nullopt, "test")));
  EXPECT_TRUE(store.run(events.expire(std::chrono::seconds(0))));
  tracker::FlushBatch connections = batch(stream, 2, 3, 0);
  connections.connections = {to_entry(test::connection_event(1, tracker::ConnectionStatus::connected, 10))};
  connections.connection_events = 1;
  EXPECT_TRUE(store.run(store->flush(connections)).value().applied);
  connections = batch(stream, 3, 4, 0);
  connections.connections = {to_entry(test::connection_event(1, tracker::ConnectionStatus::connected, 5))};
  connections.connection_events = 1;
  EXPECT_TRUE(store.run(store->flush(connections)).value().applied);
  ConnectionLog log(store.pool());
  ConnectionPageRequest request;
  request.rights = ConnectionRights::everything();
  EXPECT_EQ(store.run(log.page(request)).value().entries.size(), 1u);
  EXPECT_EQ(store.run(log.mark_lost(std::chrono::hours(1))).value(), 0);
  EXPECT_EQ(store.run(log.purge(std::chrono::hours(1))).value(), 1);
  EXPECT_EQ(store.run(log.forget_moves(std::chrono::hours(0))).value(), 1);
  EXPECT_TRUE(store.run(store->mark_drained(stream, 4)));
  EXPECT_TRUE(store.run(store->give_up_replica("replica-1", "test")));
  EXPECT_TRUE(store.run(store->rebase(5, "test")));
  TokenStore tokens(store.pool());
  Directory directory(store.pool());
  EXPECT_TRUE(store.run(directory.put_user({id(1), "ann", "", {}}, Seen::anything(), "test")));
  EXPECT_TRUE(store.run(directory.put_organization({id(2), "acme", ""}, Seen::absent(), "test")));
  EXPECT_TRUE(
      store.run(directory.put_role({id(2), "watcher", "", false, {"workspace:read"}, {}}, Seen::absent(), "test")));
  EXPECT_TRUE(store.run(directory.put_member({id(2), id(1), {"watcher"}}, Seen::absent(), "test")));
  EXPECT_TRUE(store.run(directory.put_group({id(2), id(3), "all", {id(1)}}, Seen::absent(), "test")));
  Token token;
  token.id = "abcdefghij";
  token.user_id = id(1);
  EXPECT_TRUE(store.run(tokens.create(token, "test")));
  EXPECT_TRUE(store.run(tokens.touch({"abcdefghij"})));
  EXPECT_TRUE(store.run(tokens.expire(std::chrono::seconds(0), 10)));
  EXPECT_TRUE(store.run(directory.delete_role(id(2), "watcher", "test")));
  EXPECT_TRUE(store.run(directory.delete_group(id(2), id(3), "test")));
  EXPECT_TRUE(store.run(directory.delete_member(id(2), id(1), Seen::anything(), "test")));
  EXPECT_TRUE(store.run(directory.delete_organization(id(2), "test")));
  EXPECT_TRUE(store.run(directory.delete_user(id(1), Seen::anything(), "test")));
}

TEST(Roles, KeepTheDaemonFromWhatItNeverDoes) {
  Separated separated;
  test::Session session(separated.as(separated.runtime));
  for (const char* forbidden :
       {"CREATE TABLE tallyd.mine (x int)", "DROP TABLE tallyd.streams", "TRUNCATE tallyd.streams",
        "DELETE FROM tallyd.audit_log", "UPDATE tallyd.audit_log SET actor = 'x'", "DELETE FROM tallyd.period_clock",
        "DELETE FROM tallyd.schema_migrations", "ALTER TABLE tallyd.streams ADD x int",
        "CREATE OR REPLACE FUNCTION tallyd.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"}) {
    EXPECT_THROW(session.query(forbidden), std::runtime_error) << forbidden;
  }
  EXPECT_EQ(session.query("SHOW lock_timeout"), "10s");
}

}  // namespace
}  // namespace tally::db
