#include "daemon/auth/detail/book_file.hpp"

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "daemon/detail/durable_file.hpp"

namespace tally::daemon::detail {
namespace {

namespace json = boost::json;
using tracker::Uuid;

constexpr int kVersion = 2;

std::string to_hex(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

std::array<std::uint8_t, 32> from_hex(std::string_view text) {
  std::array<std::uint8_t, 32> bytes{};
  if (text.size() != 64) throw std::invalid_argument("hash");
  for (std::size_t i = 0; i < 32; ++i)
    bytes[i] = static_cast<std::uint8_t>(std::stoi(std::string(text.substr(2 * i, 2)), nullptr, 16));
  return bytes;
}

json::array texts(const std::vector<std::string>& list) {
  json::array array;
  for (const auto& text : list) array.emplace_back(text);
  return array;
}

std::vector<std::string> texts(const json::value& value) {
  std::vector<std::string> list;
  for (const auto& text : value.as_array()) list.emplace_back(text.as_string());
  return list;
}

Uuid uuid(const json::value& value) {
  const auto parsed = Uuid::parse(value.as_string());
  if (!parsed) throw std::invalid_argument("uuid");
  return *parsed;
}

json::object to_json(const db::Token& token) {
  json::object object{{"id", token.id},
                      {"sha256", to_hex(token.secret_sha256)},
                      {"kind", static_cast<int>(token.kind)},
                      {"system_subject", token.system_subject},
                      {"scopes", texts(token.scopes)},
                      {"allow_list", texts(token.allow_list)},
                      {"name", token.name},
                      {"version", token.version}};
  if (token.user_id) object["user_id"] = token.user_id->to_string();
  if (token.expires_at_us) object["expires_at_us"] = *token.expires_at_us;
  if (token.revoked_at_us) object["revoked_at_us"] = *token.revoked_at_us;
  if (token.agent) {
    json::object agent{{"workspace", token.agent->workspace.to_string()},
                       {"owner", token.agent->owner.to_string()},
                       {"template", token.agent->template_id.to_string()},
                       {"version", token.agent->version.to_string()},
                       {"no_user_data", token.agent->no_user_data}};
    if (token.agent->task) agent["task"] = token.agent->task->to_string();
    object["agent"] = std::move(agent);
  }
  return object;
}

db::Token token_from(const json::object& object) {
  db::Token token;
  token.id = object.at("id").as_string();
  token.secret_sha256 = from_hex(object.at("sha256").as_string());
  const auto kind = object.at("kind").as_int64();
  if (kind < 0 || kind > 2) throw std::invalid_argument("kind");
  token.kind = static_cast<db::SubjectKind>(kind);
  token.system_subject = object.at("system_subject").as_string();
  token.scopes = texts(object.at("scopes"));
  token.allow_list = texts(object.at("allow_list"));
  token.version = object.at("version").as_int64();
  if (const auto* name = object.if_contains("name")) token.name = name->as_string();
  if (const auto* id = object.if_contains("user_id")) token.user_id = uuid(*id);
  if (const auto* at = object.if_contains("expires_at_us")) token.expires_at_us = at->as_int64();
  if (const auto* at = object.if_contains("revoked_at_us")) token.revoked_at_us = at->as_int64();
  if (const auto* bound = object.if_contains("agent")) {
    const json::object& from = bound->as_object();
    db::AgentBinding agent;
    agent.workspace = uuid(from.at("workspace"));
    agent.owner = uuid(from.at("owner"));
    agent.template_id = uuid(from.at("template"));
    agent.version = uuid(from.at("version"));
    agent.no_user_data = from.at("no_user_data").as_bool();
    if (const auto* task = from.if_contains("task")) agent.task = uuid(*task);
    token.agent = agent;
  }
  if (token.kind == db::SubjectKind::agent && !token.agent) throw std::invalid_argument("agent");
  if (token.kind == db::SubjectKind::user && !token.user_id) throw std::invalid_argument("user");
  return token;
}

json::object to_json(const db::User& user) {
  return {{"id", user.id.to_string()},  {"username", user.username},          {"email", user.email},
          {"roles", texts(user.roles)}, {"org_roles", texts(user.org_roles)}, {"groups", texts(user.groups)},
          {"version", user.version}};
}

db::User user_from(const json::object& object) {
  db::User user;
  user.id = uuid(object.at("id"));
  user.username = object.at("username").as_string();
  user.email = object.at("email").as_string();
  user.roles = texts(object.at("roles"));
  user.org_roles = texts(object.at("org_roles"));
  user.groups = texts(object.at("groups"));
  user.version = object.at("version").as_int64();
  return user;
}

json::object to_json(const db::CustomRole& role) {
  return {{"organization", role.organization.to_string()},
          {"name", role.name},
          {"is_system", role.is_system},
          {"org", texts(role.org_permissions)},
          {"member", texts(role.member_permissions)},
          {"version", role.version}};
}

db::CustomRole role_from(const json::object& object) {
  db::CustomRole role;
  role.organization = uuid(object.at("organization"));
  role.name = object.at("name").as_string();
  role.is_system = object.at("is_system").as_bool();
  role.org_permissions = texts(object.at("org"));
  role.member_permissions = texts(object.at("member"));
  role.version = object.at("version").as_int64();
  return role;
}

}  // namespace

std::optional<db::RightsChanges> read_book_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  try {
    const json::value root = json::parse(text.str());
    if (root.at("format").as_int64() != kVersion) return std::nullopt;
    db::RightsChanges all;
    all.version = root.at("version").as_int64();
    for (const auto& token : root.at("tokens").as_array()) all.tokens.push_back(token_from(token.as_object()));
    for (const auto& user : root.at("users").as_array()) all.users.push_back(user_from(user.as_object()));
    for (const auto& role : root.at("custom_roles").as_array()) all.roles.push_back(role_from(role.as_object()));
    return all;
  } catch (const std::exception&) {
    return std::nullopt;  // asked anew from the database
  }
}

bool write_book_file(const std::string& path, const db::RightsChanges& all) {
  json::array tokens;
  for (const auto& token : all.tokens) tokens.push_back(to_json(token));
  json::array users;
  for (const auto& user : all.users) users.push_back(to_json(user));
  json::array roles;
  for (const auto& role : all.roles) roles.push_back(to_json(role));
  const std::string text = json::serialize(json::object{{"format", kVersion},
                                                        {"version", all.version},
                                                        {"tokens", std::move(tokens)},
                                                        {"users", std::move(users)},
                                                        {"custom_roles", std::move(roles)}});
  return replace_file(path, text);
}

}  // namespace tally::daemon::detail
