#include <gtest/gtest.h>

#include <map>

#include "authz/filter.hpp"
#include "tests/authz/random_world.hpp"
#include "tests/support/postgres.hpp"

/// The WHERE that a filter becomes, on a real server: it selects the rows that the filter admits in memory.
namespace tally::authz {
namespace {

using Holders = std::map<std::string, std::vector<std::string>>;

struct StoredRow {
  std::string id;
  std::string owner;
  std::string org;
  Holders acl_user;
  Holders acl_group;
};

const std::vector<std::string> kRowIds = [] {
  std::vector<std::string> ids;
  for (char digit : std::string("0123456789abcdef"))
    ids.push_back("000000b" + std::string(1, digit) + "-0000-4000-8000-000000000000");
  return ids;
}();
const std::string kOddAction = "ju\"g\\g'l{e},";

Acl as_acl(const Holders& holders) {
  Acl acl;
  for (const auto& [who, actions] : holders) {
    const std::vector<std::string_view> words(actions.begin(), actions.end());
    acl.set(who, words);
  }
  return acl;
}

std::string json_text(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string as_json(const Holders& holders, bool nested) {
  std::string json;
  for (const auto& [who, actions] : holders) {
    std::string list;
    for (const std::string& action : actions) list += (list.empty() ? "" : ",") + json_text(action);
    list = "[" + list + "]";
    json += (json.empty() ? "" : ",") + json_text(who) + ":" + (nested ? "{\"permissions\":" + list + "}" : list);
  }
  return "{" + json + "}";
}

std::string sql_text(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

std::string sql_uuid(const std::string& text) {
  return text.empty() ? "NULL" : sql_text(text);
}

class RandomRows {
 public:
  explicit RandomRows(RandomWorld& world) : world_(world) {}

  std::vector<StoredRow> make() {
    std::vector<StoredRow> rows;
    for (const std::string& id : kRowIds) {
      const auto& users = RandomWorld::kUsers;
      rows.push_back(
          {id, users[world_.below(users.size())], world_.org(), holders(users), holders(RandomWorld::kGroups)});
    }
    return rows;
  }

 private:
  Holders holders(const std::vector<std::string>& names) {
    Holders result;
    for (std::size_t n = world_.below(3); n > 0; --n) {
      result[names[world_.below(names.size())]] = {world_.action(), world_.once_in(3) ? kOddAction : "ssh"};
    }
    return result;
  }

  RandomWorld& world_;
};

std::string insert(const std::vector<StoredRow>& rows, const Table& table) {
  std::string sql = "DELETE FROM rows; INSERT INTO rows VALUES ";
  for (const StoredRow& row : rows) {
    sql += (&row == &rows.front() ? "(" : ",(") + sql_uuid(row.id) + "," + sql_uuid(row.org) + "," +
           sql_uuid(row.owner) + "," + sql_uuid(row.owner) + "," +
           sql_text(as_json(row.acl_user, table.acl_nests_permissions)) + "," +
           sql_text(as_json(row.acl_group, table.acl_nests_permissions)) + ")";
  }
  return sql + ";";
}

std::string select(const SqlCondition& condition) {
  std::string arguments;
  for (const std::string& param : condition.params) arguments += (arguments.empty() ? "(" : ",") + sql_text(param);
  if (!arguments.empty()) arguments += ")";
  return "DEALLOCATE ALL; PREPARE asked AS SELECT string_agg(id::text, ' ' ORDER BY id) FROM rows WHERE " +
         condition.where + "; EXECUTE asked" + arguments;
}

TEST(AnSqlFilterOnAServer, SelectsTheRowsThatTheFilterAdmits) {
  test::TestDatabase database(test::TestDatabase::Schema::none);
  test::Session session(database.conninfo());
  session.query(
      "CREATE TABLE rows (id uuid, organization_id uuid, owner_id uuid, initiator_id uuid, user_acl jsonb, group_acl "
      "jsonb)");
  int selected = 0;
  for (int round = 0; round < 400; ++round) {
    RandomWorld world(test_seed() + 9'000'000 + static_cast<std::uint64_t>(round));
    SCOPED_TRACE("round " + std::to_string(round));
    const PreparedSubject subject = prepare(world.subject()).value();
    const std::string action = world.once_in(6) ? kOddAction : world.action();
    const std::string type = world.object().type;
    const Filter filter = make_filter(subject, ActionWord(action), TypeWord(type));
    const Table& table = tables()[world.below(tables().size())];
    const std::vector<StoredRow> rows = RandomRows(world).make();
    std::string wanted;
    for (const StoredRow& row : rows) {
      const Acl users = as_acl(row.acl_user), groups = as_acl(row.acl_group);
      if (!admits(filter, table, {row.id, row.owner, row.org, &users, &groups})) continue;
      wanted += (wanted.empty() ? "" : " ") + row.id;
      ++selected;
    }
    session.query(insert(rows, table));
    const SqlCondition condition = to_sql(filter, table);
    ASSERT_EQ(session.query(select(condition)), wanted) << table.name << ": " << condition.where;
  }
  EXPECT_GT(selected, 200);
}

}  // namespace
}  // namespace tally::authz
