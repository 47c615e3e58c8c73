#include "tests/support/postgres.hpp"

#include <libpq-fe.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "db/migrations.hpp"
#include "tracker/rules.hpp"
#include "tracker/uuid.hpp"

namespace tally::test {
namespace {

std::string unique_name() {
  std::string name = "t_" + tracker::Uuid::random().to_string();
  std::erase(name, '-');
  return name;
}

std::string conninfo_of(const std::string& database) {
  // Later keywords win.
  return server_conninfo() + " dbname=" + database;
}

/// One migrated database per set of migrations, made by the first test that needs it; copying it takes milliseconds.
std::string template_database() {
  std::size_t hash = std::hash<std::string_view>{}(tracker::broken_rule());
  for (const db::Migration& migration : db::migrations())
    hash = hash * 31 + std::hash<std::string_view>{}(migration.sql);
  const std::string name = "template_" + std::to_string(hash);
  Session admin(server_conninfo());
  admin.query("SELECT pg_advisory_lock(1)");
  if (admin.query("SELECT 1 FROM pg_database WHERE datname = '" + name + "'").empty()) {
    const std::string half_made = name + "_new";
    admin.query("DROP DATABASE IF EXISTS " + half_made);
    admin.query("CREATE DATABASE " + half_made);
    {
      StoreUnderTest store(conninfo_of(half_made));
      std::string why;
      const auto status = store.run(db::migrate(store.pool(), &why));
      if (!status || status->state != db::SchemaState::current) throw std::runtime_error("migrations failed: " + why);
    }
    while (!admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + half_made + "'")
                .empty()) {
    }
    admin.query("ALTER DATABASE " + half_made + " RENAME TO " + name);
  }
  return name;
}

}  // namespace

std::string server_conninfo() {
  if (const char* given = std::getenv("TALLYD_TEST_DATABASE_URL")) return given;
  std::ifstream file(TALLYD_TEST_DSN_FILE);
  std::string line;
  if (!std::getline(file, line)) {
    throw std::runtime_error(
        "no PostgreSQL for tests: run them with ctest, or first\n  tests/support/postgres.sh start " +
        std::string(TALLYD_TEST_DSN_FILE));
  }
  return line;
}

Session::Session(const std::string& conninfo) : connection_(PQconnectdb(conninfo.c_str())) {
  if (PQstatus(connection_) != CONNECTION_OK) {
    const std::string message = PQerrorMessage(connection_);
    PQfinish(connection_);
    throw std::runtime_error(message);
  }
  PQsetNoticeProcessor(
      connection_, [](void*, const char*) {}, nullptr);
}

Session::~Session() {
  PQfinish(connection_);
}

std::string Session::query(const std::string& sql) {
  PGresult* result = PQexec(connection_, sql.c_str());
  const ExecStatusType status = PQresultStatus(result);
  std::string value;
  if (PQntuples(result) > 0 && PQnfields(result) > 0) value = PQgetvalue(result, 0, 0);
  PQclear(result);
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) throw std::runtime_error(PQerrorMessage(connection_));
  return value;
}

int Session::pid() const {
  return PQbackendPID(connection_);
}

TestDatabase::TestDatabase(Schema schema) : name_(unique_name()), conninfo_(conninfo_of(name_)) {
  const std::string source = schema == Schema::migrated ? template_database() : "template1";
  Session admin(server_conninfo());
  // Two copies of one template cannot be made at once.
  admin.query("SELECT pg_advisory_lock(2)");
  admin.query("CREATE DATABASE " + name_ + " TEMPLATE " + source);
  if (schema == Schema::none) return;
  admin.query("ALTER DATABASE " + name_ + " SET search_path = tallyd, public");
  query("UPDATE tallyd.period_clock SET opened_at = clock_timestamp()");  // the template's is as old as the server
}

TestDatabase::~TestDatabase() {
  try {
    Session(server_conninfo()).query("DROP DATABASE IF EXISTS " + name_ + " WITH (FORCE)");
  } catch (const std::exception&) {
    // A server that a test stopped takes its databases with it.
  }
}

std::string TestDatabase::query(const std::string& sql) const {
  return Session(conninfo_).query(sql);
}

void TestDatabase::await_lock_waits(int count) const {
  Session session(conninfo_);
  const std::string wanted = std::to_string(count);
  for (int round = 0; round < 2000; ++round) {
    if (session.query("SELECT count(*) FROM pg_stat_activity, pg_sleep(0.005) "
                      "WHERE datname = current_database() AND wait_event_type = 'Lock'") == wanted) {
      return;
    }
  }
  throw std::runtime_error("nobody waits for a lock");
}

Loop::Loop() : guard_(context_.get_executor()), thread_([this] { context_.run(); }) {}

Loop::~Loop() {
  guard_.reset();
  context_.stop();
  thread_.join();
}

StoreUnderTest::StoreUnderTest(std::string conninfo, db::PoolOptions options, db::StoreTimeouts timeouts) {
  options.conninfo = std::move(conninfo);
  pool_ = std::make_unique<db::Pool>(loop_.context().get_executor(), std::move(options), clock_, observer_);
  store_ = std::make_unique<db::PgStore>(*pool_, timeouts);
}

StoreUnderTest::~StoreUnderTest() {
  close_pool();
}

void StoreUnderTest::close_pool() {
  std::promise<void> closed;
  boost::asio::post(loop_.context(), [&] {
    pool_->close();
    closed.set_value();
  });
  closed.get_future().get();
}

}  // namespace tally::test
