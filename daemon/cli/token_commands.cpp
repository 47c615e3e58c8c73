#include <boost/json.hpp>
#include <iostream>

#include "authz/allow_list.hpp"
#include "authz/scope.hpp"
#include "authz/system_subject.hpp"
#include "daemon/api/render.hpp"
#include "daemon/auth/caller.hpp"
#include "daemon/auth/token_secret.hpp"
#include "daemon/cli/arguments.hpp"
#include "daemon/cli/database.hpp"
#include "daemon/log.hpp"
#include "daemon/units.hpp"

namespace tally::daemon::cli {
namespace {

struct CreateOptions : DatabaseOptions {
  explicit CreateOptions(CLI::App& command) : DatabaseOptions(command) {
    command
        .add_option("--subject", subject, "For a part of the platform: boundary-usage-tracker, connection-logger, ...")
        ->type_name("NAME");
    command.add_option("--user", user, "For a user, see `tallyd user list`")->type_name("UUID");
    command.add_flag("--agent", agent, "For the agent of one workspace; needs the four ids below");
    command.add_option("--workspace", workspace, "The agent's workspace")->type_name("UUID");
    command.add_option("--owner", owner, "Owner of that workspace")->type_name("UUID");
    command.add_option("--template", template_id, "Its template")->type_name("UUID");
    command.add_option("--version", version, "Its template version")->type_name("UUID");
    command.add_option("--task", task, "Its task, if it has one")->type_name("UUID");
    command.add_flag("--no-user-data", no_user_data, "The agent may not read its owner's data");
    command.add_option("--scope", scopes, "Narrow to this scope; may be repeated (default coder:all)")
        ->type_name("SCOPE")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command.add_option("--allow", allow, "Narrow to this object; may be repeated (default *:*)")
        ->type_name("TYPE:ID")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command.add_option("--expires", expires, "Ends after this time (default never)")->type_name("DURATION");
    command.add_option("--name", name, "A note for `token list`")->type_name("TEXT");
  }
  std::string subject, user;
  bool agent = false;
  std::string workspace, owner, template_id, version, task;
  bool no_user_data = false;
  std::vector<std::string> scopes, allow;
  std::string expires, name;
};

db::AgentBinding agent_binding(const CreateOptions& options) {
  db::AgentBinding agent;
  agent.workspace = real_uuid_argument("--workspace", options.workspace);
  agent.owner = real_uuid_argument("--owner", options.owner);
  agent.template_id = real_uuid_argument("--template", options.template_id);
  agent.version = real_uuid_argument("--version", options.version);
  if (!options.task.empty()) agent.task = real_uuid_argument("--task", options.task);
  agent.no_user_data = options.no_user_data;
  return agent;
}

void set_subject(db::Token& token, const CreateOptions& options) {
  const int given = !options.subject.empty() + !options.user.empty() + options.agent;
  if (given != 1)
    throw UsageError("a token is for one of --subject, --user or --agent", "see `tallyd token create --help`");
  const bool agent_detail =
      options.no_user_data ||
      !(options.workspace + options.owner + options.template_id + options.version + options.task).empty();
  if (!options.agent && agent_detail)
    throw UsageError("--workspace, --owner, --template, --version, --task and --no-user-data go with --agent");
  if (options.agent) {
    token.kind = db::SubjectKind::agent;
    token.agent = agent_binding(options);
  } else if (!options.user.empty()) {
    token.kind = db::SubjectKind::user;
    token.user_id = real_uuid_argument("--user", options.user);
  } else {
    const authz::SystemSubject* subject = authz::find_system_subject_by_flag(options.subject);
    if (subject == nullptr) {
      std::string known;
      for (const authz::SystemSubject& each : authz::system_subjects())
        known += (known.empty() ? "" : ", ") + authz::flag(each);
      throw UsageError("--subject: there is no " + options.subject, "it is one of " + known);
    }
    token.kind = db::SubjectKind::system;
    token.system_subject = subject->key;
  }
}

void set_rights(db::Token& token, const CreateOptions& options) {
  for (const std::string& scope : options.scopes) {
    if (!authz::expand_scope(authz::resolve_scope_alias(scope)))
      throw UsageError("--scope: there is no " + scope, "it is coder:all, coder:application_connect, or TYPE:ACTION");
    token.scopes.push_back(scope);
  }
  for (const std::string& entry : options.allow)
    if (!authz::parse_allow_entry(entry))
      throw UsageError("--allow: \"" + entry + "\" names no object", "write TYPE:ID, TYPE:* or *:*, the id as a UUID");
  if (!authz::parse_allow_list(options.allow))
    throw UsageError("--allow: at most " + std::to_string(authz::kMaxAllowEntries) + " objects can be listed");
  token.allow_list = options.allow;
}

void set_expiry(db::Token& token, const CreateOptions& options, const tracker::Clock& clock) {
  if (options.expires.empty()) return;
  const auto after = parse_duration(options.expires);
  if (!after || after->count() == 0)
    throw UsageError("--expires: \"" + options.expires + "\" is not a time",
                     "write a number and s, m, h or d, as in 24h");
  token.expires_at_us = std::chrono::microseconds((clock.wall() + *after).time_since_epoch()).count();
}

/// Whoever the token is for must exist, and its rights must add up: better said here than at the first request.
void check_rights(Database& database, const db::Token& token) {
  std::optional<db::User> user;
  if (token.user_id) {
    user = database.wait("look up the user", database.directory().find_user(*token.user_id));
    if (!user) throw CommandError("there is no user " + token.user_id->to_string(), "make it with `tallyd user put`");
  }
  const auto caller = make_caller(token, user ? &*user : nullptr, {});
  if (!caller) throw UsageError("these rights do not add up: " + caller.error().message());
}

int create(const CreateOptions& options) {
  if (options.name.size() > 256) throw UsageError("--name: at most 256 bytes");
  db::Token token;
  token.name = options.name;
  set_subject(token, options);
  set_rights(token, options);
  Database database(options.flags.load().now(), Database::Need::schema);
  set_expiry(token, options, database.clock());
  check_rights(database, token);
  const TokenSecret secret = make_token_secret();
  token.id = secret.id;
  token.secret_sha256 = secret.secret_sha256;
  token.created_by = database.actor();
  const auto [made, detail] = database.wait("make the token", database.tokens().create(token, database.actor()));
  log::audit("token created",
             {{"token", made.id}, {"name", made.name}, {"by", database.actor()}, {"detail", log::Json{detail}}});
  if (options.json()) {
    boost::json::object answer{{"token", secret.text()}, {"id", made.id}};
    if (made.expires_at_us) answer["expires_at"] = api::rfc3339(*made.expires_at_us);
    std::cout << answer << '\n';
  } else {
    std::cout << secret.text() << '\n';
  }
  return 0;
}

struct ListOptions : DatabaseOptions {
  explicit ListOptions(CLI::App& command) : DatabaseOptions(command) {
    command.add_flag("--all", all, "Revoked and expired ones too");
  }
  bool all = false;
};

std::string subject_text(const db::Token& token) {
  switch (token.kind) {
    case db::SubjectKind::user:
      return "user:" + token.user_id->to_string();
    case db::SubjectKind::agent:
      return "agent:" + token.agent->workspace.to_string();
    case db::SubjectKind::system:
      if (const auto* subject = authz::find_system_subject(token.system_subject)) return authz::flag(*subject);
      return token.system_subject;
  }
  return {};
}

std::string state_text(const db::Token& token, std::int64_t now_us) {
  if (token.revoked_at_us) return "revoked";
  return token.expires_at_us && *token.expires_at_us <= now_us ? "expired" : "good";
}

std::string joined(const std::vector<std::string>& texts, const char* if_empty) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : " ") + text;
  return all.empty() ? if_empty : all;
}

