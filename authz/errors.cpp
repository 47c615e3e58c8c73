#include "authz/errors.hpp"

#include <string>

namespace tally::authz {
namespace {

class AuthzCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "tally.authz"; }
  std::string message(int code) const override {
    switch (static_cast<Errc>(code)) {
      case Errc::invalid_type:
        return "unknown resource type";
      case Errc::invalid_action:
        return "the resource type does not have this action";
      case Errc::roles_missing:
        return "the subject has no list of roles";
      case Errc::scope_missing:
        return "the subject has no scope";
      case Errc::any_org_with_org:
        return "any_org cannot be combined with an organization";
      case Errc::bad_role_name:
        return "a role is written <name> or <name>:<organization uuid>";
      case Errc::unknown_role:
        return "unknown role, or an organization where none belongs, or none where one is needed";
      case Errc::unknown_scope:
        return "unknown scope";
      case Errc::unknown_system_subject:
        return "unknown system subject";
      case Errc::developer_error:
        return "an agent scope needs the workspace, owner, template and version ids";
      case Errc::bad_allow_entry:
        return "an allow list entry is written <type or *>:<uuid or *>";
      case Errc::too_many_allow_entries:
        return "too many allow list entries";
      case Errc::mixed_types:
        return "objects of different types cannot be filtered together";
      case Errc::cancelled:
        return "cancelled";
    }
    return "unknown error";
  }
};

}  // namespace

std::string_view word(Errc code) noexcept {
  switch (code) {
    case Errc::invalid_type:
      return "invalid_type";
    case Errc::invalid_action:
      return "invalid_action";
    case Errc::roles_missing:
      return "roles_missing";
    case Errc::scope_missing:
      return "scope_missing";
    case Errc::any_org_with_org:
      return "any_org_with_org";
    case Errc::bad_role_name:
      return "bad_role_name";
    case Errc::unknown_role:
      return "unknown_role";
    case Errc::unknown_scope:
      return "unknown_scope";
    case Errc::unknown_system_subject:
      return "unknown_system_subject";
    case Errc::developer_error:
      return "developer_error";
    case Errc::bad_allow_entry:
      return "bad_allow_entry";
    case Errc::too_many_allow_entries:
      return "too_many_allow_entries";
    case Errc::mixed_types:
      return "mixed_types";
    case Errc::cancelled:
      return "cancelled";
  }
  return "unknown";
}

const boost::system::error_category& authz_category() noexcept {
  static const AuthzCategory category;
  return category;
}

}  // namespace tally::authz
