#include <algorithm>

#include "authz/detail/uuid_text.hpp"
#include "authz/filter.hpp"

namespace tally::authz {
namespace {

using Kind = Condition::Kind;

constexpr std::string_view kTrue = "TRUE";
constexpr std::string_view kFalse = "FALSE";

/// `{a,b}` with every element quoted.
std::string array_literal(const std::vector<std::string>& elements) {
  std::string text = "{";
  for (const std::string& element : elements) {
    if (text.size() > 1) text += ',';
    text += '"';
    for (const char c : element) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text += '}';
}

/// PostgreSQL's texts cannot hold a NUL, so none of its rows can match such a word.
std::vector<std::string> storable(const std::vector<std::string>& words) {
  std::vector<std::string> kept;
  std::copy_if(words.begin(), words.end(), std::back_inserter(kept),
               [](const std::string& each) { return each.find('\0') == std::string::npos; });
  return kept;
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text += separator;
    text += part;
  }
  return parts.size() > 1 ? "(" + text + ")" : text;
}

struct Param {
  std::string value;
  std::string_view type;
  friend bool operator==(const Param&, const Param&) = default;
};

class Renderer {
 public:
  Renderer(const Table& table, std::size_t first_param, std::string_view qualifier)
      : table_(table), first_param_(first_param), qualifier_(qualifier) {}

  SqlCondition render(const Filter& filter) {
    std::vector<std::string> any;
    for (const AllOf& all : filter.any_of) {
      const std::size_t params = params_.size();
      std::string text = render(all);
      if (text == kTrue) return {std::string(kTrue), {}};
      if (text == kFalse) {
        params_.resize(params);
      } else {
        any.push_back(std::move(text));
      }
    }
    if (any.empty()) return {std::string(kFalse), {}};
    return with_params(joined(any, " OR "));
  }

 private:
  std::string render(const AllOf& all) {
    std::vector<std::string> parts;
    for (const Condition& condition : all) {
      std::string text = render(condition);
      if (text == kFalse) return text;
      if (text != kTrue) parts.push_back(std::move(text));
    }
    return parts.empty() ? std::string(kTrue) : joined(parts, " AND ");
  }

  std::string render(const Condition& condition) {
    switch (condition.kind) {
      case Kind::always:
        return std::string(kTrue);
      case Kind::never:
        return std::string(kFalse);
      case Kind::equals_any:
      case Kind::differs:
        return compare(condition);
      case Kind::acl_user_has:
        return acl_has(table_.acl_user_column, condition);
      case Kind::acl_group_has:
        return acl_has(table_.acl_group_column, condition);
      case Kind::acl_org_group_has:
        return acl_org_group_has(condition);
    }
    return std::string(kFalse);
  }

  std::string compare(const Condition& condition) {
    const bool wanted = condition.kind == Kind::equals_any;
    const bool lists_empty = std::count(condition.values.begin(), condition.values.end(), "") > 0;
    std::string_view column;
    switch (condition.column) {
      case Column::id:
        column = table_.id_column;
        break;
      case Column::org:
        if (!table_.has_org()) return std::string(lists_empty == wanted ? kTrue : kFalse);
        column = table_.org_column;
        break;
      case Column::owner:
        if (!table_.has_owner()) return std::string(kFalse);
        column = table_.owner_column;
        break;
    }
    const std::string name = named(column);
    // A uuid column shows the empty text as NULL and nothing but canonical uuids besides.
    std::vector<std::string> uuids;
    std::copy_if(condition.values.begin(), condition.values.end(), std::back_inserter(uuids),
                 detail::is_canonical_uuid);
    return wanted ? equals_any(name, uuids, lists_empty) : differs(name, uuids, lists_empty);
  }

  std::string equals_any(const std::string& name, const std::vector<std::string>& uuids, bool or_null) {
    std::vector<std::string> parts;
    if (uuids.size() == 1) parts.push_back(name + " = " + param(uuids.front(), "uuid"));
    if (uuids.size() > 1) parts.push_back(name + " = ANY(" + param(array_literal(uuids), "uuid[]") + ")");
    if (or_null) parts.push_back(name + " IS NULL");
    return parts.empty() ? std::string(kFalse) : joined(parts, " OR ");
  }

  std::string differs(const std::string& name, const std::vector<std::string>& uuids, bool and_not_null) {
    std::vector<std::string> parts;
    if (and_not_null) parts.push_back(name + " IS NOT NULL");
    for (const std::string& uuid : uuids) parts.push_back(name + " IS DISTINCT FROM " + param(uuid, "uuid"));
    return parts.empty() ? std::string(kTrue) : joined(parts, " AND ");
  }

  std::string acl_has(std::string_view column, const Condition& condition) {
    const std::vector<std::string> who = storable(condition.values);
    const std::vector<std::string> actions = storable(condition.actions);
    if (column.empty() || who.empty() || actions.empty()) return std::string(kFalse);
    if (who.size() == 1) {
      const std::string key = param(who.front(), "text");
      return entry(column, key) + " ?| " + param(array_literal(actions), "text[]");
    }
    const std::string keys = param(array_literal(who), "text[]");
    return "EXISTS (SELECT FROM unnest(" + keys + ") AS holder WHERE " + entry(column, "holder") + " ?| " +
           param(array_literal(actions), "text[]") + ")";
  }

  std::string acl_org_group_has(const Condition& condition) {
    const std::vector<std::string> actions = storable(condition.actions);
    if (!table_.has_acl() || actions.empty()) return std::string(kFalse);
    const std::string org = table_.has_org() ? "COALESCE(" + named(table_.org_column) + "::text, '')" : "''";
    return entry(table_.acl_group_column, org) + " ?| " + param(array_literal(actions), "text[]");
  }

  std::string entry(std::string_view column, const std::string& key) const {
    return "(" + named(column) + " -> " + key + (table_.acl_nests_permissions ? " -> 'permissions')" : ")");
  }

  std::string named(std::string_view column) const { return std::string(qualifier_) + std::string(column); }

  /// The same value under the same type is sent once.
  std::string param(std::string value, std::string_view type) {
    Param wanted{std::move(value), type};
    auto at = std::find(params_.begin(), params_.end(), wanted);
    if (at == params_.end()) at = params_.insert(at, std::move(wanted));
    return "$" + std::to_string(first_param_ + static_cast<std::size_t>(at - params_.begin())) +
           "::" + std::string(type);
  }

  SqlCondition with_params(std::string where) {
    SqlCondition condition{std::move(where), {}};
    for (Param& param : params_) condition.params.push_back(std::move(param.value));
    return condition;
  }

  const Table& table_;
  const std::size_t first_param_;
  const std::string_view qualifier_;
  std::vector<Param> params_;
};

}  // namespace

SqlCondition to_sql(const Filter& filter, const Table& table, std::size_t first_param, std::string_view qualifier) {
  return Renderer(table, first_param, qualifier).render(filter);
}

}  // namespace tally::authz
