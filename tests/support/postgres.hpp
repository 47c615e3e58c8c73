#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "db/pg_store.hpp"
#include "db/pool.hpp"

struct pg_conn;

/// Real PostgreSQL for tests. CTest starts one server (postgres.sh); each test makes a database of its own on it.
namespace tally::test {

/// Connection string of the fixture's server; throws with the command to run where there is none.
std::string server_conninfo();

/// Blocking, for arranging and asking. Throws with the server's message; `sqlstate` of the last error is kept.
class Session {
 public:
  explicit Session(const std::string& conninfo);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// First column of the first row of the last statement, "" if there is none.
  std::string query(const std::string& sql);
  int pid() const;

 private:
  pg_conn* connection_;
};

/// A database that goes with the object.
class TestDatabase {
 public:
  enum class Schema { none, migrated };
  explicit TestDatabase(Schema schema = Schema::migrated);
  ~TestDatabase();
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  const std::string& name() const { return name_; }
  const std::string& conninfo() const { return conninfo_; }
  /// On a connection of its own.
  std::string query(const std::string& sql) const;
  /// Returns when `count` sessions of this database wait for a lock.
  void await_lock_waits(int count) const;

 private:
  std::string name_;
  std::string conninfo_;
};

/// An event loop on a thread of its own.
class Loop {
 public:
  Loop();
  ~Loop();
  boost::asio::io_context& context() { return context_; }

  template <class T>
  std::future<T> start(boost::asio::awaitable<T> work) {
    return boost::asio::co_spawn(context_, std::move(work), boost::asio::use_future);
  }
  template <class T>
  T run(boost::asio::awaitable<T> work) {
    return start(std::move(work)).get();
  }

 private:
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::thread thread_;
};

/// A pool and a store on a loop.
class StoreUnderTest {
 public:
  explicit StoreUnderTest(std::string conninfo, db::PoolOptions options = {}, db::StoreTimeouts timeouts = {});
  ~StoreUnderTest();

  db::Pool& pool() { return *pool_; }
  void close_pool();
  db::PgStore& operator*() { return *store_; }
  db::PgStore* operator->() { return store_.get(); }
  Loop& loop() { return loop_; }
  template <class T>
  T run(boost::asio::awaitable<T> work) {
    return loop_.run(std::move(work));
  }
  template <class T>
  std::future<T> start(boost::asio::awaitable<T> work) {
    return loop_.start(std::move(work));
  }

 private:
  tracker::SystemClock clock_;
  db::Observer observer_;
  Loop loop_;
  std::unique_ptr<db::Pool> pool_;
  std::unique_ptr<db::PgStore> store_;
};

}  // namespace tally::test
