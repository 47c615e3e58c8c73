#pragma once
#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "authz/decision.hpp"
#include "authz/errors.hpp"
#include "authz/object.hpp"
#include "authz/subject.hpp"

/// Which rows of a list a subject may act on.
namespace tally::authz {

enum class Column : std::uint8_t { id, org, owner };

/// One test of a row.
struct Condition {
  enum class Kind : std::uint8_t {
    always,
    never,
    equals_any,     ///< the column is one of `values`
    differs,        ///< the column is none of `values`
    acl_user_has,   ///< the user list of the row gives one of `values` one of `actions`, `*` being a word like others
    acl_group_has,  ///< its group list does
    acl_org_group_has  ///< its group list does so for the row's own org
  };
  Kind kind = Kind::always;
  Column column = Column::id;
  std::vector<std::string> values;
  std::vector<std::string> actions;
};

/// All of them must hold; none at all holds always.
using AllOf = std::vector<Condition>;

/// A row passes if any of the conjunctions holds; without one, no row does.
struct Filter {
  std::vector<AllOf> any_of;
  bool always() const noexcept;  ///< every row passes, whatever it shows
  bool never() const noexcept { return any_of.empty(); }
};

/// Which rows single decisions would allow. It does not know the table yet; rows never say `any_org`.
Filter make_filter(const PreparedSubject& subject, ActionWord action, TypeWord type);

/// What the rows of a table can show. A column name that is empty is not there: an org is then the empty text, every
/// test of an owner is false, and so is every test of an access list.
struct Table {
  std::string_view name;
  std::string_view id_column;
  std::string_view org_column;
  std::string_view owner_column;
  std::string_view acl_user_column;
  std::string_view acl_group_column;
  bool acl_nests_permissions = false;  ///< {who: {"permissions": [...]}} instead of {who: [...]}

  bool has_org() const noexcept { return !org_column.empty(); }
  bool has_owner() const noexcept { return !owner_column.empty(); }
  bool owned_by_itself() const noexcept { return has_owner() && owner_column == id_column; }
  bool has_acl() const noexcept { return !acl_user_column.empty(); }
};
std::span<const Table> tables();
/// Null for an unknown name.
const Table* find_table(std::string_view name) noexcept;

/// A row in memory. Texts and lists belong to the caller.
struct Row {
  std::string_view id;
  std::string_view owner;
  std::string_view org;
  const Acl* acl_user = nullptr;
  const Acl* acl_group = nullptr;
};

/// The row as the table shows it, for a single decision.
Object as_object(const Table& table, TypeWord type, const Row& row);

bool admits(const Filter& filter, const Table& table, const Row& row);

/// The indices of the objects that are allowed, in their order. No objects: nothing is checked at all. `mixed_types`,
/// `cancelled`, and whatever a single decision can fail with: such an error ends the whole list.
Result<std::vector<std::size_t>> filter_objects(const PreparedSubject& subject, ActionWord action,
                                                std::span<const Object> objects, const std::stop_token& cancelled = {});

/// A condition for WHERE, in brackets where it needs them, and its parameters in PostgreSQL's text format. Uuids are
/// compared as uuids, so that an index on the column serves.
struct SqlCondition {
  std::string where;
  std::vector<std::string> params;
  bool always() const noexcept { return where == "TRUE"; }
  bool never() const noexcept { return where == "FALSE"; }  ///< no row of this table can pass
};
/// Parameters are numbered from `first_param` on. `qualifier`, such as `cl.`, goes before every column.
SqlCondition to_sql(const Filter& filter, const Table& table, std::size_t first_param = 1,
                    std::string_view qualifier = {});

}  // namespace tally::authz
