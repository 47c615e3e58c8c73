#include "db/migrations.hpp"

#include <gtest/gtest.h>

#include "tests/support/postgres.hpp"

namespace tally::db {
namespace {

using test::StoreUnderTest;
using test::TestDatabase;

using tracker::Errc;
using tracker::Result;

Result<SchemaStatus> migrate_once(const std::string& conninfo, std::string* why = nullptr) {
  StoreUnderTest store(conninfo);
  return store.run(migrate(store.pool(), why));
}

TEST(Migrate, BringsAnEmptyDatabaseUpToDate) {
  TestDatabase database(TestDatabase::Schema::none);
  StoreUnderTest store(database.conninfo());
  EXPECT_EQ(store.run(inspect_schema(store.pool()))->state, SchemaState::absent);
  const auto status = store.run(migrate(store.pool()));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->state, SchemaState::current);
  EXPECT_EQ(status->version, static_cast<int>(migrations().size()));
  EXPECT_EQ(database.query("SELECT period_id FROM period_clock"), "1") << "the search path leads to the schema";
}

TEST(Migrate, DoesNothingTheSecondTime) {
  TestDatabase database(TestDatabase::Schema::none);
  ASSERT_TRUE(migrate_once(database.conninfo()));
  const std::string before =
      database.query("SELECT string_agg(version || applied_at::text, ',') FROM tallyd.schema_migrations");
  ASSERT_TRUE(migrate_once(database.conninfo()));
  EXPECT_EQ(database.query("SELECT string_agg(version || applied_at::text, ',') FROM tallyd.schema_migrations"),
            before);
}

TEST(Migrate, MayBeRunByManyReplicasAtOnce) {
  TestDatabase database(TestDatabase::Schema::none);
  StoreUnderTest store(database.conninfo(), {.limit = 6});
  std::vector<std::string> why(6);
  std::vector<std::future<Result<SchemaStatus>>> runs;
  for (std::string& text : why) runs.push_back(store.start(migrate(store.pool(), &text)));
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto status = runs[i].get();
    ASSERT_TRUE(status) << status.error().message() << ": " << why[i];
    EXPECT_EQ(status->state, SchemaState::current);
  }
  EXPECT_EQ(database.query("SELECT count(*) FROM tallyd.period_clock"), "1");
}

TEST(Migrate, LeavesNothingBehindWhenAStepFails) {
  TestDatabase database(TestDatabase::Schema::none);
  StoreUnderTest store(database.conninfo());
  const Migration steps[] = {{1, "good", "CREATE TABLE tallyd.first (x int);"},
                             {2, "bad", "CREATE TABLE tallyd.second (x int); SELECT 1 / 0;"}};
  std::string why;
  EXPECT_FALSE(store.run(migrate(store.pool(), steps, &why)));
  EXPECT_NE(why.find("division by zero"), std::string::npos) << why;
  EXPECT_EQ(database.query("SELECT count(*) FROM pg_namespace WHERE nspname = 'tallyd'"), "0");
  ASSERT_TRUE(store.run(migrate(store.pool(), std::span(steps).first(1))));
  EXPECT_EQ(store.run(migrate(store.pool(), std::span(steps).first(1)))->version, 1);
}

TEST(Migrate, RefusesANewerSchemaAndTouchesNothing) {
  TestDatabase database;
  database.query("INSERT INTO tallyd.schema_migrations (version, name, checksum) VALUES (999, 'future', 'x')");
  const auto status = migrate_once(database.conninfo());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->state, SchemaState::newer);
  EXPECT_NE(status->detail.find("999"), std::string::npos);
  EXPECT_EQ(database.query("SELECT max(version) FROM tallyd.schema_migrations"), "999");
}

TEST(Migrate, RefusesASchemaThatWasMadeByAnotherText) {
  TestDatabase database;
  database.query("UPDATE tallyd.schema_migrations SET checksum = 'other' WHERE version = 1");
  EXPECT_EQ(migrate_once(database.conninfo())->state, SchemaState::altered);
}

/// A role of its own, gone with the object.
struct Role {
  explicit Role(const TestDatabase& database) : admin(database.conninfo()), name("r_" + database.name()) {
    admin.query("CREATE ROLE " + name + " LOGIN");
  }
  ~Role() {
    admin.query("DROP OWNED BY " + name);
    admin.query("DROP ROLE " + name);
  }
  std::string conninfo(const TestDatabase& database) const { return database.conninfo() + " user=" + name; }
  test::Session admin;
  std::string name;
};

TEST(Migrate, IsNotNeededByARoleWithoutDdlOnACurrentSchema) {
  TestDatabase database;
  Role role(database);
  role.admin.query("GRANT USAGE ON SCHEMA tallyd TO " + role.name);
  role.admin.query("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tallyd TO " + role.name);
  const auto status = migrate_once(role.conninfo(database));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->state, SchemaState::current);
}

TEST(Migrate, SaysWhatTheServerSaidToARoleThatMayNot) {
  TestDatabase database(TestDatabase::Schema::none);
  Role role(database);
  std::string why;
  const auto status = migrate_once(role.conninfo(database), &why);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error(), Errc::store_refuses);
  EXPECT_NE(why.find("permission denied"), std::string::npos) << why;
}

TEST(Migrate, SetsTheSearchPathOfTheRoleWhereTheDatabaseIsNotItsOwn) {
  TestDatabase database(TestDatabase::Schema::none);
  Role role(database);
  role.admin.query("CREATE SCHEMA tallyd AUTHORIZATION " + role.name);
  std::string why;
  ASSERT_TRUE(migrate_once(role.conninfo(database), &why)) << why;
  EXPECT_EQ(test::Session(role.conninfo(database)).query("SELECT period_id FROM period_clock"), "1");
}

}  // namespace
}  // namespace tally::db
