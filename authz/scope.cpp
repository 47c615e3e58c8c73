#include "authz/scope.hpp"

#include <algorithm>
#include <array>

#include "authz/detail/gathered_level.hpp"
#include "authz/detail/scope_tables.hpp"

namespace tally::authz {
namespace {

template <std::size_t N>
consteval std::array<std::string_view, N> names_of(const detail::ScopeTable (&tables)[N]) {
  std::array<std::string_view, N> names{};
  for (std::size_t i = 0; i < N; ++i) names[i] = tables[i].name;
  return names;
}
constexpr auto kBuiltInNames = names_of(detail::kBuiltInScopes);
constexpr auto kCompositeNames = names_of(detail::kCompositeScopes);

Scope site_scope(std::string_view name, PermissionList site) {
  Scope scope;
  scope.role.name = name;
  scope.role.site = std::move(site);
  scope.allow_list = {allow_everything()};
  return scope;
}

template <std::size_t N>
const detail::ScopeTable* find_table(const detail::ScopeTable (&tables)[N], std::string_view name) {
  const auto at =
      std::find_if(std::begin(tables), std::end(tables), [&](const auto& each) { return each.name == name; });
  return at == std::end(tables) ? nullptr : at;
}

bool is_missing(const std::string& id) {
  return id.empty() || id == kNilId;
}

}  // namespace

Result<Scope> expand_scope(std::string_view name) {
  const detail::ScopeTable* table = find_table(detail::kBuiltInScopes, name);
  if (!table) table = find_table(detail::kCompositeScopes, name);
  if (table) return site_scope(name, {table->site, {}});

  const std::size_t colon = name.find(':');
  if (colon == std::string_view::npos) return Errc::unknown_scope;
  const auto type = find_type(name.substr(0, colon));
  const auto action = find_action(name.substr(colon + 1));
  if (!type || !action) return Errc::unknown_scope;
  if (*action != Action::any && !has_action(*type, *action)) return Errc::unknown_scope;
  const Permission permission{std::string(authz::name(*type)), std::string(authz::name(*action)), false};
  return site_scope(name, {{}, {permission}});
}

std::string_view resolve_scope_alias(std::string_view name) noexcept {
  if (name == "all") return "coder:all";
  if (name == "application_connect") return "coder:application_connect";
  return name;
}

bool is_external_scope(std::string_view name) noexcept {
  // A key that was misspelt when the list was first published; it stays public although it does not expand.
  if (name == "user.*") return true;
  const auto& scopes = detail::kExternalScopes;
  return std::find(std::begin(scopes), std::end(scopes), resolve_scope_alias(name)) != std::end(scopes);
}

Scope unite(std::span<const Scope> scopes) {
  Scope whole;
  std::vector<AllowList> lists;
  const auto add = [](PermissionList& to, const PermissionList& from) {
    const std::vector<Permission> words = from.as_words();
    to.own.insert(to.own.end(), words.begin(), words.end());
  };
  for (const Scope& scope : scopes) {
    if (!whole.role.name.empty()) whole.role.name += ' ';
    whole.role.name += scope.role.name;
    add(whole.role.site, scope.role.site);
    add(whole.role.user, scope.role.user);
    for (const auto& [org, permissions] : scope.role.by_org) {
      auto& by_org = whole.role.by_org;
      auto at = std::find_if(by_org.begin(), by_org.end(), [&o = org](const auto& each) { return each.first == o; });
      if (at == by_org.end()) at = by_org.emplace(by_org.end(), org, OrgPermissions{});
      add(at->second.org, permissions.org);
      add(at->second.member, permissions.member);
    }
    lists.push_back(scope.allow_list);
  }
  whole.allow_list = unite(lists);
  return whole;
}

bool covers(const Scope& outer, const Scope& inner) {
  const auto entry_is_covered = [&](const AllowEntry& entry) {
    return std::any_of(outer.allow_list.begin(), outer.allow_list.end(), [&](const AllowEntry& each) {
      return (each.type == "*" || each.type == entry.type) && (each.id == "*" || each.id == entry.id);
    });
  };
  if (!std::all_of(inner.allow_list.begin(), inner.allow_list.end(), entry_is_covered)) return false;

  detail::GatheredLevel outer_site, inner_site;
  outer_site.add(outer.role.site);
  inner_site.add(inner.role.site);
  // A yes of the site level stands whatever the other levels say, so only that level of `outer` counts.
  const detail::Votes may = outer_site.finish();
  if (!outer_site.finish_odd().empty()) return false;
  const bool everything =
      std::all_of(may.allow.begin(), may.allow.end(), [](ActionMask each) { return each == kEveryAction; });
  if (everything) return true;
  if (!inner.role.user.empty() || !inner.role.by_org.empty()) return false;
  const detail::Votes wants = inner_site.finish();
  if (!inner_site.finish_odd().empty()) return false;
  for (std::size_t i = 0; i < kTypeCount; ++i) {
    if ((wants.allow[i] & ~may.allow[i]) != 0) return false;
  }
  return true;
}

Result<Scope> agent_scope(const AgentScopeParams& params) {
  for (const std::string* id : {&params.workspace, &params.owner, &params.template_id, &params.version}) {
    if (is_missing(*id)) return Errc::developer_error;
  }
  Result<Scope> scope = expand_scope(params.block_user_data ? "no_user_data" : "coder:all");
  if (!scope) return scope;
  scope->allow_list = {{"workspace", params.workspace},
                       {"template", params.template_id},
                       {"template", params.version},
                       {"user", params.owner}};
  if (!is_missing(params.task)) scope->allow_list.push_back({"task", params.task});
  return scope;
}

std::span<const std::string_view> built_in_scope_names() {
  return kBuiltInNames;
}
std::span<const std::string_view> composite_scope_names() {
  return kCompositeNames;
}
std::span<const std::string_view> external_scope_names() {
  return detail::kExternalScopes;
}

}  // namespace tally::authz
