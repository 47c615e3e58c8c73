#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "db/migrations.hpp"
#include "tests/db/batches.hpp"
#include "tests/support/cut_proxy.hpp"

namespace tally::db {
namespace {

using namespace std::chrono_literals;
using test::CutProxy;
using test::StoreUnderTest;
using test::TestDatabase;
using testing::HasSubstr;
using tracker::Errc;
using tracker::FlushBatch;

/// The directory in "host=... user=...".
std::string server_directory() {
  const std::string conninfo = test::server_conninfo();
  const std::size_t start = conninfo.find("host=") + 5;
  return conninfo.substr(start, conninfo.find(' ', start) - start);
}

/// A store that reaches the database of `db` through a proxy.
struct Proxied {
  Proxied(Counting& db, CutProxy::Mode mode, StoreTimeouts timeouts = {}, const std::string& host = "127.0.0.1")
      : proxy(server_directory() + "/.s.PGSQL.5432", mode, "flush_v1"),
        store("host=" + host + " port=" + std::to_string(proxy.port()) + " user=postgres dbname=" + db.database.name(),
              {}, timeouts) {}
  tracker::Result<tracker::FlushAnswer> flush(const FlushBatch& made) { return store.run(store->flush(made)); }
  CutProxy proxy;
  StoreUnderTest store;
};

/// Until `stream` stands at `lsn`; gives up after ten seconds.
bool reaches(Counting& db, tracker::StreamId stream, tracker::Lsn lsn) {
  for (int round = 0; round < 2000; ++round) {
    if (db.applied(stream) == lsn) return true;
    db.database.query("SELECT pg_sleep(0.005)");
  }
  return false;
}

TEST(LostConnection, BeforeTheStatementArrivesLeavesTheOutcomeUnknownAndNothingDone) {
  Counting db;
  Proxied cut(db, CutProxy::Mode::before);
  EXPECT_EQ(cut.flush(batch(db.one, 0, 1)).error(), Errc::outcome_unknown);
  EXPECT_EQ(cut.store.run(cut.store->read_stream(db.one)).value()->applied_lsn, 0u);
  EXPECT_TRUE(cut.flush(batch(db.one, 0, 1)).value().applied);
}

TEST(LostConnection, AfterTheCommitLeavesTheOutcomeUnknownAndReadingBackTells_BU09) {
  Counting db;
  Proxied cut(db, CutProxy::Mode::after);
  EXPECT_EQ(cut.flush(batch(db.one, 0, 1, 5)).error(), Errc::outcome_unknown);
  EXPECT_TRUE(reaches(db, db.one, 1));
  EXPECT_FALSE(cut.flush(batch(db.one, 0, 1, 5)).value().applied);
  EXPECT_EQ(db.close().allowed, "5");
}

TEST(LostConnection, InARaceIsExactWhicheverWins) {
  Counting db;
  Proxied cut(db, CutProxy::Mode::race);
  EXPECT_EQ(cut.flush(batch(db.one, 0, 1, 5)).error(), Errc::outcome_unknown);
  while (!cut.flush(batch(db.one, 0, 1, 5))) {
  }
  EXPECT_EQ(db.close().allowed, "5");
}

TEST(LostConnection, AStatementThatArrivesLateIsRefusedOnceItWasRepeated) {
  Counting db;
  Proxied cut(db, CutProxy::Mode::late);
  EXPECT_EQ(cut.flush(batch(db.one, 0, 1, 5)).error(), Errc::outcome_unknown);
  EXPECT_TRUE(cut.flush(batch(db.one, 0, 1, 5)).value().applied);
  cut.proxy.release();
  EXPECT_EQ(db.close().allowed, "5");
}

TEST(LostConnection, AStatementThatArrivesLateMayStillCommitOnce) {
  Counting db;
  Proxied cut(db, CutProxy::Mode::late);
  EXPECT_EQ(cut.flush(batch(db.one, 0, 1, 5)).error(), Errc::outcome_unknown);
  EXPECT_EQ(db.applied(db.one), 0u);
  cut.proxy.release();
  EXPECT_TRUE(reaches(db, db.one, 1));
  EXPECT_FALSE(cut.flush(batch(db.one, 0, 1, 5)).value().applied);
}

TEST(LostConnection, AnAnswerThatNeverComesEndsAtTheDeadline) {
  Counting db;
  Proxied cut(db, CutProxy::Mode::hold, {.flush = 300ms});
  EXPECT_EQ(cut.flush(batch(db.one, 0, 1)).error(), Errc::outcome_unknown);
  EXPECT_TRUE(cut.proxy.hit());
  EXPECT_TRUE(reaches(db, db.one, 1));
}

TEST(LostConnection, ByAKilledServerProcessLeavesTheOutcomeUnknown) {
  Counting db;
  test::Session holder(db.database.conninfo());
  holder.query("BEGIN; UPDATE tallyd.period_clock SET period_id = period_id");
  const FlushBatch sent = batch(db.one, 0, 1);
  auto flushing = db.store.start(db.store->flush(sent));
  db.database.await_lock_waits(1);
  db.database.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = "
      "'Lock'");
  EXPECT_EQ(flushing.get().error(), Errc::outcome_unknown);
  holder.query("ROLLBACK");
  EXPECT_EQ(db.applied(db.one), 0u);
}

/// A trigger that runs while COMMIT is in progress, after the rows of the answer were made.
void at_commit(Counting& db, const std::string& action) {
  db.database.query("CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + action +
                    "; RETURN NULL; END $$;"
                    "CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE ON tallyd.streams DEFERRABLE INITIALLY DEFERRED "
                    "FOR EACH ROW EXECUTE FUNCTION at_commit()");
}

TEST(Commit, ThatFailsIsNoSuccessThoughTheRowsHadComeAlready) {
  Counting db;
  at_commit(db, "RAISE EXCEPTION 'not today'");
  EXPECT_EQ(db.flush(batch(db.one, 0, 1)).error(), Errc::store_refuses);
  EXPECT_EQ(db.applied(db.one), 0u);
}

TEST(Commit, DuringWhichTheServerProcessDiesIsUnknown) {
  Counting db;
  at_commit(db, "PERFORM pg_terminate_backend(pg_backend_pid())");
  EXPECT_EQ(db.flush(batch(db.one, 0, 1)).error(), Errc::outcome_unknown);
}

TEST(Deadline, CancelsTheStatementOnTheServerToo) {
  Counting db({}, {.flush = 300ms});
  test::Session holder(db.database.conninfo());
  holder.query("BEGIN; UPDATE tallyd.period_clock SET period_id = period_id");
  EXPECT_EQ(db.flush(batch(db.one, 0, 1)).error(), Errc::outcome_unknown);
  db.database.await_lock_waits(0);
  holder.query("ROLLBACK");
  EXPECT_EQ(db.applied(db.one), 0u);
  EXPECT_TRUE(db.flush(batch(db.one, 0, 1)).value().applied);
}

TEST(Refusal, OfAConnectionIsUnavailableAndSaysWhy) {
  StoreUnderTest store("host=/nonexistent-directory user=nobody dbname=x", {.connect_timeout = 2s}, {.read = 100ms});
  EXPECT_EQ(store.run(store->clock()).error(), Errc::store_unavailable);
  EXPECT_THAT(store.pool().last_problem(), HasSubstr("/nonexistent-directory"));
}

TEST(Refusal, OfNonsenseSaysThatItIsNonsense) {
  StoreUnderTest store("not a connection string", {}, {.read = 100ms});
  EXPECT_EQ(store.run(store->clock()).error(), Errc::store_refuses);
  EXPECT_FALSE(store.pool().last_problem().empty());
}

TEST(Refusal, ByAReadOnlyServerLeavesNothingUnknown) {
  Counting db;
  db.database.query("ALTER DATABASE " + db.database.name() + " SET default_transaction_read_only = on");
  StoreUnderTest store(db.database.conninfo());
  EXPECT_EQ(store.run(store->flush(batch(db.one, 0, 1))).error(), Errc::store_refuses);
  EXPECT_EQ(store.run(store->close(1, id(1), false)).error(), Errc::store_refuses);
  EXPECT_TRUE(store.run(store->summary())) << "reading goes on";
  test::Session admin(test::server_conninfo());
  admin.query("ALTER DATABASE " + db.database.name() + " RESET default_transaction_read_only");
  // The session that only read has not been refused yet: one attempt finds out, the next has a new session.
  (void)store.run(store->flush(batch(db.one, 0, 1)));
  const auto answer = store.run(store->flush(batch(db.one, 0, 1)));
  ASSERT_TRUE(answer) << "the refused session was kept";
  EXPECT_TRUE(answer->applied);
}

TEST(Refusal, OfTheDataIsToldFromAllOthers) {
  Counting db;
  EXPECT_EQ(db.store.run(db.store->register_replica(std::string("nul\0byte", 8), "", "")).error(), Errc::data_refused);
}

TEST(Pool, NoticesThatIdleConnectionsWereClosed) {
  Counting db;
  ASSERT_TRUE(db.flush(batch(db.one, 0, 1)));
  db.database.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
      "pg_backend_pid()");
  while (db.database.query(
             "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()") !=
         "0") {
  }
  EXPECT_TRUE(db.flush(batch(db.one, 1, 2)).value().applied);
}

