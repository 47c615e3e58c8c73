#include "authz/explain.hpp"

#include <algorithm>
#include <set>

namespace tally::authz {
namespace {

/// Permissions of one level, each with the role that holds it.
using Held = std::vector<std::pair<std::string, Permission>>;

void hold(Held& held, const Role& role, const PermissionList& list) {
  for (Permission& permission : list.as_words()) held.emplace_back(role.name, std::move(permission));
}

bool matches(const Permission& permission, const ActionWord& action, const TypeWord& type) {
  const auto same = [](std::string_view granted, std::string_view asked) { return granted == "*" || granted == asked; };
  return same(permission.action, action.text) && same(permission.resource_type, type.text);
}

LevelVote vote(std::string_view level, const Held& held, const ActionWord& action, const TypeWord& type) {
  LevelVote result{level, true, 0, {}, {}};
  for (const auto& [role, permission] : held) {
    if (!matches(permission, action, type)) continue;
    if (result.vote == 0 || permission.negate) {
      result.vote = permission.negate ? -1 : 1;
      result.role = role;
      result.permission = permission;
    }
    if (permission.negate) break;
  }
  return result;
}

Held held_in(std::span<const Role> roles, const std::string& org, PermissionList OrgPermissions::*list) {
  Held held;
  for (const Role& role : roles) {
    for (const auto& [id, permissions] : role.by_org) {
      if (id == org) hold(held, role, permissions.*list);
    }
  }
  return held;
}

/// A question as the rules put it, word by word.
class Question {
 public:
  Question(const Subject& subject, ActionWord action, const Object& object)
      : subject_(subject), action_(action), object_(object) {
    for (const Role& role : *subject.roles) {
      for (const auto& [org, permissions] : role.by_org) memberships_.insert(org);
    }
  }

  std::vector<LevelVote> levels(std::span<const Role> roles) const {
    const bool owned = object_.owner == subject_.id;
    Held site, user;
    for (const Role& role : roles) {
      hold(site, role, role.site);
      hold(user, role, role.user);
    }
    std::vector<LevelVote> votes;
    votes.push_back(vote("site", site, action_, object_.type));
    if (owned && object_.org.empty() && !object_.any_org) {
      votes.push_back(vote("user", user, action_, object_.type));
    } else {
      votes.push_back({"user", false, 0, {}, {}});
    }
    votes.push_back(org_level("org", roles, &OrgPermissions::org, true));
    votes.push_back(org_level("member", roles, &OrgPermissions::member, owned && !object_.owner.empty()));
    return votes;
  }

  bool member_of_objects_org() const {
    if (object_.any_org) return !memberships_.empty();
    return !object_.org.empty() && memberships_.contains(std::string(object_.org));
  }

  Reason ask_acls(std::string& who) const {
    if (object_.acl_user && object_.acl_user->grants(subject_.id, action_)) {
      who = "user " + subject_.id;
      return Reason::user_acl;
    }
    if (!object_.acl_group || !member_of_objects_org()) return Reason::no_grant;
    for (const std::string& group : subject_.groups) {
      if (!object_.acl_group->grants(group, action_)) continue;
      who = "group " + group;
      return Reason::group_acl;
    }
    if (!object_.acl_group->grants(object_.org, action_)) return Reason::no_grant;
    who = "everyone " + std::string(object_.org);
    return Reason::everyone_acl;
  }

  std::string admitting_entry() const {
    for (const AllowEntry& entry : subject_.scope->allow_list) {
      const bool type_fits = entry.type == "*" || entry.type == object_.type.text;
      if (type_fits && (entry.id == "*" || entry.id == object_.id)) return entry.type + ":" + entry.id;
    }
    return {};
  }

 private:
  LevelVote org_level(std::string_view level, std::span<const Role> roles, PermissionList OrgPermissions::*list,
                      bool applies) const {
    LevelVote best{level, false, 0, {}, {}};
    if (!applies) return best;
    for (const std::string& org : memberships_) {
      if (!object_.any_org && org != object_.org) continue;
      const LevelVote here = vote(level, held_in(roles, org, list), action_, object_.type);
      if (!best.applies || here.vote > best.vote) best = here;
    }
    return best;
  }

  const Subject& subject_;
  const ActionWord action_;
  const Object& object_;
  std::set<std::string> memberships_;
};

Reason verdict(const std::vector<LevelVote>& levels) {
  const int site = levels[0].vote, user = levels[1].vote, org = levels[2].vote, member = levels[3].vote;
  if (site == 1) return Reason::site_role;
  if (site != -1 && user == 1) return Reason::user_role;
  if (site != -1 && org == 1) return Reason::org_role;
  if (site != -1 && org != -1 && member == 1) return Reason::member_role;
  if (site == -1) return Reason::site_negative;
  return org == -1 ? Reason::org_negative : Reason::no_grant;
}

bool allows(Reason reason) {
  return reason == Reason::site_role || reason == Reason::user_role || reason == Reason::org_role ||
         reason == Reason::member_role;
}

}  // namespace

Explanation explain(const Subject& subject, ActionWord action, const Object& object) {
  Explanation result;
  if (!subject.roles)
    result.decision.error = Errc::roles_missing;
  else if (!subject.scope)
    result.decision.error = Errc::scope_missing;
  else if (object.any_org && !object.org.empty() && object.org != kNilId)
    result.decision.error = Errc::any_org_with_org;
  if (result.decision.error) return result;

  const Question question(subject, action, object);
  result.roles = question.levels(*subject.roles);
  result.scope = question.levels(std::span(&subject.scope->role, 1));
  result.member_of_objects_org = question.member_of_objects_org();
  result.allow_entry = question.admitting_entry();
  const bool admitted = !result.allow_entry.empty();  // at least the colon
  const Reason by_acl = question.ask_acls(result.acl);

  Reason granted = verdict(result.roles);
  const bool by_role = allows(granted);
  if (!by_role && !result.acl.empty()) granted = by_acl;
  const bool scope_allows = allows(verdict(result.scope));
  const bool granted_at_all = by_role || !result.acl.empty();
  result.decision.allowed = granted_at_all && scope_allows && admitted;
  result.decision.reason = !granted_at_all || result.decision.allowed ? granted
                           : !scope_allows                            ? Reason::scope
                                                                      : Reason::allow_list;
  return result;
}

std::vector<Explanation> explain_workspace_or_prebuilt(const Subject& subject, ActionWord action,
                                                       const Object& object) {
  std::vector<Explanation> asked;
  asked.push_back(explain(subject, action, object));
  const Decision& first = asked.front().decision;
  if (!first.allowed && !first.error && may_be_prebuilt(action, object))
    asked.push_back(explain(subject, action, as_prebuilt(object)));
  return asked;
}

}  // namespace tally::authz
