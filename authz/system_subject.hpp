#pragma once
#include <span>
#include <string>
#include <string_view>

#include "authz/errors.hpp"
#include "authz/role.hpp"
#include "authz/subject.hpp"

/// Parts of the platform that act for themselves.
namespace tally::authz {

struct SystemSubject {
  std::string_view key;        ///< `boundary_usage_tracker`
  std::string_view id;         ///< empty: acts as a user inside one org (`sub_agent_api`)
  std::string_view role_name;  ///< `boundary-usage-tracker`
};

std::span<const SystemSubject> system_subjects();
/// Null for an unknown key.
const SystemSubject* find_system_subject(std::string_view key) noexcept;
/// As on the command line and in tokens, with `-` for `_`.
const SystemSubject* find_system_subject_by_flag(std::string_view flag) noexcept;
/// `boundary-usage-tracker` for `boundary_usage_tracker`.
std::string flag(const SystemSubject& subject);

/// The only role it has. `unknown_system_subject`: no such key, or an org is missing where one is needed.
Result<Role> system_subject_role(std::string_view key, std::string_view org = {});
/// The subject with scope `coder:all`, ready for `prepare`. `user` and `org` are for `sub_agent_api` alone.
Result<Subject> system_subject(std::string_view key, std::string_view user = {}, std::string_view org = {});

}  // namespace tally::authz
