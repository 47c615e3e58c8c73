#include <gtest/gtest.h>

#include "authz/filter.hpp"
#include "db/token_store.hpp"
#include "tests/support/postgres.hpp"

/// How PostgreSQL finds the rows of a filter: never by reading the whole table. CL-02.
namespace tally::authz {
namespace {

std::string org(int number) {
  char text[37];
  std::snprintf(text, sizeof text, "%08x-0000-4000-8000-000000000000", 0xa000 + number);
  return text;
}
const std::string kMe = "00000011-0000-4000-8000-000000000011";

PreparedSubject subject(const std::vector<std::string>& roles) {
  Subject made;
  made.id = kMe;
  made.roles.emplace();
  for (const std::string& role : roles) made.roles->push_back(expand_role(role).value());
  made.scope = expand_scope("coder:all").value();
  return prepare(made).value();
}

PreparedSubject auditor_of(int orgs) {
  std::vector<std::string> roles{"member"};
  for (int i = 0; i < orgs; ++i) roles.push_back("organization-auditor:" + org(i));
  return subject(roles);
}

/// The schema's own tables: a connection log of 20,000 entries over 200 organizations, 20,000 tokens of 2,000 owners.
/// And one as the platform has them, whose rows are owned within organizations.
class FilterPlans : public testing::Test {
 protected:
  /// Not in SetUpTestSuite: CTest takes a test whose suite could not be set up for skipped, and that is no failure.
  void SetUp() override {
    if (database_) return;
    auto filled = std::make_unique<test::TestDatabase>();
    test::Session session(filled->conninfo());
    session.query(
        "INSERT INTO tallyd.connection_logs (entry, id, organization_id, workspace_owner_id, workspace_id, "
        "workspace_name,"
        "  agent_name, type, connection_id, first_connect, last_connect, said_first)"
        " SELECT md5(n::text)::uuid, md5(n::text)::uuid,"
        "        (lpad(to_hex(40960 + n % 200), 8, '0') || '-0000-4000-8000-000000000000')::uuid, md5('w' || n % "
        "2000)::uuid,"
        "        md5('s' || n % 5000)::uuid, 'dev', 'main', 'ssh', md5('c' || n)::uuid, now() - n * interval '1 s',"
        "        now() - n * interval '1 s', decode(md5(n::text), 'hex') FROM generate_series(1, 20000) n;"
        "CREATE TABLE public.events (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), organization_id uuid NOT NULL,"
        "                            owner_id uuid NOT NULL, at timestamptz NOT NULL);"
        "INSERT INTO public.events (organization_id, owner_id, at)"
        " SELECT (lpad(to_hex(40960 + n % 200), 8, '0') || '-0000-4000-8000-000000000000')::uuid,"
        "        (lpad(to_hex(n % 2000), 8, '0') || '-0000-4000-8000-000000000011')::uuid,"
        "        now() - n * interval '1 s' FROM generate_series(1, 40000) n;"
        "CREATE INDEX events_owner ON public.events (owner_id, at, id);"
        "INSERT INTO tallyd.api_tokens (id, secret_sha256, kind, user_id, created_at, version)"
        " SELECT lpad(n::text, 10, '0'), sha256(n::text::bytea), 'user',"
        "        (lpad(to_hex(n % 2000), 8, '0') || '-0000-4000-8000-000000000011')::uuid, now() - n * interval '1 s', "
        "1"
        "   FROM generate_series(1, 20000) n;"
        "INSERT INTO tallyd.users (id, username, version) SELECT gen_random_uuid(), 'u' || n, 1 FROM "
        "generate_series(1, 5000) n;"
        "INSERT INTO tallyd.organizations (id, name, version)"
        " SELECT (lpad(to_hex(40960 + n), 8, '0') || '-0000-4000-8000-000000000000')::uuid, 'o' || n, 1"
        "   FROM generate_series(0, 19999) n;"
        "INSERT INTO tallyd.organization_members (organization_id, user_id, version)"
        " SELECT (lpad(to_hex(40960 + (row_number() OVER ()) % 200), 8, '0') || '-0000-4000-8000-000000000000')::uuid, "
        "id, 1"
        "   FROM tallyd.users;"
        "ANALYZE");
    database_ = std::move(filled);
  }
  static void TearDownTestSuite() { database_.reset(); }