TEST(Pool, ServesManyWithFewConnections) {
  Counting db({.limit = 2});
  std::vector<std::future<tracker::Result<Summary>>> reads;
  for (int i = 0; i < 40; ++i) reads.push_back(db.store.start(db.store->summary()));
  for (auto& read : reads) EXPECT_TRUE(read.get());
  EXPECT_LE(std::stoi(db.database.query("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")),
            3);
}

TEST(Pool, RefusesAtTheDeadlineWhoGotNoConnection) {
  Counting db({.limit = 1}, {.flush = 5s, .read = 200ms});
  test::Session holder(db.database.conninfo());
  holder.query("BEGIN; UPDATE tallyd.period_clock SET period_id = period_id");
  const FlushBatch sent = batch(db.one, 0, 1);
  auto flushing = db.store.start(db.store->flush(sent));
  db.database.await_lock_waits(1);
  EXPECT_EQ(db.store.run(db.store->read_stream(db.one)).error(), Errc::store_unavailable);
  holder.query("ROLLBACK");
  EXPECT_TRUE(flushing.get().value().applied);
}

TEST(Pool, RefusesAfterItWasClosed) {
  Counting db;
  db.store.close_pool();
  EXPECT_EQ(db.store.run(db.store->clock()).error(), Errc::shutting_down);
}

