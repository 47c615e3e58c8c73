#pragma once
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "authz/object.hpp"
#include "authz/subject.hpp"

namespace tally::authz {

/// The seed of this run, printed once; TALLY_TEST_SEED brings a run back.
std::uint64_t test_seed();

/// Objects and rows own their texts here.
struct OwnedObject {
  std::string type;
  std::string id;
  std::string owner;
  std::string org;
  bool any_org = false;
  Acl acl_user;
  Acl acl_group;
  Object object() const { return {TypeWord(type), id, owner, org, any_org, &acl_user, &acl_group}; }
};

/// Makes subjects and objects out of very few words, so that they meet often; odd words, empty ids and `*` among them.
class RandomWorld {
 public:
  explicit RandomWorld(std::uint64_t seed) : random_(seed) {}

  Subject subject();
  Role role();
  Scope scope();
  OwnedObject object();
  Permission permission();
  std::string action() { return pick(kActions); }
  std::string org() { return pick(kOrgs); }
  std::string id() { return pick(kIds); }
  std::size_t below(std::size_t bound) { return random_() % bound; }
  bool once_in(std::size_t n) { return below(n) == 0; }

  static const std::vector<std::string> kTypes, kActions, kOrgs, kUsers, kIds, kGroups;

 private:
  const std::string& pick(const std::vector<std::string>& words) { return words[below(words.size())]; }
  PermissionList permissions();
  Acl acl(const std::vector<std::string>& holders);
  std::string type() { return pick(kTypes); }

  std::mt19937_64 random_;
};

}  // namespace tally::authz
