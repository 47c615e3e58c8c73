#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "authz/decision.hpp"
#include "authz/subject.hpp"

/// Why a decision is as it is: for people. Reads the rules one by one from the roles as they are written, without any
/// preparation, so it also serves as a second opinion on `decide`.
namespace tally::authz {

/// What one level says, and the permission that settles it.
struct LevelVote {
  std::string_view level;  ///< site, user, org, member
  bool applies = false;    ///< the level looks at the object at all
  int vote = 0;
  std::string role;  ///< of the permission; empty when no permission matches
  Permission permission;
};

struct Explanation {
  Decision decision;
  std::vector<LevelVote> roles;  ///< the four levels
  std::vector<LevelVote> scope;
  bool member_of_objects_org = false;
  std::string acl;          ///< whose entry allows it: `user ID`, `group ID`, `everyone ID`; empty for none
  std::string allow_entry;  ///< the entry that admits the object; empty for none
};

/// `roles_missing` and `scope_missing` come as the decision's error.
Explanation explain(const Subject& subject, ActionWord action, const Object& object);
/// As `decide_workspace_or_prebuilt`: the last one settles it. If there are two, the second is of the prebuilt
/// workspace.
std::vector<Explanation> explain_workspace_or_prebuilt(const Subject& subject, ActionWord action, const Object& object);

}  // namespace tally::authz
