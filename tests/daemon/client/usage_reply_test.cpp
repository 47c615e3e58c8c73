#include "daemon/publish/usage_reply.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace tally::daemon {
namespace {

using namespace std::chrono_literals;
using Kind = db::UsageOutcome::Kind;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

db::UsageEventRow event(std::string id, std::int64_t attempts = 1) {
  db::UsageEventRow made;
  made.id = std::move(id);
  made.event_type = "dc_managed_agents_v1";
  made.event_data = R"({"count":1})";
  made.attempts = attempts;
  return made;
}

client::Exchange answered(std::string body, unsigned status = 200) {
  client::Exchange exchange;
  exchange.status = status;
  exchange.sent = exchange.complete = true;
  exchange.body = std::move(body);
  return exchange;
}

std::vector<Kind> kinds(const UsageVerdict& verdict) {
  std::vector<Kind> all;
  for (const auto& outcome : verdict.outcomes) all.push_back(outcome.kind);
  return all;
}

const std::vector<db::UsageEventRow> kThree{event("a"), event("b", 3), event("c")};

UsageVerdict judged(const client::Exchange& exchange) {
  return judge(kThree, exchange, 0.0, std::nullopt);
}

TEST(UsageReply, SettlesEachEventAsItIsNamed) {
  const auto verdict = judged(answered(
      R"({"accepted_events":[{"id":"a"}],"rejected_events":[{"id":"b","message":"no","permanent":true},{"id":"c","message":"later","permanent":false}]})"));
  EXPECT_THAT(kinds(verdict), ElementsAre(Kind::published, Kind::rejected, Kind::again));
  EXPECT_EQ(verdict.outcomes[0].message, "");
  EXPECT_EQ(verdict.outcomes[1].message, "no");
  EXPECT_EQ(verdict.outcomes[1].attempt, 3);
  EXPECT_EQ(verdict.outcomes[2].wait, 200ms);
  EXPECT_EQ(verdict.problem, "");
}

TEST(UsageReply, WhatIsNotNamedWasNotTaken_UP08) {
  const auto verdict = judged(answered(R"({"accepted_events":[{"id":"b"}],"rejected_events":[]})"));
  EXPECT_THAT(kinds(verdict), ElementsAre(Kind::again, Kind::published, Kind::again));
  EXPECT_THAT(verdict.outcomes[0].message, HasSubstr("does not name it"));
}

TEST(UsageReply, StrangersAreCountedAndChangeNothing_UP08) {
  const auto verdict = judged(answered(
      R"({"accepted_events":[{"id":"a"},{"id":"x"}],"rejected_events":[{"id":"y","message":"no","permanent":true}]})"));
  EXPECT_EQ(verdict.strangers, 2u);
  EXPECT_THAT(kinds(verdict), ElementsAre(Kind::published, Kind::again, Kind::again));
}

TEST(UsageReply, AcceptedWinsOverRejectedAndARepeatIsNoNews) {
  const auto verdict = judged(answered(
      R"({"accepted_events":[{"id":"a"},{"id":"a"}],"rejected_events":[{"id":"a","message":"no","permanent":true}]})"));
  EXPECT_EQ(verdict.outcomes[0].kind, Kind::published);
  EXPECT_EQ(verdict.outcomes[0].message, "");
}

TEST(UsageReply, ARejectionIsForGoodOnlyIfItSaysSo) {
  const auto verdict = judged(answered(
      R"({"rejected_events":[{"id":"a"},{"id":"b","permanent":"yes"},{"id":"c","message":"m","permanent":true}]})"));
  EXPECT_THAT(kinds(verdict), ElementsAre(Kind::again, Kind::again, Kind::rejected));
}

TEST(UsageReply, AnAnswerThatIsNoneLeavesTheOutcomeUnknownAndSaysItOnce_UP09) {
  for (const char* body :
       {"<html>fine</html>", "", "[]", "{}", R"({"accepted_events":{}})", R"({"accepted_events":[)"}) {
    const auto verdict = judged(answered(body));
    EXPECT_THAT(kinds(verdict), Each(Kind::unknown)) << body;
    EXPECT_NE(verdict.problem, "") << body;
  }
}

TEST(UsageReply, ARefusalTookNothingAFailureMayHaveTakenAll) {
  EXPECT_THAT(kinds(judged(answered("no", 422))), Each(Kind::refused));
  EXPECT_THAT(kinds(judged(answered("", 429))), Each(Kind::refused));
  EXPECT_THAT(kinds(judged(answered("", 302))), Each(Kind::refused));
  EXPECT_THAT(kinds(judged(answered("oops", 500))), Each(Kind::unknown));
  EXPECT_EQ(judged(answered("oops", 500)).problem, "answered 500: oops");
  client::Exchange lost;
  lost.problem = "waiting for the answer: not within its time";
  EXPECT_THAT(kinds(judged(lost)), Each(Kind::refused)) << "nothing left";
  lost.sent = true;
  EXPECT_THAT(kinds(judged(lost)), Each(Kind::unknown));
  client::Exchange half = answered(R"({"accepted_events":[{"id":"a"}])");
  half.complete = false;
  half.problem = "reading the answer: end of stream";
  EXPECT_THAT(kinds(judged(half)), Each(Kind::unknown));
}

TEST(UsageReply, ABatchWithOneFateWaitsAlikeAndAsLongAsItWasAsked_UP07) {
  const auto verdict = judge(kThree, answered("", 503), 0.7, 60'000ms);
  for (const auto& outcome : verdict.outcomes) EXPECT_EQ(outcome.wait, 60s);
  const auto unasked = judge(kThree, answered("", 503), 0.7, std::nullopt);
  EXPECT_EQ(unasked.outcomes[0].wait, unasked.outcomes[1].wait);
}

TEST(UsageReply, NothingOfAHostileMessageGetsThrough) {
  const auto verdict =
      judged(answered(R"({"rejected_events":[{"id":"a","message":"a\u0000\u001b[2Jb","permanent":true}]})"));
  EXPECT_EQ(verdict.outcomes[0].message, "a  [2Jb");
}

TEST(UsageBatch, IsWhatTheCollectorReads) {
  auto quoted = event("a\"\\b");
  quoted.created_at_us = 1'000'000;
  const auto root = boost::json::parse(usage_batch_json({quoted, event("c")}));
  const auto& events = root.at("events").as_array();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].at("id").as_string(), "a\"\\b");
  EXPECT_EQ(events[0].at("event_data").at("count").as_int64(), 1);
  EXPECT_EQ(events[0].at("created_at").as_string(), "1970-01-01T00:00:01.000000Z");
}

}  // namespace
}  // namespace tally::daemon
