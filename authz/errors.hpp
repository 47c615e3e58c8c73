#pragma once
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <string_view>

namespace tally::authz {

/// Why something could not be decided or read. None of them is a denial: a denial is a `Decision` without an error.
enum class Errc {
  /// Strict mode: the object's type is not in the catalog.
  invalid_type = 1,
  /// Strict mode: the type does not have the action.
  invalid_action,
  /// The subject came without a list of roles (an empty list is fine and grants nothing).
  roles_missing,
  scope_missing,
  /// `any_org` together with a real org id.
  any_org_with_org,
  /// Not `<name>` or `<name>:<org uuid>`.
  bad_role_name,
  /// No such role, or an org role without its org, or a site role with one.
  unknown_role,
  unknown_scope,
  unknown_system_subject,
  /// The ids of an agent scope are incomplete: a mistake of the calling program.
  developer_error,
  /// Not `<type or *>:<uuid or *>`.
  bad_allow_entry,
  too_many_allow_entries,
  /// Objects of several types in one list to filter.
  mixed_types,
  cancelled,
};

/// The word for it in answers: `any_org_with_org`.
std::string_view word(Errc code) noexcept;

const boost::system::error_category& authz_category() noexcept;
inline boost::system::error_code make_error_code(Errc code) noexcept {
  return {static_cast<int>(code), authz_category()};
}

template <class T>
using Result = boost::system::result<T>;

}  // namespace tally::authz

template <>
struct boost::system::is_error_code_enum<tally::authz::Errc> : std::true_type {};
