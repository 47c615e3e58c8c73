#include "db/detail/builtin_setup.hpp"

#include <libpq-fe.h>

#include <memory>

namespace tally::db::detail {

namespace {

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

/// A connection of the server's thread: it waits, but not longer than the sleeper.
class SetupConnection {
 public:
  SetupConnection(const std::string& conninfo, const Sleeper& sleeper)
      : sleeper_(sleeper), connection_(PQconnectStart(conninfo.c_str()), PQfinish) {
    if (!connection_ || PQstatus(connection_.get()) == CONNECTION_BAD) fail();
    // Notices would go to the daemon's stderr.
    PQsetNoticeProcessor(
        connection_.get(), [](void*, const char*) {}, nullptr);
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    while (next != PGRES_POLLING_OK) {
      if (next == PGRES_POLLING_FAILED) fail();
      wait_for(next == PGRES_POLLING_READING ? POLLIN : POLLOUT);
      next = PQconnectPoll(connection_.get());
    }
  }

  /// How many rows it gave.
  int run(const char* sql) {
    if (PQsendQuery(connection_.get(), sql) == 0) fail();
    int rows = 0;
    std::string error;
    while (true) {
      while (PQisBusy(connection_.get()) != 0) {
        wait_for(POLLIN);
        if (PQconsumeInput(connection_.get()) == 0) fail();
      }
      const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQgetResult(connection_.get()), PQclear);
      if (!result) break;
      const ExecStatusType status = PQresultStatus(result.get());
      if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) error = PQresultErrorMessage(result.get());
      rows += PQntuples(result.get());
    }
    if (!error.empty()) throw BuiltinProblem(trimmed(error));
    return rows;
  }

 private:
  void wait_for(short events) {
    if (sleeper_.wait(PQsocket(connection_.get()), events) != Sleeper::Woke::fd)
      throw BuiltinProblem("PostgreSQL does not answer");
  }
  [[noreturn]] void fail() {
    throw BuiltinProblem(connection_ ? trimmed(PQerrorMessage(connection_.get())) : "out of memory");
  }

  const Sleeper& sleeper_;
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

}  // namespace

void make_role_and_database(const std::string& conninfo, const Sleeper& sleeper) {
  SetupConnection connection(conninfo, sleeper);
  if (connection.run("SELECT FROM pg_roles WHERE rolname = 'tallyd'") == 0) connection.run("CREATE ROLE tallyd LOGIN");
  if (connection.run("SELECT FROM pg_database WHERE datname = 'tallyd'") == 0)
    connection.run("CREATE DATABASE tallyd OWNER tallyd TEMPLATE template0 ENCODING 'UTF8'");
}

bool accepts_connections(const std::string& conninfo, const Sleeper& sleeper) {
  try {
    SetupConnection connection(conninfo, sleeper);
    return true;
  } catch (const BuiltinProblem&) {
    return false;
  }
}

}  // namespace tally::db::detail
