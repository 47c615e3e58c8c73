#include <benchmark/benchmark.h>

#include <cstdio>
#include <iostream>
#include <string_view>

#include "authz/decision.hpp"
#include "authz/subject.hpp"

/// Decisions on prepared subjects, and preparing them. `authz_bench policy ROLES` prints the same roles and questions
/// for a peer.
namespace {

using namespace tally::authz;

std::string uuid(unsigned number) {
  char text[37];
  std::snprintf(text, sizeof text, "%08x-0000-4000-8000-%012x", number, number);
  return text;
}

const std::string kMe = uuid(0x11);
const std::string kOther = uuid(0x12);

/// `member`, and in each org `organization-member`; without orgs two more roles of the site.
std::vector<std::string> role_names(int orgs) {
  std::vector<std::string> names = {"member"};
  if (orgs == 0) names.insert(names.end(), {"auditor", "template-admin"});
  for (int i = 0; i < orgs; ++i) {
    names.push_back("organization-member:" + uuid(0xa000 + static_cast<unsigned>(i)));
    if (i % 5 == 0) names.push_back("organization-admin:" + uuid(0xa000 + static_cast<unsigned>(i)));
  }
  return names;
}

Subject subject(int orgs) {
  Subject subject;
  subject.id = kMe;
  subject.roles.emplace();
  for (const std::string& role : role_names(orgs)) subject.roles->push_back(expand_role(role).value());
  for (unsigned i = 0; i < 10; ++i) subject.groups.push_back(uuid(0xc000 + i));
  subject.scope = expand_scope("coder:all").value();
  return subject;
}

struct Asked {
  Type type;
  Action action;
  std::string owner;
  std::string org;
};

/// A mixture of what a platform asks, the same for each run: allowed and denied, own things and those of others.
std::vector<Asked> questions(int orgs) {
  std::vector<Asked> asked;
  for (unsigned i = 0; i < 1024; ++i) {
    const unsigned mixed = i * 2654435761u;
    const ResourceInfo& resource = kCatalog[1 + mixed % (kTypeCount - 1)];
    const Action action = resource.actions[mixed / 64 % resource.actions.size()].action;
    const std::string org = i % 4 == 0 ? "" : uuid(0xa000 + mixed / 1024 % static_cast<unsigned>(orgs + 2));
    asked.push_back({resource.type, action, i % 3 == 0 ? kMe : kOther, org});
  }
  return asked;
}

void decide_on(benchmark::State& state) {
  const PreparedSubject prepared = prepare(subject(static_cast<int>(state.range(0)))).value();
  const std::vector<Asked> asked = questions(static_cast<int>(state.range(0)));
  std::size_t i = 0;
  for (auto _ : state) {
    const Asked& question = asked[i++ % asked.size()];
    const Object object{question.type, {}, question.owner, question.org};
    benchmark::DoNotOptimize(decide(prepared, question.action, object));
  }
}
BENCHMARK(decide_on)->Name("decide/orgs")->Arg(0)->Arg(3)->Arg(50);

void decide_shared(benchmark::State& state) {
  const PreparedSubject prepared = prepare(subject(static_cast<int>(state.range(0)))).value();
  const std::string_view read[] = {"read"};
  Acl users, groups;
  for (unsigned i = 0; i < 8; ++i) {
    users.set(uuid(0xe000 + i), read);
    groups.set(uuid(0xf000 + i), read);
  }
  const std::string org = uuid(0xa001);
  groups.set(org, read);
  for (auto _ : state) {
    const Object object{Type::workspace, {}, kOther, org, false, &users, &groups};
    benchmark::DoNotOptimize(decide(prepared, Action::read, object));
  }
}
BENCHMARK(decide_shared)->Name("decide/shared/orgs")->Arg(3)->Arg(50);

void prepare_one(benchmark::State& state) {
  const Subject asked = subject(static_cast<int>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(prepare(asked));
}
BENCHMARK(prepare_one)->Name("prepare/orgs")->Arg(0)->Arg(3)->Arg(50)->Arg(500);

void prepare_custom(benchmark::State& state) {
  Subject asked = subject(1);
  OrgPermissions permissions;
  for (unsigned i = 0; i < state.range(0); ++i) {
    const ResourceInfo& resource = kCatalog[1 + i % (kTypeCount - 1)];
    permissions.org.own.push_back(
        {std::string(resource.name), std::string(name(resource.actions.front().action)), false});
  }
  Role role;
  role.by_org.emplace_back(uuid(0xa000), permissions);
  asked.roles->push_back(role);
  for (auto _ : state) benchmark::DoNotOptimize(prepare(asked));
}
BENCHMARK(prepare_custom)->Name("prepare/permissions")->Arg(100)->Arg(1000)->Arg(10000);

void print_grants(std::string_view role, std::string_view org, const PermissionList& list) {
  for (const Permission& each : list.as_words()) {
    if (!each.negate)
      std::cout << "p\t" << role << '\t' << org << '\t' << each.resource_type << '\t' << each.action << '\n';
  }
}

int print_policy(int orgs) {
  const Subject asked = subject(orgs);
  for (const Role& role : *asked.roles) {
    std::cout << "g\t" << kMe << '\t' << role.name << '\t' << (role.by_org.empty() ? "*" : role.by_org.front().first)
              << '\n';
    if (!role.by_org.empty()) std::cout << "g\t" << kMe << '\t' << role.name << "\t*\n";
    print_grants(role.name, "*", role.site);
    for (const auto& [org, permissions] : role.by_org) print_grants(role.name, org, permissions.org);
  }
  for (const Asked& question : questions(orgs)) {
    std::cout << "q\t" << kMe << '\t' << (question.org.empty() ? "none" : question.org) << '\t' << name(question.type)
              << '\t' << name(question.action) << '\n';
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "policy") return print_policy(std::atoi(argv[2]));
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
