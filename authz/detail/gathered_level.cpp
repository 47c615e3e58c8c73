#include "authz/detail/gathered_level.hpp"

#include <algorithm>
#include <tuple>

namespace tally::authz::detail {

void GatheredLevel::add(const PermissionList& list) {
  for (const KnownPermission& each : list.built_in) add(each.type, each.action, each.negate);
  for (const Permission& each : list.own) {
    const auto type = find_type(each.resource_type);
    const auto action = find_action(each.action);
    if (type && action) {
      add(*type, *action, each.negate);
    } else {
      odd_.push_back({each.resource_type, each.action, each.negate ? -1 : 1});
    }
  }
}

void GatheredLevel::add(Type type, Action action, bool negate) {
  const ActionMask actions = action == Action::any ? kEveryAction : bit(action);
  (negate ? votes_.deny : votes_.allow)[static_cast<std::size_t>(type)] |= actions;
}

Votes GatheredLevel::finish() {
  constexpr auto any = static_cast<std::size_t>(Type::any);
  const ActionMask allow_any = votes_.allow[any];
  const ActionMask deny_any = votes_.deny[any];
  for (std::size_t i = 0; i < kTypeCount; ++i) {
    votes_.deny[i] |= deny_any;
    votes_.allow[i] = (votes_.allow[i] | allow_any) & ~votes_.deny[i];
  }
  return votes_;
}

OddVotes GatheredLevel::finish_odd() {
  std::sort(odd_.begin(), odd_.end(), [](const OddVote& a, const OddVote& b) {
    return std::tie(a.type, a.action, a.vote) < std::tie(b.type, b.action, b.vote);
  });
  // Of equal ones the negative sorts first and stays.
  const auto same = [](const OddVote& a, const OddVote& b) { return a.type == b.type && a.action == b.action; };
  odd_.erase(std::unique(odd_.begin(), odd_.end(), same), odd_.end());
  return std::move(odd_);
}

}  // namespace tally::authz::detail
