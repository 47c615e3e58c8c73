#pragma once
#include "db/connection_log.hpp"

namespace tally::db::detail {

/// What names in a filter stand for.
struct ResolvedFilter {
  std::vector<tracker::Uuid> organizations;
  std::vector<tracker::Uuid> owners;
  std::vector<tracker::Uuid> users;
  std::vector<std::string> types;  ///< of those asked for, the ones that occur
};

/// A statement that is made of what is asked. Texts are constant, values are parameters.
struct ConnectionStatement {
  std::string sql;
  Params params;
};

/// Nothing can match: a name that nobody has, an organization that the asker may not see.
bool matches_nothing(const ConnectionPageRequest& request, const ResolvedFilter& resolved);

/// How many match, counted up to `count_cap`, in the first column of every row, and the page in the others: one entry
/// more than asked for if there is one; a row of NULLs if there is none at all. One snapshot, which it tells too.
/// Behind a cursor the order is that of the cursor's own snapshot.
///
/// Its cost must not hang on what is in the table. So every organization of a list, or every type, is looked up by
/// itself, newest first, and the few that come out of each are put in order: the planner would otherwise read the whole
/// log from its newest end when it expects to meet them soon and is wrong.
ConnectionStatement page_statement(const ConnectionPageRequest& request, const ResolvedFilter& resolved);
}  // namespace tally::db::detail
