#include "daemon/counting/intake.hpp"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <optional>

namespace tally::daemon {
namespace {

namespace asio = boost::asio;

struct Acknowledged : PendingRecord {
  explicit Acknowledged(std::uint64_t requests) {
    type = tracker::RecordType::boundary;
    tracker::Increment increment;
    increment.allowed = requests;
    tracker::BoundaryEncoder encoder(payload);
    encoder.add(increment);
    encoder.finish();
    volume = {requests, 1};
  }
  void settled() override {}
};

/// Two http threads and the counting thread, each of which moves only when told.
struct IntakeTest : testing::Test {
  IntakeTest() {
    intake.on_cut([this](const tracker::Cut&, std::vector<tracker::Shard::Part>,
                         const std::vector<Volume>& volumes) { taken += intake.take(volumes); },
                  [] {});
  }

  void acknowledge(std::uint32_t shard, std::uint64_t requests) {
    tracker::AppendGroup group;
    group.push_back(std::make_unique<Acknowledged>(requests));
    intake.deliver(shard, std::move(group));
    turn(threads[shard]);
  }

  static void turn(asio::io_context& thread) {
    thread.restart();
    thread.poll();
  }

  std::uint64_t untaken() const { return static_cast<std::uint64_t>(intake.untaken().requests); }

  asio::io_context threads[2], counting;
  Intake intake{{threads[0].get_executor(), threads[1].get_executor()}, counting.get_executor(), {}};
  Volume taken;
};

TEST_F(IntakeTest, WhatWasAcknowledgedIsKnownAtEveryMomentOfACut) {
  acknowledge(0, 5);
  acknowledge(1, 7);
  EXPECT_EQ(untaken(), 12u);
  tracker::Cut cut;
  cut.upto = 2;
  intake.cut(cut);
  EXPECT_EQ(untaken(), 12u) << "asked of the threads";
  turn(threads[0]);
  EXPECT_EQ(untaken(), 12u) << "one of them has handed in its part";
  acknowledge(0, 100);  // belongs to the next cut
  turn(threads[1]);
  EXPECT_EQ(untaken(), 112u) << "all of them have, and nobody has it yet";
  turn(counting);
  EXPECT_EQ(static_cast<std::uint64_t>(taken.requests), 12u);
  EXPECT_EQ(taken.events, 2u);
  EXPECT_EQ(untaken(), 100u);
}

}  // namespace
}  // namespace tally::daemon
