#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "authz/catalog.hpp"
#include "authz/errors.hpp"
#include "authz/object.hpp"
#include "authz/subject.hpp"

/// May this subject do this to that?
namespace tally::authz {

/// What settled it.
enum class Reason : std::uint8_t {
  undecided,      ///< there is an error instead
  site_role,      ///< allowed by a permission on the whole site
  user_role,      ///< allowed on what the subject owns outside of orgs
  org_role,       ///< allowed on everything in the object's org
  member_role,    ///< allowed on what the subject owns in the object's org
  user_acl,       ///< the object's list names the subject
  group_acl,      ///< the object's list names a group of the subject
  everyone_acl,   ///< the object's list names everyone in its org
  no_grant,       ///< denied: nothing allows it
  site_negative,  ///< denied: a negative site permission
  org_negative,   ///< denied: a negative permission in the org stands before the subject's own grant
  scope,          ///< denied: the subject may, its scope may not
  allow_list,     ///< denied: the scope is not good for this object
};
std::string_view word(Reason reason) noexcept;

struct Decision {
  bool allowed = false;
  std::optional<Errc> error;  ///< could not be decided; not allowed then
  Reason reason = Reason::undecided;
};

/// Takes no lock and allocates nothing; about 20 to 40 ns. `any_org_with_org`.
Decision decide(const PreparedSubject& subject, ActionWord action, const Object& object) noexcept;

/// Update or delete of a workspace, dormant or not, that nobody has claimed yet: it is asked for a second time as a
/// prebuilt workspace.
bool may_be_prebuilt(ActionWord action, const Object& object) noexcept;
Object as_prebuilt(const Object& workspace) noexcept;
/// With that second chance; for anything else as `decide`.
Decision decide_workspace_or_prebuilt(const PreparedSubject& subject, ActionWord action, const Object& object) noexcept;

/// For tests of callers: `invalid_type`, `invalid_action`.
std::optional<Errc> check_words(ActionWord action, TypeWord type) noexcept;

}  // namespace tally::authz
