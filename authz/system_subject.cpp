#include "authz/system_subject.hpp"

#include <algorithm>
#include <array>

#include "authz/detail/system_subject_tables.hpp"

namespace tally::authz {
namespace {

constexpr auto kSubjects = [] {
  std::array<SystemSubject, std::size(detail::kSystemSubjects)> subjects{};
  for (std::size_t i = 0; i < subjects.size(); ++i) subjects[i] = detail::kSystemSubjects[i].subject;
  return subjects;
}();

const detail::SystemSubjectTable* find_table(std::string_view key) noexcept {
  const auto& tables = detail::kSystemSubjects;
  const auto at =
      std::find_if(std::begin(tables), std::end(tables), [&](const auto& each) { return each.subject.key == key; });
  return at == std::end(tables) ? nullptr : at;
}

}  // namespace

std::span<const SystemSubject> system_subjects() {
  return kSubjects;
}

const SystemSubject* find_system_subject(std::string_view key) noexcept {
  const auto at = std::find_if(kSubjects.begin(), kSubjects.end(), [&](const auto& each) { return each.key == key; });
  return at == kSubjects.end() ? nullptr : &*at;
}

const SystemSubject* find_system_subject_by_flag(std::string_view flag) noexcept {
  const auto same = [](char in_flag, char in_key) { return in_flag == (in_key == '_' ? '-' : in_key); };
  const auto at = std::find_if(kSubjects.begin(), kSubjects.end(), [&](const auto& each) {
    return std::equal(flag.begin(), flag.end(), each.key.begin(), each.key.end(), same);
  });
  return at == kSubjects.end() ? nullptr : &*at;
}

std::string flag(const SystemSubject& subject) {
  std::string text(subject.key);
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

Result<Role> system_subject_role(std::string_view key, std::string_view org) {
  const detail::SystemSubjectTable* table = find_table(key);
  if (!table) return Errc::unknown_system_subject;
  Role role;
  role.name = table->subject.role_name;
  role.site.built_in = table->site;
  if (!table->member.empty()) {
    if (org.empty()) return Errc::unknown_system_subject;
    role.by_org.emplace_back(std::string(org), OrgPermissions{{}, {table->member, {}}});
  }
  return role;
}

Result<Subject> system_subject(std::string_view key, std::string_view user, std::string_view org) {
  Result<Role> role = system_subject_role(key, org);
  if (!role) return role.error();
  Result<Scope> scope = expand_scope("coder:all");
  if (!scope) return scope.error();
  const std::string_view own_id = find_table(key)->subject.id;
  Subject subject;
  subject.id = own_id.empty() ? user : own_id;
  subject.roles.emplace().push_back(std::move(*role));
  subject.scope = std::move(*scope);
  return subject;
}

}  // namespace tally::authz
