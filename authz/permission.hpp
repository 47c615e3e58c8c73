#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "authz/catalog.hpp"

namespace tally::authz {

/// A permission of a built-in role or scope, in catalog values.
struct KnownPermission {
  Type type = Type::any;
  Action action = Action::any;
  bool negate = false;
  friend constexpr bool operator==(const KnownPermission&, const KnownPermission&) = default;
};

/// A permission as stored or sent: any words. One that the catalog does not know matches exactly itself.
struct Permission {
  std::string resource_type;
  std::string action;
  bool negate = false;
  friend bool operator==(const Permission&, const Permission&) = default;
};

/// What one level of a role holds: a built-in table (static storage), own permissions, or both.
struct PermissionList {
  std::span<const KnownPermission> built_in;
  std::vector<Permission> own;

  bool empty() const noexcept { return built_in.empty() && own.empty(); }
  /// All of them as words, built-in ones first.
  std::vector<Permission> as_words() const;
};

namespace detail {

/// A string literal as a template argument.
template <std::size_t N>
struct Literal {
  char text[N];
  consteval Literal(const char (&literal)[N]) { std::copy_n(literal, N, text); }  // NOLINT(google-explicit-constructor)
  constexpr std::string_view view() const { return {text, N - 1}; }
};

// Undefined on purpose: reaching one of these while a table is parsed fails the build and names the mistake.
void this_table_names_an_unknown_resource_type();
void this_table_names_an_unknown_action();
void this_table_names_an_action_that_its_resource_does_not_have();
void this_table_marks_an_action_with_an_exclamation_mark_that_its_resource_has();

constexpr Type table_type(std::string_view word) {
  for (const ResourceInfo& resource : kCatalog) {
    if (resource.name == word) return resource.type;
  }
  this_table_names_an_unknown_resource_type();
  return Type::any;
}

constexpr Action table_action(std::string_view word) {
  for (std::size_t i = 0; i < kActionCount; ++i) {
    if (kActionNames[i] == word) return static_cast<Action>(i);
  }
  this_table_names_an_unknown_action();
  return Action::any;
}

/// `action` or `*`, or `action!` for one that system subjects are known to hold although their resource lacks it.
constexpr KnownPermission table_permission(Type type, std::string_view action, bool negate) {
  const bool marked = action.ends_with('!');
  if (marked) action.remove_suffix(1);
  const KnownPermission permission{type, table_action(action), negate};
  const bool fits = permission.action == Action::any || type == Type::any || has_action(type, permission.action);
  if (!fits && !marked) this_table_names_an_action_that_its_resource_does_not_have();
  if (fits && marked) this_table_marks_an_action_with_an_exclamation_mark_that_its_resource_has();
  return permission;
}

/// Calls `take` for each permission of `[-]type:action,action...` items between blanks.
template <class Take>
constexpr void each_permission(std::string_view table, Take take) {
  while (!table.empty()) {
    const std::string_view item = table.substr(0, table.find(' '));
    table.remove_prefix(std::min(table.size(), item.size() + 1));
    if (item.empty()) continue;
    const bool negate = item.front() == '-';
    const std::string_view rule = item.substr(negate ? 1 : 0);
    const Type type = table_type(rule.substr(0, rule.find(':')));
    std::string_view actions = rule.substr(rule.find(':') + 1);
    while (!actions.empty()) {
      const std::string_view action = actions.substr(0, actions.find(','));
      actions.remove_prefix(std::min(actions.size(), action.size() + 1));
      take(table_permission(type, action, negate));
    }
  }
}

template <Literal Table>
consteval auto parse_table() {
  // A copy: that the address of a template's argument is not null is no constant for GCC 12's UBSan.
  constexpr std::size_t count = [] {
    const Literal table = Table;
    std::size_t n = 0;
    each_permission(table.view(), [&n](KnownPermission) { ++n; });
    return n;
  }();
  const Literal table = Table;
  std::array<KnownPermission, count> permissions{};
  std::size_t n = 0;
  each_permission(table.view(), [&](KnownPermission permission) { permissions[n++] = permission; });
  return permissions;
}

template <std::size_t N, std::size_t M>
consteval std::array<KnownPermission, N + M> joined(const std::array<KnownPermission, N>& first,
                                                    const std::array<KnownPermission, M>& second) {
  std::array<KnownPermission, N + M> all{};
  std::copy(second.begin(), second.end(), std::copy(first.begin(), first.end(), all.begin()));
  return all;
}

/// `From` without the permissions of `Removed`, all of which it must hold.
template <const auto& From, const auto& Removed>
consteval auto without() {
  std::array<KnownPermission, From.size() - Removed.size()> rest{};
  std::size_t n = 0;
  for (const KnownPermission& permission : From) {
    if (std::find(Removed.begin(), Removed.end(), permission) == Removed.end()) rest.at(n++) = permission;
  }
  return rest;
}

}  // namespace detail

/// The permissions written as `"template:read,use -workspace:create *:read"`, checked against the catalog by the
/// compiler.
template <detail::Literal Table>
inline constexpr auto kPermissions = detail::parse_table<Table>();

}  // namespace tally::authz