TEST(Pool, FindsTheHostThatWorksAmongSeveral) {
  TestDatabase database;
  StoreUnderTest store("host=/nonexistent-directory," + server_directory() +
                       " user=postgres dbname=" + database.name());
  EXPECT_TRUE(store.run(store->clock()));
}

TEST(Pool, LooksHostNamesUpWithoutLibpq) {
  Counting db;
  Proxied by_name(db, CutProxy::Mode::before, {}, "localhost");
  EXPECT_TRUE(by_name.store.run(by_name.store->clock()));
}

TEST(Pool, AnswersCallersOnTheirOwnExecutor) {
  Counting db;
  test::Loop other;
  const auto ask = [](PgStore& store) -> boost::asio::awaitable<std::pair<bool, bool>> {
    const auto before = std::this_thread::get_id();
    const bool good = (co_await store.clock()).has_value();
    co_return std::pair(good, before == std::this_thread::get_id());
  };
  EXPECT_EQ(other.run(ask(*db.store)), std::pair(true, true));
}

TEST(Connection, CarriesMegabytesBothWays) {
  TestDatabase database(TestDatabase::Schema::none);
  StoreUnderTest store(database.conninfo());
  const std::string big(16 << 20, 'x');
  static constexpr Query kEcho{"echo", "SELECT $1::text, $1::text", true};
  const Params params = std::move(Params().text(big));
  const auto rows = store.run(store.pool().fetch(kEcho, params, 30s)).value();
  EXPECT_EQ(rows.text(0, 1).size(), big.size());
}

