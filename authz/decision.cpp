#include "authz/decision.hpp"

#include "authz/detail/subject_tables.hpp"

namespace tally::authz {
namespace {

using detail::OrgLevels;
using detail::SubjectTables;
using detail::Vote;

bool allows(Reason reason) {
  switch (reason) {
    case Reason::site_role:
    case Reason::user_role:
    case Reason::org_role:
    case Reason::member_role:
    case Reason::user_acl:
    case Reason::group_acl:
    case Reason::everyone_acl:
      return true;
    case Reason::undecided:
    case Reason::no_grant:
    case Reason::site_negative:
    case Reason::org_negative:
    case Reason::scope:
    case Reason::allow_list:
      return false;
  }
  return false;
}

/// One question, and where the object stands to the subject.
class Question {
 public:
  Question(const SubjectTables& subject, ActionWord action, const Object& object)
      : subject_(subject),
        action_(action),
        object_(object),
        org_(subject.find_org(object.org)),
        owned_(detail::same_id(object.owner, subject.hashed_id.text)) {}

  Reason ask_roles() const {
    return ask(subject_.role_site, subject_.role_user, &OrgLevels::role_org, &OrgLevels::role_member);
  }

  Reason ask_scope() const {
    return ask(subject_.scope_site, subject_.scope_user, &OrgLevels::scope_org, &OrgLevels::scope_member);
  }

  Reason ask_acls() const {
    if (object_.acl_user && object_.acl_user->grants(subject_.hashed_id, action_)) return Reason::user_acl;
    if (!object_.acl_group || !member_of_objects_org()) return Reason::no_grant;
    if (object_.acl_group->grants_any(subject_.groups, action_)) return Reason::group_acl;
    const std::uint64_t hash = org_ ? org_->hash : hash_id(object_.org);
    if (object_.acl_group->grants({hash, object_.org}, action_)) return Reason::everyone_acl;
    return Reason::no_grant;
  }

 private:
  /// The rule of the four levels. A reason that denies says what stood in the way.
  Reason ask(detail::Level site, detail::Level user, detail::Level OrgLevels::*org,
             detail::Level OrgLevels::*member) const {
    if (const Vote vote = subject_.vote(site, object_.type, action_); vote != 0) {
      return vote > 0 ? Reason::site_role : Reason::site_negative;
    }
    const bool user_applies = owned_ && object_.org.empty() && !object_.any_org;
    if (user_applies && subject_.vote(user, object_.type, action_) > 0) return Reason::user_role;
    if (const Vote vote = org_vote(org); vote != 0) return vote > 0 ? Reason::org_role : Reason::org_negative;
    const bool member_applies = owned_ && !object_.owner.empty();
    return member_applies && org_vote(member) > 0 ? Reason::member_role : Reason::no_grant;
  }

  Vote org_vote(detail::Level OrgLevels::*level) const {
    if (object_.any_org) return subject_.best_vote(level, object_.type, action_);
    return org_ ? subject_.vote(org_->*level, object_.type, action_) : 0;
  }

  bool member_of_objects_org() const {
    return object_.any_org ? !subject_.orgs.empty() : !object_.org.empty() && org_ != nullptr;
  }

  const SubjectTables& subject_;
  const ActionWord action_;
  const Object& object_;
  const OrgLevels* org_;
  const bool owned_;
};

}  // namespace

std::string_view word(Reason reason) noexcept {
  switch (reason) {
    case Reason::undecided:
      return "undecided";
    case Reason::site_role:
      return "site_role";
    case Reason::user_role:
      return "user_role";
    case Reason::org_role:
      return "org_role";
    case Reason::member_role:
      return "member_role";
    case Reason::user_acl:
      return "user_acl";
    case Reason::group_acl:
      return "group_acl";
    case Reason::everyone_acl:
      return "everyone_acl";
    case Reason::no_grant:
      return "no_grant";
    case Reason::site_negative:
      return "site_negative";
    case Reason::org_negative:
      return "org_negative";
    case Reason::scope:
      return "scope";
    case Reason::allow_list:
      return "allow_list";
  }
  return "unknown";
}

Decision decide(const PreparedSubject& subject, ActionWord action, const Object& object) noexcept {
  if (object.any_org && !object.org.empty() && object.org != kNilId) return {false, Errc::any_org_with_org};
  const SubjectTables& tables = subject.tables();
  const Question question(tables, action, object);

  Reason granted = question.ask_roles();
  if (!allows(granted)) {
    const Reason by_acl = question.ask_acls();
    if (!allows(by_acl)) return {false, std::nullopt, granted};
    granted = by_acl;
  }
  if (!allows(question.ask_scope())) return {false, std::nullopt, Reason::scope};
  if (!tables.allow.admits(object.type, object.id)) return {false, std::nullopt, Reason::allow_list};
  return {true, std::nullopt, granted};
}

bool may_be_prebuilt(ActionWord action, const Object& object) noexcept {
  const bool is_workspace = object.type.known == Type::workspace || object.type.known == Type::workspace_dormant;
  const bool may_ask_again = action.known == Action::update || action.known == Action::delete_;
  return is_workspace && may_ask_again && object.owner == kPrebuildsUserId;
}

Object as_prebuilt(const Object& workspace) noexcept {
  return {Type::prebuilt_workspace, workspace.id, workspace.owner, workspace.org};
}

Decision decide_workspace_or_prebuilt(const PreparedSubject& subject, ActionWord action,
                                      const Object& object) noexcept {
  const Decision first = decide(subject, action, object);
  if (first.allowed || first.error || !may_be_prebuilt(action, object)) return first;
  return decide(subject, action, as_prebuilt(object));
}

std::optional<Errc> check_words(ActionWord action, TypeWord type) noexcept {
  if (!find_type(type.text)) return Errc::invalid_type;
  if (!has_action(type.known, action.known)) return Errc::invalid_action;
  return std::nullopt;
}

}  // namespace tally::authz
