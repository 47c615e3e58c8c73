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

std::string verdict(const authz::Decision& decision) {
  return (decision.allowed ? "allowed: " : "denied: ") + std::string(authz::word(decision.reason));
}

void write(const authz::Explanation& why, std::ostream& out) {
  write_levels("roles", why.roles, out);
  out << "  access lists: " << (why.acl.empty() ? "nothing" : "yes, by " + shown(why.acl)) << '\n';
  write_levels("scope", why.scope, out);
  out << "  allow list: "
      << (why.allow_entry.empty() ? "no entry admits the object" : "admits it by " + shown(why.allow_entry)) << '\n';
}

void write_error(const boost::system::error_code& error, std::ostream& out) {
  out << "error: " << authz::word(static_cast<authz::Errc>(error.value())) << ": " << error.message() << '\n';
}

std::vector<authz::Explanation> explain(const std::string& kind, const authz::Subject& subject,
                                        authz::ActionWord action, const authz::Object& object) {
  if (kind == "workspace_or_prebuilt") return authz::explain_workspace_or_prebuilt(subject, action, object);
  return {authz::explain(subject, action, object)};
}

void answer(const json::object& input, std::ostream& out) {
  const std::string kind = read_optional_text(input, "kind");
  if (!kind.empty() && kind != "workspace_or_prebuilt")
    throw BadCase("there is nothing to explain in a case of kind \"" + kind + "\"");
  const std::optional<SubjectText> text = read_subject(input);
  const CaseOptions options = read_options(input);
  const std::string action = read_text(input, "action");
  const ObjectText object = read_object(input);

  out << shown(read_optional_text(input, "name")) << ": subject " << (text ? shown(text->id) : "nobody") << ", "
      << shown(action) << " on " << shown(object.type) << ": ";
  if (!text) {
    out << "denied: nobody asks\n";
    return;
  }
  if (const auto error = first_error(*text, options, authz::ActionWord(action), object.object()))
    return write_error(make_error_code(*error), out);
  const authz::Result<authz::Subject> subject = expand(*text, options.roles);
  if (!subject) return write_error(subject.error(), out);
  const auto asked = explain(kind, *subject, authz::ActionWord(action), object.object());
  const authz::Decision& settled = asked.back().decision;
  if (settled.error) return write_error(make_error_code(*settled.error), out);
  out << verdict(settled) << '\n';
  if (asked.size() > 1) out << "  as it stands: " << verdict(asked.front().decision) << '\n';
  write(asked.front(), out);
  if (asked.size() == 1) return;
  out << "  asked again as \"prebuilt_workspace\": " << verdict(settled) << '\n';
  write(asked.back(), out);
}

}  // namespace

int authz_explain(std::istream& in, std::ostream& out) {
  return write_cases(in, out, answer);
}

}  // namespace tally::daemon::cli