TEST(Connection, RollsBackATransactionWhoseStatementFailed) {
  Counting db;
  static constexpr Query kInsert{"insert",
                                 "INSERT INTO tallyd.audit_log (actor, action, object) VALUES ('a', 'b', 'c')"};
  static constexpr Query kFail{"fail", "SELECT 1 / (SELECT 0)"};
  const std::vector<Statement> statements{{&kInsert, {}}, {&kFail, {}}, {&kInsert, {}}};
  EXPECT_EQ(db.store.run(db.store.pool().transact(statements, 5s)).error(), Errc::data_refused);
  EXPECT_EQ(db.database.query("SELECT count(*) FROM audit_log"), "0");
  EXPECT_TRUE(db.store.run(db.store->clock())) << "the pool goes on";
}

/// Debian's pgbouncer in transaction mode with one server connection.
class PgBouncer {
 public:
  explicit PgBouncer(const std::string& database) {
    char name[] = "/tmp/tallyd-bouncer.XXXXXX";
    directory_ = ::mkdtemp(name);
    std::ofstream(directory_ / "bouncer.ini")
        << "[databases]\n* = host=" << server_directory() << " user=postgres\n"
        << "[pgbouncer]\npool_mode = transaction\ndefault_pool_size = 1\nauth_type = any\n"
        << "listen_addr =\nlisten_port = 6432\nunix_socket_dir = " << directory_.string() << "\n";
    // It refuses to run as root.
    std::vector<std::string> words{"/usr/sbin/pgbouncer", "-q", directory_ / "bouncer.ini"};
    if (::geteuid() == 0) {
      const passwd* postgres = ::getpwnam("postgres");
      if (::chown(directory_.c_str(), postgres->pw_uid, postgres->pw_gid) != 0) throw std::runtime_error("chown");
      words.insert(words.begin(),
                   {"/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=KILL"});
    }
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    if (::posix_spawn(&pid_, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0)
      throw std::runtime_error("no pgbouncer");
    for (int round = 0; round < 500; ++round) {
      try {
        test::Session probe(conninfo(database));
        return;
      } catch (const std::runtime_error&) {
        test::Session(test::server_conninfo()).query("SELECT pg_sleep(0.01)");
      }
    }
    throw std::runtime_error("pgbouncer does not answer");
  }
  ~PgBouncer() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    std::filesystem::remove_all(directory_);
  }
  std::string conninfo(const std::string& database) const {
    return "host=" + directory_.string() + " port=6432 user=postgres dbname=" + database;
  }

 private:
  std::filesystem::path directory_;
  pid_t pid_ = -1;
};

TEST(PgBouncer, InTransactionModeWithOneServerConnectionIsEnough) {
  Counting db;
  db.register_stream(db.two, "replica-2");
  PgBouncer bouncer(db.database.name());
  StoreUnderTest first(bouncer.conninfo(db.database.name())), second(bouncer.conninfo(db.database.name()));
  for (tracker::Lsn at = 0; at < 20; ++at) {
    FlushBatch a = batch(db.one, at, at + 1, 1), b = batch(db.two, at, at + 1, 1);
    a.effects = {effect(tracker::Uuid::random(), 1, {id(1)})};
    auto one = first.start(first->flush(a));
    auto two = second.start(second->flush(b));
    ASSERT_TRUE(one.get().value().applied);
    ASSERT_TRUE(two.get().value().applied);
  }
  EXPECT_TRUE(first.run(first->summary()));
  EXPECT_TRUE(second.run(second->heartbeat({.replica_id = "replica-2"})).value().known);
  EXPECT_TRUE(first.run(first->discard_replica("replica-2", "test")));
  EXPECT_TRUE(second.run(second->close(1, id(1), false)).value());
  EXPECT_EQ(first.run(first->report(1)).value().allowed, "40");
  EXPECT_TRUE(second.run(second->ledger()).value().balanced);
  StoreUnderTest migrating(bouncer.conninfo(db.database.name()));
  EXPECT_TRUE(migrating.run(migrate(migrating.pool())));
}

}  // namespace
}  // namespace tally::db
