#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <sstream>

#include "daemon/cli/authz_commands.hpp"

namespace tally::daemon::cli {
namespace {

namespace json = boost::json;

struct Answered {
  int code;
  std::vector<json::object> lines;
};

Answered eval(const std::string& text) {
  std::istringstream in(text);
  std::ostringstream out;
  Answered answered{authz_eval(in, out), {}};
  std::istringstream lines(out.str());
  for (std::string line; std::getline(lines, line);) answered.lines.push_back(json::parse(line).as_object());
  return answered;
}

/// One case that is fine but for the given members.
std::string case_with(const std::string& members) {
  return R"({"name":"c",)" + members + "}\n";
}

const std::string kObject = R"("action":"read","object":{"type":"workspace"})";
const std::string kOwner = R"({"id":"u","roles":["owner"],"groups":[],"scope":"coder:all"})";

json::object eval_one(const std::string& members) {
  const Answered answered = eval(case_with(members));
  EXPECT_EQ(answered.code, 0);
  EXPECT_EQ(answered.lines.size(), 1u);
  return answered.lines.empty() ? json::object() : answered.lines.front();
}

std::string error_of(const std::string& members) {
  const json::object answer = eval_one(members);
  EXPECT_EQ(answer.at("allow"), false) << members;
  return answer.contains("error") ? json::value_to<std::string>(answer.at("error")) : "none";
}

TEST(AuthzEval, AnswersEveryLineWhateverTheOthersAre) {
  const Answered answered =
      eval("\n" + case_with("\"subject\":" + kOwner + "," + kObject) + "nonsense\n[1]\n" +
           R"({"name":"n","kind":"juggle"})" + "\n" + case_with("\"subject\":" + kOwner + "," + kObject));
  EXPECT_EQ(answered.code, 1);
  ASSERT_EQ(answered.lines.size(), 5u);
  EXPECT_EQ(answered.lines[0], (json::object{{"name", "c"}, {"allow", true}}));
  EXPECT_TRUE(answered.lines[1].contains("error"));
  EXPECT_TRUE(answered.lines[2].contains("error"));
  EXPECT_EQ(answered.lines[3].at("name"), "n");
  EXPECT_TRUE(answered.lines[3].contains("error"));
  EXPECT_EQ(answered.lines[4], answered.lines[0]);
}

TEST(AuthzEval, RefusesMembersOfTheWrongKind) {
  for (const std::string& members : {
           R"("subject":{"roles":"owner","scope":"coder:all"},)" + kObject,
           R"("subject":{"roles":[1],"scope":"coder:all"},)" + kObject,
           R"("subject":{"roles":[{"site":[{"action":"read"}]}],"scope":"coder:all"},)" + kObject,
           R"("subject":{"roles":[],"scope":7},)" + kObject,
           R"("subject":[],)" + kObject,
           kObject,
           "\"subject\":" + kOwner + R"(,"object":{"type":"workspace"})",
           "\"subject\":" + kOwner + R"(,"action":"read")",
           "\"subject\":" + kOwner + R"(,"action":"read","object":{"type":"workspace","any_org":1})",
           "\"subject\":" + kOwner + R"(,"action":"read","object":{"type":"workspace","acl_user":{"u":"read"}})",
           std::string(R"("kind":"predicate","table":"nowhere","any_of":[],"rows":[])"),
           std::string(R"("kind":"predicate","table":"default","any_of":[[["eq","name","x"]]],"rows":[])"),
           std::string(R"("kind":"predicate","table":"default","any_of":[[["like","id","x"]]],"rows":[])"),
           std::string(R"("kind":"predicate","table":"default","any_of":[[[]]],"rows":[])"),
           std::string(R"("kind":"parse_allow_list","inputs":[],"max":-1)"),
           std::string(R"("kind":"change_role_set","from":["a:b:c"],"to":[])"),
       }) {
    const Answered answered = eval(case_with(members));
    EXPECT_EQ(answered.code, 1) << members;
    ASSERT_EQ(answered.lines.size(), 1u);
    EXPECT_EQ(answered.lines.front().at("name"), "c");
    EXPECT_TRUE(answered.lines.front().contains("error")) << members;
  }
}

TEST(AuthzEval, ReportsErrorsInTheirOrder) {
  const std::string conflict = R"("action":"read","object":{"type":"mystery","any_org":true,"org":"o"})";
  const std::string strict = R"("options":{"strict":true},)";
  EXPECT_EQ(error_of(strict + R"("subject":{"id":"u"},)" + conflict), "invalid_type");
  EXPECT_EQ(error_of(strict + R"("subject":{"id":"u"},"action":"juggle","object":{"type":"workspace"})"),
            "invalid_action");
  EXPECT_EQ(error_of(R"("subject":{"id":"u"},)" + conflict), "roles_missing");
  EXPECT_EQ(error_of(R"("subject":{"id":"u","roles":null,"scope":"nope"},)" + conflict), "roles_missing");
  EXPECT_EQ(error_of(R"("subject":{"id":"u","roles":["nobody"]},)" + conflict), "scope_missing");
  EXPECT_EQ(error_of(R"("subject":{"id":"u","roles":["nobody"],"scope":"nope"},)" + conflict), "any_org_with_org");
  EXPECT_EQ(error_of(R"("subject":{"id":"u","roles":["nobody"],"scope":"nope"},)" + kObject), "unknown_role");
  EXPECT_EQ(error_of(R"("subject":{"id":"u","roles":["a:b:c","nobody"],"scope":"nope"},)" + kObject), "bad_role_name");
  EXPECT_EQ(error_of(R"("subject":{"id":"u","roles":["owner"],"scope":"nope"},)" + kObject), "unknown_scope");
  EXPECT_EQ(error_of(R"("subject":{"id":"u","roles":["owner"],"scope":{"agent":{}}},)" + kObject), "developer_error");
  EXPECT_EQ(error_of(R"("subject":{"id":"u","roles":[],"scope":"coder:all"},)" + kObject), "none");
  EXPECT_EQ(error_of(R"("subject":null,)" + kObject), "none") << "nobody is merely not authorized";
}

TEST(AuthzEval, KnowsItsWordsInStrictMode) {
  const std::string strict = R"("options":{"strict":true},"subject":)" + kOwner + ",";
  EXPECT_EQ(eval_one(strict + kObject).at("allow"), true);
  EXPECT_EQ(error_of(strict + R"("action":"*","object":{"type":"workspace"})"), "invalid_action");
  EXPECT_EQ(error_of(strict + R"("action":"read","object":{"type":"*"})"), "invalid_action");
  EXPECT_EQ(error_of(strict + R"("action":"read","object":{"type":""})"), "invalid_type");
  EXPECT_EQ(error_of(strict + R"("action":"use","object":{"type":"workspace"})"), "invalid_action");
}

TEST(AuthzEval, TakesABrokenSubjectForARefusalOfItsCustomRole) {
  const json::object answer = eval_one(R"("kind":"custom_role","org":"o","subject":{"id":"u","roles":["owner"]})");
  EXPECT_EQ(answer, (json::object{{"name", "c"}, {"ok", false}, {"refusal", "scope_missing"}}));
}

TEST(AuthzEval, AbortsAFilterWhoseSubjectIsBroken) {
  const std::string filter = R"("kind":"filter","action":"read","type":"workspace","table":"default",)";
  const std::string broken = R"("subject":{"id":"u","roles":["nobody"],"scope":"coder:all"},)";
  EXPECT_EQ(eval_one(filter + broken + R"("objects":[{"id":"x"}])").at("error"), "unknown_role");
  EXPECT_EQ(eval_one(filter + broken + R"("objects":[])"), (json::object{{"name", "c"}, {"pass", json::array()}}));
}

TEST(AuthzEval, ReadsListsOneLevelDeeperAsWorkspacesKeepThem) {
  const json::object answer = eval_one(
      R"("kind":"predicate","table":"workspaces","any_of":[[["acl_user_has","u","read"]]],)"
      R"("rows":[{"acl_user":{"u":{"permissions":["read"]}}},{"acl_user":{"u":["read"]}},{"acl_user":{"u":["ssh"]}}])");
  EXPECT_EQ(answer.at("pass"), (json::array{true, true, false}));
}

TEST(AuthzEval, RefusesALineWithoutEnd) {
  const Answered answered =
      eval(std::string(kMaxCaseBytes + 1, '[') + "\n" + case_with("\"subject\":" + kOwner + "," + kObject));
  EXPECT_EQ(answered.code, 1);
  ASSERT_EQ(answered.lines.size(), 2u);
  EXPECT_TRUE(answered.lines[0].contains("error"));
  EXPECT_EQ(answered.lines[1].at("allow"), true);
}

TEST(AuthzEval, SurvivesNestingWithoutEnd) {
  const Answered answered = eval(std::string(100'000, '[') + "\n");
  EXPECT_EQ(answered.code, 1);
  ASSERT_EQ(answered.lines.size(), 1u);
}

TEST(AuthzFilter, PrintsTheConditionForTheTableThatIsNamed) {
  std::istringstream in(case_with(
      R"("kind":"filter","action":"read","type":"connection_log","table":"users",)"
      R"("subject":{"id":"u","roles":["organization-auditor:000000a1-0000-4000-8000-0000000000a1"],"scope":"coder:all"})"));
  std::ostringstream out;
  EXPECT_EQ(authz_filter(in, out, "connection_logs"), 0);
  const json::object answer = json::parse(out.str()).as_object();
  EXPECT_EQ(answer.at("sql"), "organization_id = $1::uuid");
  EXPECT_EQ(answer.at("params"), (json::array{"000000a1-0000-4000-8000-0000000000a1"}));
}

TEST(AuthzExplain, NamesThePermissionThatSettlesIt) {
  std::istringstream in(case_with("\"subject\":" + kOwner + "," + kObject));
  std::ostringstream out;
  EXPECT_EQ(authz_explain(in, out), 0);
  EXPECT_NE(out.str().find("allowed: site_role"), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("roles site: yes, by \"workspace:read\" of \"owner\""), std::string::npos) << out.str();
}

std::string explain(const std::string& members) {
  std::istringstream in(case_with(members));
  std::ostringstream out;
  EXPECT_EQ(authz_explain(in, out), 0) << members;
  return out.str();
}

TEST(AuthzExplain, ReportsErrorsInTheirOrder) {
  const std::string conflict = R"("action":"read","object":{"type":"mystery","any_org":true,"org":"o"})";
  for (const auto& [members, error] : std::vector<std::pair<std::string, std::string>>{
           {R"("options":{"strict":true},"subject":{"id":"u"},)" + conflict, "invalid_type"},
           {R"("subject":{"id":"u","scope":"nope"},)" + conflict, "roles_missing"},
           {R"("subject":{"id":"u","roles":["nobody"]},)" + conflict, "scope_missing"},
           {R"("subject":{"id":"u","roles":["nobody"],"scope":"nope"},)" + conflict, "any_org_with_org"},
           {R"("subject":{"id":"u","roles":["nobody"],"scope":"nope"},)" + kObject, "unknown_role"},
           {R"("subject":{"id":"u","roles":["owner"],"scope":"nope"},)" + kObject, "unknown_scope"},
       })
    EXPECT_NE(explain(members).find(": error: " + error + ": "), std::string::npos) << members << explain(members);
  EXPECT_NE(explain(R"("subject":null,)" + kObject).find(": denied: nobody asks"), std::string::npos);
}

TEST(AuthzExplain, ShowsTheSecondChanceOfAPrebuiltWorkspace) {
  const std::string question =
      R"("subject":{"id":"u","roles":["template-admin"],"scope":"coder:all"},"action":"delete",)"
      R"("object":{"type":"workspace","owner":"c42fdf75-3097-471c-8c33-fb52454d81c0","org":"o"})";
  EXPECT_NE(explain(question).find("\"workspace\": denied: no_grant\n"), std::string::npos) << explain(question);
  const std::string both = explain(R"("kind":"workspace_or_prebuilt",)" + question);
  EXPECT_NE(both.find("\"workspace\": allowed: site_role\n  as it stands: denied: no_grant\n"), std::string::npos)
      << both;
  EXPECT_NE(both.find("  asked again as \"prebuilt_workspace\": allowed: site_role\n  roles site: yes, by"),
            std::string::npos)
      << both;
}

TEST(AuthzExplain, DoesNotLetACaseWriteToTheTerminal) {
  std::istringstream in("{\"name\":\"\\u001b[2J\",\"subject\":" + kOwner + "," + kObject + "}\n");
  std::ostringstream out;
  EXPECT_EQ(authz_explain(in, out), 0);
  EXPECT_EQ(out.str().find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace tally::daemon::cli
