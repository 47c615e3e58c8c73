#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <set>
#include <sstream>

#include "daemon/cli/authz_commands.hpp"

namespace tally::daemon::cli {
namespace {

namespace json = boost::json;

struct CaseFile {
  const char* name;
  std::size_t cases;
};
void PrintTo(const CaseFile& file, std::ostream* out) {
  *out << file.name;
}

std::string read(const std::string& name) {
  std::ifstream in(std::string(AUTHZ_DATA) + "/" + name + ".cases.json");
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The members of a case that are its result and not its input.
json::object expected(const json::object& input) {
  const json::value* kind_value = input.if_contains("kind");
  const std::string kind = kind_value ? std::string(kind_value->get_string()) : "";
  json::object result{{"name", input.at("name")}};
  if (kind == "filter" || kind == "predicate") {
    json::array pass;
    for (const json::value& row : input.at(kind == "filter" ? "objects" : "rows").as_array()) {
      pass.push_back(row.at("pass"));
    }
    result["pass"] = pass;
    return result;
  }
  std::set<std::string_view> members = {"allow", "error", "ok", "out", "refusal", "external", "added", "removed"};
  if (kind == "expand_scope" || kind == "agent_scope") members.insert({"site", "user", "by_org", "allow_list"});
  for (const auto& [member, value] : input) {
    if (members.contains(std::string_view(member))) result[member] = value;
  }
  return result;
}

class WorkedCases : public testing::TestWithParam<CaseFile> {};

TEST_P(WorkedCases, AreAnsweredToTheLetter) {
  const std::string text = read(GetParam().name);
  const json::value document = json::parse(text);
  const json::array& cases = document.at("cases").as_array();
  ASSERT_EQ(cases.size(), GetParam().cases);

  std::istringstream in(text);
  std::ostringstream out;
  EXPECT_EQ(authz_eval(in, out), 0);
  std::istringstream answers(out.str());
  std::string answer;
  for (const json::value& each : cases) {
    ASSERT_TRUE(std::getline(answers, answer));
    const json::value wanted = expected(each.as_object());
    EXPECT_EQ(json::parse(answer), wanted) << "answered " << answer << "\n  wanted " << wanted;
  }
  EXPECT_FALSE(std::getline(answers, answer)) << answer;
}

/// What `explain` says of a case, in the words of `eval`: its first line ends with the verdict.
json::object explained(const std::string& line) {
  std::istringstream in(line);
  std::ostringstream out;
  EXPECT_EQ(authz_explain(in, out), 0);
  const std::string text = out.str();
  const std::string first = text.substr(0, text.find('\n'));
  if (first.find(": allowed: ") != first.npos) return {{"allow", true}};
  if (first.find(": denied: ") != first.npos) return {{"allow", false}};
  constexpr std::string_view kError = ": error: ";
  const std::size_t word = first.rfind(kError) + kError.size();
  return {{"allow", false}, {"error", first.substr(word, first.find(':', word) - word)}};
}

TEST_P(WorkedCases, AreExplainedAsTheyAreAnswered) {
  const json::value document = json::parse(read(GetParam().name));
  for (const json::value& each : document.at("cases").as_array()) {
    const json::value* kind = each.as_object().if_contains("kind");
    if (kind && *kind != "workspace_or_prebuilt") continue;
    const std::string line = json::serialize(each) + "\n";
    std::istringstream in(line);
    std::ostringstream out;
    authz_eval(in, out);
    json::object answer = json::parse(out.str()).as_object();
    answer.erase("name");
    EXPECT_EQ(explained(line), answer) << line;
  }
}

INSTANTIATE_TEST_SUITE_P(Contract, WorkedCases,
                         testing::Values(CaseFile{"authz", 509}, CaseFile{"corner", 1016}, CaseFile{"roles", 1644},
                                         CaseFile{"scopes", 134}, CaseFile{"filter", 29}),
                         [](const auto& file) { return std::string(file.param.name); });

}  // namespace
}  // namespace tally::daemon::cli
