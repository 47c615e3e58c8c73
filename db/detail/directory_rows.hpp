#pragma once
#include "db/detail/rights.hpp"
#include "db/directory.hpp"

namespace tally::db::detail {

/// At most $3 rows behind the one with the version $1 and the key $2, in that order, for replicas.
extern const Query kChangedUsers;
extern const Query kChangedRoles;
std::vector<User> users_in(const Rows& rows);
std::vector<CustomRole> roles_in(const Rows& rows);

/// Of a change: what stood in its way (or NULL), the new version, whether the row is new, the audit line's detail.
tracker::Result<Put> put_of(const tracker::Result<Rows>& rows);

inline Params& add_author(Params& params, const Author& by) {
  return params.text(by.actor).text(by.allowed_by);
}

inline Params& add_seen(Params& params, const Seen& seen) {
  return seen.version ? params.int8(*seen.version) : params.null_int8();
}

/// A list's statement: `head`, what the reader may see, `tail`. $1 after, $2 limit, $3 the organization.
struct List {
  std::string sql;
  Params params;
};
List make_list(std::string_view head, std::string_view tail, const Page& page, const tracker::Uuid& organization);

}  // namespace tally::db::detail