boost::json::object to_json(const db::Token& token, const std::string& state) {
  const auto time = [](std::optional<std::int64_t> at) -> boost::json::value {
    return at ? boost::json::value(api::rfc3339(*at)) : boost::json::value();
  };
  return {{"id", token.id},
          {"subject", subject_text(token)},
          {"name", token.name},
          {"scopes", boost::json::array(token.scopes.begin(), token.scopes.end())},
          {"allow_list", boost::json::array(token.allow_list.begin(), token.allow_list.end())},
          {"state", state},
          {"created_by", token.created_by},
          {"created_at", api::rfc3339(token.created_at_us)},
          {"expires_at", time(token.expires_at_us)},
          {"revoked_at", time(token.revoked_at_us)},
          {"last_used_at", time(token.last_used_at_us)}};
}

int list(const ListOptions& options) {
  Database database(options.flags.load().now(), Database::Need::schema);
  const auto tokens = database.wait("list the tokens", database.tokens().list(options.all));
  const auto now_us = std::chrono::microseconds(database.clock().wall().time_since_epoch()).count();
  if (options.json()) {
    boost::json::array all;
    for (const db::Token& token : tokens) all.push_back(to_json(token, state_text(token, now_us)));
    std::cout << boost::json::object{{"tokens", std::move(all)}} << '\n';
    return 0;
  }
  Table table{"ID", "FOR", "NAME", "SCOPES", "OBJECTS", "CREATED", "EXPIRES", "STATE"};
  for (const db::Token& token : tokens)
    table.add({token.id, subject_text(token), token.name, joined(token.scopes, "coder:all"),
               joined(token.allow_list, "*:*"), time_text(token.created_at_us),
               token.expires_at_us ? time_text(*token.expires_at_us) : "never", state_text(token, now_us)});
  table.print(std::cout);
  return 0;
}

