#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "authz/errors.hpp"
#include "authz/role.hpp"
#include "authz/scope.hpp"

namespace tally::authz {

/// Who asks, with roles and scope expanded.
struct Subject {
  std::string id;
  std::optional<std::vector<Role>> roles;  ///< absent is an error, empty merely grants nothing
  std::vector<std::string> groups;
  std::optional<Scope> scope;
};

namespace detail {
struct SubjectTables;
}

/// A subject made ready for many decisions. Immutable and cheap to copy: share it between threads.
class PreparedSubject {
 public:
  explicit PreparedSubject(std::shared_ptr<const detail::SubjectTables> tables) : tables_(std::move(tables)) {}

  std::string_view id() const noexcept;
  /// Whether any role of the subject names the org.
  bool is_member_of(std::string_view org) const noexcept;
  const detail::SubjectTables& tables() const noexcept { return *tables_; }

 private:
  std::shared_ptr<const detail::SubjectTables> tables_;
};

/// Linear in the permissions of the subject. `roles_missing`, `scope_missing`.
Result<PreparedSubject> prepare(const Subject& subject);

}  // namespace tally::authz
