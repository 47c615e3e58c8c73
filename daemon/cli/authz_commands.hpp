#pragma once
#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>

/// What `tallyd authz` does with authorization cases: JSON lines in, an answer a line out. No server, no database.
/// A case file as a whole (its cases between `"cases":[` and `]}`, a line each) is read too.
namespace tally::daemon::cli {

/// Longer lines are refused, not gathered.
inline constexpr std::size_t kMaxCaseBytes = std::size_t{16} << 20;

/// One JSON line for each case: its name and the members that its kind asks for. A case that cannot be read is answered
/// with its name and an `error`, and makes the return value 1; it is 0 otherwise, also when deciding itself failed.
int authz_eval(std::istream& in, std::ostream& out);

/// For each `filter` case the condition for WHERE and its parameters, as one JSON line. An empty `table`: the one that
/// the case names. 1 if a case could not be read or has no filter.
int authz_filter(std::istream& in, std::ostream& out, std::string_view table);

/// For each case with a subject and an object, in words, what every level said and which permission settled it. 1 as
/// above.
int authz_explain(std::istream& in, std::ostream& out);

}  // namespace tally::daemon::cli