struct RevokeOptions : DatabaseOptions {
  explicit RevokeOptions(CLI::App& command) : DatabaseOptions(command) {
    command.add_option("ID", id, "The 10 characters behind tly_, see `tallyd token list`")->required()->type_name("");
  }
  std::string id;
};

int revoke(const RevokeOptions& options) {
  if (!is_token_id(options.id))
    throw UsageError("that is not the id of a token", "give only the 10 characters behind tly_, never the whole token");
  Database database(options.flags.load().now(), Database::Need::schema);
  const auto done = database.attempt(database.tokens().revoke(options.id, database.actor()));
  if (!done && done.error() == tracker::Errc::not_found)
    throw CommandError("there is no token " + options.id, "see `tallyd token list --all`");
  if (!done) database.fail("revoke the token", done.error());
  if (!done->empty())
    log::audit("token revoked", {{"token", options.id}, {"by", database.actor()}, {"detail", log::Json{*done}}});
  if (options.json())
    std::cout << boost::json::object{{"id", options.id}, {"state", "revoked"}} << '\n';
  else
    std::cout << "revoked " << options.id << "; every replica refuses it within 5 s\n";
  return 0;
}

}  // namespace

void add_token_commands(CommandLine& line) {
  CLI::App& group = add_group(line.app, "token", "Make, list and revoke bearer tokens, with the daemon up or down");
  add_work(line, group, "create", "Make a token and print it, once and alone",
           {"token create --subject boundary-usage-tracker",
            "token create --user 7d6f... --scope workspace:read --expires 24h",
            "token create --agent --workspace UUID --owner UUID --template UUID --version UUID"},
           create);
  add_work(line, group, "list", "List tokens; their secrets are not known to anyone",
           {"token list", "token list --all --output json"}, list);
  add_work(line, group, "revoke", "End a token", {"token revoke 4fGh0aBcDe"}, revoke);
}

}  // namespace tally::daemon::cli
