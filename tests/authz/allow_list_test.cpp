#include "authz/allow_list.hpp"

#include <gtest/gtest.h>

namespace tally::authz {
namespace {

const std::string kId = "000000ab-0000-4000-8000-0000000000ab";
const std::string kOther = "000000cd-0000-4000-8000-0000000000cd";

TEST(AnAllowEntry, IsLoweredAndTrimmed) {
  EXPECT_EQ(parse_allow_entry("  Template:000000AB-0000-4000-8000-0000000000AB\n").value(),
            (AllowEntry{"template", kId}));
  EXPECT_EQ(parse_allow_entry("*:*").value(), allow_everything());
  EXPECT_EQ(parse_allow_entry("*:" + kId).value(), (AllowEntry{"*", kId}));
  EXPECT_EQ(parse_allow_entry("workspace:*").value(), (AllowEntry{"workspace", "*"}));
}

TEST(AnAllowEntry, KeepsTheSpellingOfItsUuid) {
  EXPECT_EQ(parse_allow_entry("task:{" + kId + "}")->id, "{" + kId + "}");
  EXPECT_EQ(parse_allow_entry("task:000000ab000040008000000000000000")->id, "000000ab000040008000000000000000");
  EXPECT_EQ(parse_allow_entry("task:urn:uuid:" + kId)->id, "urn:uuid:" + kId);
}

TEST(AnAllowEntry, NeedsAKnownTypeAndAUuid) {
  for (const std::string& text : std::initializer_list<std::string>{
           "", " ", ":", "workspace", "workspace:", ":*", "workspace:bad-uuid", "foobar:*", "workspace: *",
           "workspace :*", "workspace:*:*", "*:x", "workspace:000000ab-0000"}) {
    EXPECT_EQ(parse_allow_entry(text).error(), Errc::bad_allow_entry) << text;
  }
}

TEST(AnAllowList, EndsAtTheFirstEverything) {
  const std::vector<std::string> later = {"workspace:*", "*:*", "nonsense"};
  EXPECT_EQ(parse_allow_list(later).value(), AllowList{allow_everything()});
  const std::vector<std::string> earlier = {"nonsense", "*:*"};
  EXPECT_EQ(parse_allow_list(earlier).error(), Errc::bad_allow_entry);
  EXPECT_TRUE(parse_allow_list({}).value().empty());
}

TEST(AnAllowList, IsCountedBeforeRepeatsGo) {
  std::vector<std::string> texts(128, "workspace:*");
  EXPECT_EQ(parse_allow_list(texts).value(), (AllowList{{"workspace", "*"}}));
  texts.push_back("workspace:*");
  EXPECT_EQ(parse_allow_list(texts).error(), Errc::too_many_allow_entries);
  texts = {"*:*", "*:*"};
  EXPECT_EQ(parse_allow_list(texts, 1).error(), Errc::too_many_allow_entries);
}

TEST(NormalizedLists, SwallowRepeatsAndTypedIds) {
  EXPECT_EQ(normalize({{"workspace", kId}, {"template", kId}, {"workspace", "*"}, {"workspace", kOther}}),
            (AllowList{{"template", kId}, {"workspace", "*"}}));
  EXPECT_EQ(normalize({{"workspace", kId}, {"workspace", kId}}), (AllowList{{"workspace", kId}}));
  EXPECT_EQ(normalize({{"workspace", "*"}, {"*", kId}}), (AllowList{{"*", kId}, {"workspace", "*"}}));
  EXPECT_EQ(normalize({{"workspace", ""}, {"workspace", "*"}}), (AllowList{{"workspace", "*"}}));
  EXPECT_EQ(normalize({{"workspace", kId}, {"*", "*"}}), AllowList{allow_everything()});
  EXPECT_TRUE(normalize({}).empty());
}

TEST(IntersectedLists, FailClosed) {
  const AllowList all{allow_everything()};
  EXPECT_TRUE(intersect(all, {}).empty());
  EXPECT_TRUE(intersect({}, {{"workspace", kId}}).empty());
  EXPECT_TRUE(intersect({}, all).empty());
}

TEST(IntersectedLists, MeetTypeAndId) {
  const AllowList all{allow_everything()};
  const AllowList unsorted{{"workspace", kOther}, {"template", kId}, {"template", kId}};
  EXPECT_EQ(intersect(all, unsorted), unsorted);
  EXPECT_EQ(intersect(unsorted, all), unsorted);
  EXPECT_EQ(intersect({{"*", kId}}, {{"workspace", "*"}, {"template", "*"}}),
            (AllowList{{"template", kId}, {"workspace", kId}}));
  EXPECT_EQ(intersect({{"workspace", kId}}, {{"workspace", kOther}}), AllowList{});
  EXPECT_EQ(intersect({{"workspace", "*"}}, {{"template", "*"}}), AllowList{});
}

TEST(UnitedLists, AreNormalized) {
  const AllowList lists[] = {{{"workspace", kOther}}, {{"workspace", kId}, {"workspace", kOther}}};
  EXPECT_EQ(unite(lists), (AllowList{{"workspace", kId}, {"workspace", kOther}}));
}

}  // namespace
}  // namespace tally::authz
