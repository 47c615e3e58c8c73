#include <boost/json.hpp>
#include <ostream>

#include "authz/explain.hpp"
#include "daemon/cli/authz_case.hpp"
#include "daemon/cli/authz_commands.hpp"
#include "daemon/cli/authz_lines.hpp"

namespace tally::daemon::cli {
namespace {

namespace json = boost::json;

/// Quoted and escaped, so that a case cannot write to the terminal.
std::string shown(std::string_view text) {
  return json::serialize(json::string(text));
}

std::string shown(const authz::Permission& permission) {
  return shown((permission.negate ? "-" : "") + permission.resource_type + ":" + permission.action);
}

void write_levels(std::string_view whose, const std::vector<authz::LevelVote>& levels, std::ostream& out) {
  for (const authz::LevelVote& level : levels) {
    out << "  " << whose << ' ' << level.level << ": ";
    if (!level.applies) {
      out << "does not apply\n";
    } else if (level.vote == 0) {
      out << "says nothing\n";
    } else {
      out << (level.vote > 0 ? "yes" : "no") << ", by " << shown(level.permission) << " of " << shown(level.role)
          << '\n';
    }
  }
}

void write(const authz::Explanation& why, std::ostream& out) {
  out << (why.decision.allowed ? "allowed" : "denied") << ": " << authz::word(why.decision.reason) << '\n';
  write_levels("roles", why.roles, out);
  out << "  access lists: " << (why.acl.empty() ? "nothing" : "yes, by " + shown(why.acl)) << '\n';
  write_levels("scope", why.scope, out);
  out << "  allow list: "
      << (why.allow_entry.empty() ? "no entry admits the object" : "admits it by " + shown(why.allow_entry)) << '\n';
}

void answer(const json::object& input, std::ostream& out) {
  const std::optional<SubjectText> text = read_subject(input);
  const CaseOptions options = read_options(input);
  const std::string action = read_text(input, "action");
  const ObjectText object = read_object(input);
  if (!text) throw BadCase("\"subject\" must be an object");

  out << shown(read_optional_text(input, "name")) << ": subject " << shown(text->id) << ", " << shown(action) << " on "
      << shown(object.type) << ": ";
  const authz::Result<authz::Subject> subject = expand(*text, options.roles);
  if (!subject) {
    out << "error: " << subject.error().message() << '\n';
    return;
  }
  const authz::Explanation why = authz::explain(*subject, authz::ActionWord(action), object.object());
  if (why.decision.error) {
    out << "error: " << make_error_code(*why.decision.error).message() << '\n';
    return;
  }
  write(why, out);
}

}  // namespace

int authz_explain(std::istream& in, std::ostream& out) {
  return write_cases(in, out, answer);
}

}  // namespace tally::daemon::cli
