#include "tracker/usage.hpp"

#include <gtest/gtest.h>

#include "tracker/accumulator.hpp"

namespace tally::tracker {
namespace {

UsageEvent event(std::string id, std::string data = "{}") {
  UsageEvent made;
  made.id = std::move(id);
  made.type = "dc_managed_agents_v1";
  made.data = std::move(data);
  made.known = true;
  return made;
}

std::string payload(const std::vector<UsageEvent>& events) {
  std::string out;
  UsageEncoder encoder(out);
  for (const UsageEvent& one : events) encoder.add(one);
  encoder.finish();
  return out;
}

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(UsageRecord, ReadsBackWhatWasWritten) {
  UsageEvent dated = event("a");
  dated.created_us = -1;
  UsageEvent unknown = event("b", R"({"x":1})");
  unknown.known = false;
  std::vector<UsageEvent> read;
  EXPECT_TRUE(for_each_usage_event(bytes(payload({dated, unknown})), [&](UsageEvent& e) { read.push_back(e); }));
  EXPECT_EQ(read, (std::vector{dated, unknown}));
}

TEST(UsageRecord, IsRefusedWhereverItIsCutOffOrGoesOn) {
  UsageEvent dated = event("a");
  dated.created_us = 5;
  const std::string whole = payload({dated});
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(for_each_usage_event(bytes(whole).first(size), [](UsageEvent&) {})) << size;
  const std::string more = whole + "x";
  EXPECT_FALSE(for_each_usage_event(bytes(more), [](UsageEvent&) {}));
}

TEST(Accumulator, KeepsTheFirstUsageEventOfEachIdAndCountsAll) {
  Accumulator accumulator;
  EXPECT_EQ(accumulator.add(RecordType::usage, bytes(payload({event("b", "1"), event("a", "2")})), {}),
            Accumulator::Added::yes);
  EXPECT_EQ(accumulator.add(RecordType::usage, bytes(payload({event("b", "3")})), {}), Accumulator::Added::yes);
  FlushBatch whole = accumulator.take();
  EXPECT_EQ(whole.usage, (std::vector{event("a", "2"), event("b", "1")}));
  EXPECT_EQ(whole.usage_events, 3u);
  FlushBatch part;
  part.usage = {event("a", "4"), event("c", "5")};
  part.usage_events = 2;
  EXPECT_TRUE(merge(whole, std::move(part), 10));
  EXPECT_EQ(whole.usage, (std::vector{event("a", "2"), event("b", "1"), event("c", "5")}));
  EXPECT_EQ(whole.usage_events, 5u);
  EXPECT_TRUE(accumulator.take().usage.empty());
}

TEST(Accumulator, IsFullBeforeUsageEventsPassTheirBound) {
  Accumulator accumulator({.usage_bytes = 100});
  const std::string large = payload({event("a", std::string(200, ' '))});
  EXPECT_EQ(accumulator.add(RecordType::usage, bytes(large), {}), Accumulator::Added::yes) << "an empty one takes any";
  EXPECT_EQ(accumulator.add(RecordType::usage, bytes(large), {}), Accumulator::Added::full);
  accumulator.take();
  EXPECT_EQ(accumulator.add(RecordType::usage, bytes(large), {}), Accumulator::Added::yes);
}

TEST(Accumulator, TakesNoFurtherRecordPastTheBoundOfUsageEvents) {
  Accumulator accumulator({.usage_events = 2});
  const std::string two = payload({event("a", "1"), event("b", "1")});
  EXPECT_EQ(accumulator.add(RecordType::usage, bytes(two), {}), Accumulator::Added::yes);
  EXPECT_EQ(accumulator.add(RecordType::usage, bytes(two), {}), Accumulator::Added::full);
  FlushBatch whole;
  for (std::size_t i = 0; i < kMostUsageEvents; ++i) whole.usage.push_back(event("w" + std::to_string(i), "1"));
  EXPECT_FALSE(merge(whole, accumulator.take(), 10)) << "re-read in parts";
}

}  // namespace
}  // namespace tally::tracker
