#include "tests/authz/random_world.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>

namespace tally::authz {

const std::vector<std::string> RandomWorld::kTypes = {"workspace", "workspace", "template", "user", "mystery", "*"};
const std::vector<std::string> RandomWorld::kActions = {"read", "read", "update", "juggle", "*"};
const std::vector<std::string> RandomWorld::kOrgs = {"000000a1-0000-4000-8000-0000000000a1",
                                                     "000000a2-0000-4000-8000-0000000000a2",
                                                     "000000a3-0000-4000-8000-0000000000a3", std::string(kNilId), ""};
const std::vector<std::string> RandomWorld::kUsers = {"00000011-0000-4000-8000-000000000011",
                                                      "00000012-0000-4000-8000-000000000012", ""};
const std::vector<std::string> RandomWorld::kIds = {"000000b1-0000-4000-8000-0000000000b1",
                                                    "000000b2-0000-4000-8000-0000000000b2", ""};
const std::vector<std::string> RandomWorld::kGroups = {"000000c1-0000-4000-8000-0000000000c1",
                                                       "000000c2-0000-4000-8000-0000000000c2",
                                                       "000000a1-0000-4000-8000-0000000000a1", ""};

std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const char* given = std::getenv("TALLY_TEST_SEED");
    const std::uint64_t chosen = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "TALLY_TEST_SEED=" << chosen << '\n';
    return chosen;
  }();
  return seed;
}

Permission RandomWorld::permission() {
  return {type(), action(), once_in(4)};
}

PermissionList RandomWorld::permissions() {
  PermissionList list;
  if (once_in(3)) return list;
  for (std::size_t n = below(4); n > 0; --n) list.own.push_back(permission());
  return list;
}

Role RandomWorld::role() {
  if (once_in(5)) {
    const auto roles = named_roles();
    const NamedRole& named = roles[below(roles.size())];
    return expand_role(RoleName{std::string(named.name), named.kind == RoleKind::site ? "" : kOrgs[below(3)]}).value();
  }
  Role role;
  role.name = "r" + std::to_string(below(100));
  // Without these most questions would be settled by the site.
  if (once_in(3)) role.site = permissions();
  role.user = permissions();
  for (std::size_t n = below(3); n > 0; --n)
    role.by_org.emplace_back(org(), OrgPermissions{permissions(), permissions()});
  return role;
}

Scope RandomWorld::scope() {
  if (once_in(2)) return expand_scope("coder:all").value();
  Scope scope{role(), {}};
  scope.role.site.own.push_back({"*", "*", false});
  if (once_in(2)) scope.role.site = permissions();
  for (std::size_t n = below(4); n > 0; --n) scope.allow_list.push_back({type(), once_in(2) ? "*" : id()});
  return scope;
}

Subject RandomWorld::subject() {
  Subject subject;
  subject.id = once_in(12) ? "" : kUsers.front();
  subject.roles.emplace();
  for (std::size_t n = below(4); n > 0; --n) subject.roles->push_back(role());
  for (std::size_t n = below(4); n > 0; --n) subject.groups.push_back(pick(kGroups));
  subject.scope = scope();
  return subject;
}

Acl RandomWorld::acl(const std::vector<std::string>& holders) {
  Acl acl;
  if (!once_in(3)) return acl;
  for (std::size_t n = below(3); n > 0; --n) {
    const std::string word = action();
    const std::string_view words[] = {word};
    acl.set(pick(holders), words);
  }
  return acl;
}

OwnedObject RandomWorld::object() {
  OwnedObject object;
  object.type = type();
  object.id = id();
  object.owner = once_in(10) ? "*" : pick(kUsers);
  object.org = org();
  object.any_org = once_in(5);
  if (object.any_org && !once_in(4)) object.org = once_in(2) ? "" : std::string(kNilId);
  object.acl_user = acl(kUsers);
  object.acl_group = acl(once_in(2) ? kGroups : kOrgs);
  return object;
}

}  // namespace tally::authz
