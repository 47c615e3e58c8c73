#include <boost/json.hpp>

#include "authz/filter.hpp"
#include "daemon/cli/authz_case.hpp"
#include "daemon/cli/authz_commands.hpp"
#include "daemon/cli/authz_lines.hpp"

namespace tally::daemon::cli {
namespace {

namespace json = boost::json;

authz::PreparedSubject prepare_actor(const json::object& input) {
  const std::optional<SubjectText> text = read_subject(input);
  if (!text) throw BadCase("\"subject\" must be an object");
  const authz::Result<authz::Subject> subject = expand(*text, read_options(input).roles);
  if (!subject) throw BadCase(subject.error().message());
  authz::Result<authz::PreparedSubject> prepared = authz::prepare(*subject);
  if (!prepared) throw BadCase(prepared.error().message());
  return std::move(*prepared);
}

json::object answer(const json::object& input, std::string_view table_name) {
  const std::string action = read_text(input, "action");
  const std::string type = read_text(input, "type");
  const authz::Table& table = read_table(table_name.empty() ? read_text(input, "table") : std::string(table_name));
  const authz::Filter filter =
      authz::make_filter(prepare_actor(input), authz::ActionWord(action), authz::TypeWord(type));
  const authz::SqlCondition sql = authz::to_sql(filter, table);
  return {{"table", table.name}, {"sql", sql.where}, {"params", json::array(sql.params.begin(), sql.params.end())}};
}

}  // namespace

int authz_filter(std::istream& in, std::ostream& out, std::string_view table) {
  return answer_cases(in, out, [table](const json::object& input) { return answer(input, table); });
}

}  // namespace tally::daemon::cli
