#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "authz/detail/role_tables.hpp"
#include "authz/scope.hpp"
#include "authz/system_subject.hpp"

/// The compiled tables say what the contract's data says, in both directions.
namespace tally::authz {
namespace {

namespace json = boost::json;

json::value read(const std::string& name) {
  std::ifstream in(std::string(AUTHZ_DATA) + "/" + name + ".json");
  std::stringstream text;
  text << in.rdbuf();
  return json::parse(text.str());
}

std::vector<std::string> sorted(const std::vector<Permission>& permissions) {
  std::vector<std::string> words;
  for (const Permission& each : permissions) {
    words.push_back((each.negate ? "-" : "") + each.resource_type + ":" + each.action);
  }
  std::sort(words.begin(), words.end());
  return words;
}

std::vector<std::string> sorted(const json::value& permissions) {
  std::vector<Permission> list;
  for (const json::value& each : permissions.as_array()) {
    list.push_back({json::value_to<std::string>(each.at("resource_type")),
                    json::value_to<std::string>(each.at("action")), each.at("negate").as_bool()});
  }
  return sorted(list);
}

constexpr std::string_view kOrg = "000000a1-0000-4000-8000-0000000000a1";

void expect_same(const Role& role, const json::value& wanted) {
  EXPECT_EQ(sorted(role.site.as_words()), sorted(wanted.at("site")));
  EXPECT_EQ(sorted(role.user.as_words()), sorted(wanted.at("user")));
  const json::object& by_org = wanted.at("by_org").as_object();
  ASSERT_EQ(role.by_org.size(), by_org.size());
  if (by_org.empty()) return;
  EXPECT_EQ(role.by_org.front().first, kOrg);
  EXPECT_EQ(sorted(role.by_org.front().second.org.as_words()), sorted(by_org.begin()->value().at("org")));
  EXPECT_EQ(sorted(role.by_org.front().second.member.as_words()), sorted(by_org.begin()->value().at("member")));
}

TEST(Catalog, IsTheContracts) {
  const json::value data = read("catalog");
  const json::object& resources = data.at("resources").as_object();
  EXPECT_EQ(resources.size(), kCatalog.size());
  for (const ResourceInfo& resource : kCatalog) {
    ASSERT_TRUE(resources.contains(resource.name)) << resource.name;
    const json::object& actions = resources.at(resource.name).at("actions").as_object();
    EXPECT_EQ(actions.size(), resource.actions.size()) << resource.name;
    EXPECT_EQ(resources.at(resource.name).at("note").as_string(), resource.note);
    for (const ActionInfo& each : resource.actions) {
      ASSERT_TRUE(actions.contains(name(each.action))) << resource.name << ':' << name(each.action);
      EXPECT_EQ(actions.at(name(each.action)).as_string(), each.summary);
    }
  }
}

TEST(NamedRoles, AreTheContracts) {
  const json::value data = read("roles");
  const json::object& roles = data.at("roles").as_object();
  EXPECT_EQ(roles.size(), named_roles().size());
  for (const NamedRole& named : named_roles()) {
    SCOPED_TRACE(named.name);
    const json::value& wanted = roles.at(named.name);
    EXPECT_EQ(wanted.at("display_name").as_string(), named.display_name);
    const std::string org(named.kind == RoleKind::site ? "" : kOrg);
    expect_same(expand_role(RoleName{std::string(named.name), org}).value(), wanted);
  }
}

TEST(NamedRoles, FollowTheirSwitches) {
  const Role owner = expand_role("owner", {.no_owner_workspace_exec = true}).value();
  std::vector<std::string> wanted = sorted(read("roles").at("roles").at("owner").at("site"));
  std::erase(wanted, "workspace:ssh");
  std::erase(wanted, "workspace:application_connect");
  EXPECT_EQ(sorted(owner.site.as_words()), wanted);

  const Role member = expand_role("member", {.no_workspace_sharing = true}).value();
  EXPECT_EQ(member.site.as_words().back(), (Permission{"workspace", "share", true}));
  EXPECT_EQ(member.site.as_words().size(), 4u);

  const std::string name = "organization-member:" + std::string(kOrg);
  const Role without = expand_role(name, {.workspace_sharing_disabled = {std::string(kOrg)}}).value();
  const json::value data = read("roles");
  const json::value& variant =
      data.at("roles").at("organization-member").at("variants").at("workspace_sharing_disabled");
  EXPECT_EQ(sorted(without.by_org.front().second.org.as_words()), sorted(variant.at("org")));
  EXPECT_EQ(sorted(without.by_org.front().second.member.as_words()), sorted(variant.at("member")));
  const Role elsewhere = expand_role(name, {.workspace_sharing_disabled = {"another"}}).value();
  expect_same(elsewhere, data.at("roles").at("organization-member"));
}

TEST(AssignableRoles, AreTheContracts) {
  const json::value data = read("roles");
  const json::object& wanted = data.at("assign").as_object();
  EXPECT_EQ(wanted.size(), std::size(detail::kAssignableRoles));
  for (const detail::AssignableRoles& rule : detail::kAssignableRoles) {
    std::vector<std::string> names;
    for (const json::value& each : wanted.at(rule.actor).as_array()) names.push_back(json::value_to<std::string>(each));
    EXPECT_EQ(std::vector<std::string>(rule.may_assign.begin(), rule.may_assign.end()), names) << rule.actor;
  }
}

TEST(NamedScopes, AreTheContracts) {
  const json::value data = read("scopes");
  std::size_t named = 0;
  for (const char* group : {"builtin", "composite"}) {
    for (const auto& [name, wanted] : data.at(group).as_object()) {
      SCOPED_TRACE(std::string(name));
      ++named;
      const Scope scope = expand_scope(name).value();
      expect_same(scope.role, wanted);
      EXPECT_EQ(scope.allow_list, AllowList{allow_everything()});
    }
  }
  EXPECT_EQ(named, built_in_scope_names().size() + composite_scope_names().size());
}

TEST(LowLevelScopes, AreEveryActionOfTheCatalog) {
  const json::value data = read("scopes");
  const json::object& wanted = data.at("low_level").as_object();
  for (const auto& [name, permission] : wanted) {
    const Result<Scope> scope = expand_scope(name);
    ASSERT_TRUE(scope) << name;
    const std::vector<Permission> words = scope->role.site.as_words();
    ASSERT_EQ(words.size(), 1u);
    EXPECT_EQ(words.front().resource_type, permission.at("resource_type").as_string());
    EXPECT_EQ(words.front().action, permission.at("action").as_string());
  }
  std::size_t count = 0;
  for (const ResourceInfo& resource : kCatalog) count += resource.actions.size() + 1;
  EXPECT_EQ(wanted.size(), count);
}

TEST(ExternalScopes, AreTheContracts) {
  const json::value data = read("scopes");
  std::vector<std::string> wanted;
  for (const char* group : {"special", "low_level", "composite"}) {
    for (const json::value& name : data.at("external").at(group).as_array()) {
      wanted.push_back(json::value_to<std::string>(name));
      EXPECT_TRUE(is_external_scope(wanted.back())) << wanted.back();
      EXPECT_TRUE(expand_scope(wanted.back())) << wanted.back();
    }
  }
  const auto names = external_scope_names();
  EXPECT_EQ(std::vector<std::string>(names.begin(), names.end()), wanted);
  for (const auto& [name, value] : data.at("low_level").as_object()) {
    const bool listed = std::find(wanted.begin(), wanted.end(), std::string(name)) != wanted.end();
    EXPECT_EQ(is_external_scope(name), listed) << name;
  }
}

TEST(SystemSubjects, AreTheContractsAndTheCollector) {
  const json::value data = read("system_subjects");
  const json::object& wanted = data.at("subjects").as_object();
  EXPECT_EQ(system_subjects().size(), wanted.size() + 1);
  for (const auto& [key, subject] : wanted) {
    SCOPED_TRACE(std::string(key));
    const Subject made = system_subject(key, "{user}", kOrg).value();
    EXPECT_EQ(made.id, subject.at("id").as_string());
    ASSERT_EQ(made.roles->size(), 1u);
    EXPECT_EQ(made.roles->front().name, subject.at("role").as_string());
    expect_same(made.roles->front(), subject);
    EXPECT_EQ(made.scope->role.name, subject.at("scope").as_string());
  }
}

}  // namespace
}  // namespace tally::authz
