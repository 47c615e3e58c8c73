#include <algorithm>
#include <boost/json.hpp>
#include <iostream>
#include <iterator>

#include "authz/role.hpp"
#include "daemon/cli/arguments.hpp"
#include "daemon/cli/database.hpp"
#include "daemon/log.hpp"

namespace tally::daemon::cli {
namespace {

struct PutOptions : DatabaseOptions {
  explicit PutOptions(CLI::App& command) : DatabaseOptions(command) {
    command.add_option("--id", id, "Who it is, on the whole platform")->required()->type_name("UUID");
    command.add_option("--username", username, "Unique name")->required()->type_name("NAME");
    command.add_option("--email", email, "E-mail address")->type_name("ADDRESS");
    command.add_option("--role", roles, "Site role, as owner or auditor; may be repeated; all others are taken away")
        ->type_name("ROLE")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  std::string id, username, email;
  std::vector<std::string> roles;
};

void check_text(const std::string& flag, const std::string& text) {
  if (text.size() > 256) throw UsageError(flag + ": at most 256 bytes");
  if (printable(text) != text) throw UsageError(flag + ": control characters cannot be part of it");
}

void check_role(const std::string& role) {
  std::string known;
  for (const authz::NamedRole& named : authz::named_roles()) {
    if (named.kind != authz::RoleKind::site) continue;
    if (named.name == role) return;
    known.append(known.empty() ? "" : ", ").append(named.name);
  }
  throw UsageError("--role: there is no site role " + role, "it is one of " + known);
}

int put(const PutOptions& options) {
  db::User user;
  user.id = real_uuid_argument("--id", options.id);
  check_text("--username", options.username);
  check_text("--email", options.email);
  for (const std::string& role : options.roles) check_role(role);
  if (options.username.empty()) throw UsageError("--username: a user needs a name");
  user.username = options.username;
  user.email = options.email;
  user.roles = options.roles;
  Database database(options.flags.load().now(), Database::Need::schema);
  const auto created = database.attempt(database.directory().put_user(user, db::Seen::anything(), database.actor()));
  if (!created && created.error() == tracker::Errc::conflict)
    throw CommandError("the name " + options.username + " belongs to another user", "see `tallyd user list`");
  if (!created) database.fail("keep the user", created.error());
  log::audit(created->created ? "user created" : "user changed", {{"user", user.id.to_string()},
                                                                  {"username", user.username},
                                                                  {"by", database.actor()},
                                                                  {"detail", log::Json{created->detail}}});
  if (options.json())
    std::cout << boost::json::object{{"id", user.id.to_string()}, {"created", created->created}} << '\n';
  else
    std::cout << (created->created ? "created " : "updated ") << user.id.to_string() << '\n';
  return 0;
}

std::vector<db::User> all_users(Database& database) {
  constexpr std::int64_t kAtOnce = 1000;
  std::vector<db::User> all;
  db::Page page;
  page.limit = kAtOnce;
  while (true) {
    std::vector<db::User> users = database.wait("list the users", database.directory().list_users(page));
    const bool last = users.size() < static_cast<std::size_t>(kAtOnce);
    if (!last) page.after = users.back().id;
    all.insert(all.end(), std::make_move_iterator(users.begin()), std::make_move_iterator(users.end()));
    if (last) break;
  }
  std::sort(all.begin(), all.end(), [](const db::User& a, const db::User& b) { return a.username < b.username; });
  return all;
}

int list(const DatabaseOptions& options) {
  Database database(options.flags.load().now(), Database::Need::schema);
  const auto users = all_users(database);
  if (options.json()) {
    boost::json::array all;
    for (const db::User& user : users)
      all.push_back(boost::json::object{{"id", user.id.to_string()},
                                        {"username", user.username},
                                        {"email", user.email},
                                        {"roles", boost::json::array(user.roles.begin(), user.roles.end())}});
    std::cout << boost::json::object{{"users", std::move(all)}} << '\n';
    return 0;
  }
  Table table{"ID", "USERNAME", "EMAIL", "ROLES"};
  for (const db::User& user : users) {
    std::string roles;
    for (const std::string& role : user.roles) roles += (roles.empty() ? "" : " ") + role;
    table.add({user.id.to_string(), user.username, user.email, roles});
  }
  table.print(std::cout);
  return 0;
}

struct DeleteOptions : DatabaseOptions {
  explicit DeleteOptions(CLI::App& command) : DatabaseOptions(command) {
    command.add_option("ID", id, "The user's UUID")->required()->type_name("");
  }
  std::string id;
};

int remove(const DeleteOptions& options) {
  const tracker::Uuid id = real_uuid_argument("ID", options.id);
  Database database(options.flags.load().now(), Database::Need::schema);
  const auto done = database.attempt(database.directory().delete_user(id, db::Seen::anything(), database.actor()));
  if (!done && done.error() == tracker::Errc::not_found)
    throw CommandError("there is no user " + id.to_string(), "see `tallyd user list`");
  if (!done) database.fail("delete the user", done.error());
  log::audit("user deleted", {{"user", id.to_string()}, {"by", database.actor()}, {"detail", log::Json{done->detail}}});
  if (options.json())
    std::cout << boost::json::object{{"id", id.to_string()}, {"deleted", true}} << '\n';
  else
    std::cout << "deleted " << id.to_string() << " and revoked its tokens\n";
  return 0;
}

}  // namespace

void add_user_commands(CommandLine& line) {
  CLI::App& group = add_group(line.app, "user", "Keep users: the first owner; all others can come through the API");
  add_work(line, group, "put", "Make a user, or change one",
           {"user put --id 7d6f... --username ada --email ada@example.org --role owner"}, put);
  add_work(line, group, "list", "List users", {"user list", "user list --output json"}, list);
  add_work(line, group, "delete", "Delete a user and revoke its tokens", {"user delete 7d6f..."}, remove);
}

}  // namespace tally::daemon::cli