  /// The plan of a page of `table`, newest first, as lists ask for it.
  static std::string plan(const PreparedSubject& subject, Type type, const Table& table, const std::string& from,
                          const std::string& order) {
    const SqlCondition condition = to_sql(make_filter(subject, Action::read, type), table);
    EXPECT_FALSE(condition.never());
    test::Session session(database_->conninfo());
    std::string arguments;
    for (const std::string& param : condition.params) arguments += (arguments.empty() ? "('" : ",'") + param + "'";
    if (!arguments.empty()) arguments += ")";
    session.query("PREPARE asked AS SELECT * FROM " + from + " WHERE " + condition.where + " ORDER BY " + order +
                  " LIMIT 100");
    return session.query("EXPLAIN (FORMAT JSON) EXECUTE asked" + arguments);
  }
  static std::string logs(const PreparedSubject& subject) {
    return plan(subject, Type::connection_log, *find_table("connection_logs"), "tallyd.connection_logs",
                "at DESC, entry DESC");
  }
  static void expect_index(const std::string& plan, std::string_view index) {
    EXPECT_EQ(plan.find("Seq Scan"), plan.npos) << plan;
    EXPECT_NE(plan.find(index), plan.npos) << "not " << index << ": " << plan;
  }

  static std::unique_ptr<test::TestDatabase> database_;
};
std::unique_ptr<test::TestDatabase> FilterPlans::database_;

TEST_F(FilterPlans, CL_02_AnOwnersListIsReadInItsOrder) {
  expect_index(logs(subject({"owner"})), "connection_logs_at");
}

TEST_F(FilterPlans, CL_02_AnAuditorOfOneOrgFindsItByItsIndex) {
  expect_index(logs(auditor_of(1)), "connection_logs_organization");
}

TEST_F(FilterPlans, CL_02_AnAuditorOfFiftyOrgsReadsNoWholeTable) {
  // A quarter of all rows: reading them in their order and leaving out the others is as good as asking for each org.
  expect_index(logs(auditor_of(50)), "connection_logs_");
}

TEST_F(FilterPlans, CL_02_AMembersOwnRowsAreFoundByTheirOwner) {
  std::vector<std::string> roles{"member"};
  for (int i = 0; i < 50; ++i) roles.push_back("organization-member:" + org(i));
  expect_index(plan(subject(roles), Type::task, *find_table("no_acl"), "public.events", "at DESC, id DESC"),
               "events_owner");
}

TEST_F(FilterPlans, CL_02_AMemberIsShownNoLogAtAll) {
  const auto member = subject({"member", "organization-member:" + org(0)});
  EXPECT_TRUE(to_sql(make_filter(member, Action::read, Type::connection_log), *find_table("connection_logs")).never());
}

TEST_F(FilterPlans, TokensAreFoundByTheirOwnerAndReadNewestFirst) {
  const std::string order = "created_at DESC, id DESC";
  expect_index(plan(subject({"member"}), Type::api_key, db::kTokenTable, "tallyd.api_tokens", order),
               "api_tokens_owner");
  expect_index(plan(subject({"owner"}), Type::api_key, db::kTokenTable, "tallyd.api_tokens", order),
               "api_tokens_newest");
}

TEST_F(FilterPlans, TheDirectoryIsReadByItsKeys) {
  expect_index(plan(subject({"member"}), Type::user, db::kUserTable, "tallyd.users", "id"), "users_pkey");
  expect_index(plan(auditor_of(1), Type::organization, db::kOrganizationTable, "tallyd.organizations", "id"),
               "organizations_pkey");
  expect_index(plan(auditor_of(50), Type::organization, db::kOrganizationTable, "tallyd.organizations", "id"),
               "organizations_pkey");
  expect_index(plan(auditor_of(1), Type::organization_member, db::kMemberTable, "tallyd.organization_members",
                    "organization_id, user_id"),
               "organization_members_pkey");
}

}  // namespace
}  // namespace tally::authz
