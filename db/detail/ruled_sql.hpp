#pragma once
#include <string>
#include <string_view>

namespace tally::db::detail {

#ifdef TALLY_MUTANTS
/// `sql` with the broken rule (tracker/rules.hpp) taken out: a line that ends in `-- [RULE]` is left out, one that ends
/// in `-- [RULE: text]` is replaced by the text. A line may carry several. Valid until the next call on this thread.
const char* ruled(std::string_view sql);
/// The same for a rule of one's own choice.
std::string without_rule(std::string_view sql, std::string_view rule);
#else
inline const char* ruled(std::string_view sql) {
  return sql.data();
}
#endif

}  // namespace tally::db::detail
