#include <gtest/gtest.h>

#include "authz/custom_role.hpp"
#include "authz/decision.hpp"
#include "authz/explain.hpp"
#include "authz/filter.hpp"
#include "tests/authz/random_world.hpp"

/// What must hold for every subject and object, tried on random ones.
namespace tally::authz {
namespace {

constexpr int kSubjects = 3000;
constexpr int kQuestionsEach = 12;

/// Calls `check` with a fresh subject each time; stops at the first failure and says which round it was.
template <class Check>
void for_random_subjects(std::uint64_t salt, Check check) {
  for (int round = 0; round < kSubjects; ++round) {
    RandomWorld world(test_seed() + salt * 1'000'003 + static_cast<std::uint64_t>(round));
    SCOPED_TRACE("round " + std::to_string(round));
    check(world, world.subject());
    if (testing::Test::HasFailure()) return;
  }
}

std::string shown(const OwnedObject& object, const std::string& action) {
  return action + " on " + object.type + " id=" + object.id + " owner=" + object.owner + " org=" + object.org +
         (object.any_org ? " any_org" : "");
}

TEST(AnyDecision, IsTheOneThatTheRulesGiveWordByWord) {
  int allowed = 0, denied = 0;
  for_random_subjects(1, [&](RandomWorld& world, const Subject& subject) {
    const PreparedSubject prepared = prepare(subject).value();
    for (int i = 0; i < kQuestionsEach; ++i) {
      const OwnedObject object = world.object();
      const std::string action = world.action();
      const Decision decision = decide(prepared, ActionWord(action), object.object());
      const Decision wanted = explain(subject, ActionWord(action), object.object()).decision;
      ASSERT_EQ(decision.error, wanted.error) << shown(object, action);
      ASSERT_EQ(decision.allowed, wanted.allowed) << shown(object, action);
      ASSERT_EQ(word(decision.reason), word(wanted.reason)) << shown(object, action);
      const Decision or_prebuilt = decide_workspace_or_prebuilt(prepared, ActionWord(action), object.object());
      const auto in_words = explain_workspace_or_prebuilt(subject, ActionWord(action), object.object());
      ASSERT_EQ(or_prebuilt.allowed, in_words.back().decision.allowed) << shown(object, action);
      ASSERT_EQ(word(or_prebuilt.reason), word(in_words.back().decision.reason)) << shown(object, action);
      ++(decision.allowed ? allowed : denied);
    }
  });
  EXPECT_GT(allowed, kSubjects);
  EXPECT_GT(denied, kSubjects);
}

/// Some list of permissions that the role already has: a new org would make its holder a member there.
PermissionList& some_list(RandomWorld& world, Role& role) {
  const std::size_t which = world.below(2 + 2 * role.by_org.size());
  if (which == 0) return role.site;
  if (which == 1) return role.user;
  OrgPermissions& in_org = role.by_org[(which - 2) / 2].second;
  return which % 2 == 0 ? in_org.org : in_org.member;
}

void expect_no_more(RandomWorld& world, const Subject& before, const Subject& after) {
  const PreparedSubject prepared_before = prepare(before).value();
  const PreparedSubject prepared_after = prepare(after).value();
  for (int i = 0; i < kQuestionsEach; ++i) {
    const OwnedObject object = world.object();
    const std::string action = world.action();
    if (decide(prepared_before, ActionWord(action), object.object()).allowed) continue;
    ASSERT_FALSE(decide(prepared_after, ActionWord(action), object.object()).allowed) << shown(object, action);
  }
}

TEST(ANegativePermission, NeverAllowsMore) {
  for_random_subjects(2, [](RandomWorld& world, const Subject& subject) {
    if (subject.roles->empty()) return;
    Subject after = subject;
    Permission negative = world.permission();
    negative.negate = true;
    some_list(world, (*after.roles)[world.below(after.roles->size())]).own.push_back(negative);
    expect_no_more(world, subject, after);
  });
}

TEST(ANarrowerScope, NeverAllowsMore) {
  for_random_subjects(3, [](RandomWorld& world, const Subject& subject) {
    Subject after = subject;
    Scope& scope = *after.scope;
    switch (world.below(3)) {
      case 0: {
        Permission negative = world.permission();
        negative.negate = true;
        some_list(world, scope.role).own.push_back(negative);
        break;
      }
      case 1: {
        PermissionList& list = some_list(world, scope.role);
        list.built_in = {};
        std::erase_if(list.own, [](const Permission& each) { return !each.negate; });
        break;
      }
      default:
        scope.allow_list = intersect(scope.allow_list, world.scope().allow_list);
        break;
    }
    expect_no_more(world, subject, after);
  });
}

TEST(TwoAllowLists, AdmitTogetherWhatBothAdmit) {
  const auto admits = [](const AllowList& list, const OwnedObject& object) {
    Subject subject;
    subject.roles.emplace().push_back({"all", {{}, {{"*", "*", false}}}, {}, {}});
    subject.scope = expand_scope("coder:all").value();
    subject.scope->allow_list = list;
    return decide(prepare(subject).value(), Action::read, object.object()).allowed;
  };
  for (int round = 0; round < kSubjects; ++round) {
    RandomWorld world(test_seed() + 400'000 + static_cast<std::uint64_t>(round));
    const AllowList a = world.scope().allow_list, b = world.scope().allow_list;
    OwnedObject object = world.object();
    object.any_org = false;
    const AllowList lists[] = {a, b};
    ASSERT_EQ(admits(intersect(a, b), object), admits(a, object) && admits(b, object));
    ASSERT_EQ(admits(unite(lists), object), admits(a, object) || admits(b, object));
    ASSERT_EQ(admits(normalize(a), object), admits(a, object));
  }
}

TEST(AFilter, SelectsExactlyTheRowsThatSingleDecisionsAllow) {
  int passed = 0, dropped = 0;
  for_random_subjects(5, [&](RandomWorld& world, const Subject& subject) {
    const PreparedSubject prepared = prepare(subject).value();
    const std::string action = world.action();
    const std::string type = world.object().type;
    const Filter filter = make_filter(prepared, ActionWord(action), TypeWord(type));
    for (const Table& table : tables()) {
      for (int i = 0; i < 4; ++i) {
        const OwnedObject object = world.object();
        const Row row{object.id, object.owner, object.org, &object.acl_user, &object.acl_group};
        const Decision single = decide(prepared, ActionWord(action), as_object(table, TypeWord(type), row));
        // A table without owners compares none: rows there are nobody's own, not even of a subject without an id.
        if (!table.has_owner() && subject.id.empty()) continue;
        const bool passes = admits(filter, table, row);
        ASSERT_EQ(passes, single.allowed) << table.name << ": " << action << " on " << type << " id=" << object.id
                                          << " owner=" << object.owner << " org=" << object.org;
        ASSERT_TRUE(passes || !filter.always());
        ++(passes ? passed : dropped);
      }
    }
  });
  EXPECT_GT(passed, kSubjects);
  EXPECT_GT(dropped, kSubjects);
}

TEST(AnAcceptedCustomRole, NeverLetsItsMakerReachWhatItCouldNot) {
  int accepted = 0;
  for_random_subjects(6, [&](RandomWorld& world, Subject maker) {
    CustomRole role;
    role.name = "custom";
    role.org = RandomWorld::kOrgs[world.below(3)];
    for (std::size_t n = 1 + world.below(2); n > 0; --n) role.in_org.push_back(world.permission());
    Role org_maker;
    org_maker.name = "may-make-roles";
    org_maker.by_org.push_back({role.org, {{{}, {{"assign_org_role", "create", false}}}, {}}});
    maker.roles->push_back(org_maker);
    if (check_custom_role(prepare(maker).value(), CustomRoleOp::create, role)) return;
    ++accepted;
    Subject holder = maker;
    holder.roles->push_back(to_role(role));
    expect_no_more(world, maker, holder);
  });
  EXPECT_GT(accepted, 20);
}

TEST(AScopeThatCoversAnother, AllowsWhateverTheOtherAllows) {
  int covered = 0;
  for_random_subjects(7, [&](RandomWorld& world, Subject subject) {
    const Scope inner = world.scope();
    if (!covers(*subject.scope, inner)) return;
    ++covered;
    Subject narrowed = subject;
    narrowed.scope = inner;
    expect_no_more(world, subject, narrowed);
  });
  EXPECT_GT(covered, 100);
}

TEST(SeveralScopes, AllowTogetherWhatAnyNamedOneAllows) {
  std::vector<std::string_view> names(external_scope_names().begin(), external_scope_names().end());
  for (int round = 0; round < 300; ++round) {
    RandomWorld world(test_seed() + 800'000 + static_cast<std::uint64_t>(round));
    const Scope scopes[] = {expand_scope(names[world.below(names.size())]).value(),
                            expand_scope(names[world.below(names.size())]).value()};
    Subject subject;
    subject.roles.emplace().push_back({"all", {{}, {{"*", "*", false}}}, {}, {}});
    const auto allows = [&](const Scope& scope, ActionWord action, TypeWord type) {
      subject.scope = scope;
      return decide(prepare(subject).value(), action, {type, {}, {}, {}}).allowed;
    };
    const ResourceInfo& resource = kCatalog[1 + world.below(kTypeCount - 1)];
    const Action action = resource.actions[world.below(resource.actions.size())].action;
    ASSERT_EQ(allows(unite(scopes), action, resource.type),
              allows(scopes[0], action, resource.type) || allows(scopes[1], action, resource.type));
  }
}

}  // namespace
}  // namespace tally::authz
