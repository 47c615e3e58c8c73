#include "tracker/sequence_watch.hpp"

#include <gtest/gtest.h>

namespace tally::tracker {
namespace {

const Uuid kSession = Uuid::random();

TEST(SequenceWatch, NothingIsMissedBeforeTheFirstBatch) {
  SequenceWatch watch(10);
  EXPECT_EQ(watch.follow(kSession, 500, 510), 0u);
}

TEST(SequenceWatch, BU_23_AHoleBetweenTwoBatchesIsCountedOnce) {
  SequenceWatch watch(10);
  watch.follow(kSession, 1, 10);
  EXPECT_EQ(watch.follow(kSession, 11, 20), 0u);
  EXPECT_EQ(watch.follow(kSession, 24, 30), 3u);
  EXPECT_EQ(watch.follow(kSession, 31, 31), 0u);
}

TEST(SequenceWatch, WhatIsSentAgainOrComesLateIsNoHole) {
  SequenceWatch watch(10);
  watch.follow(kSession, 1, 10);
  watch.follow(kSession, 21, 30);
  EXPECT_EQ(watch.follow(kSession, 21, 30), 0u);
  EXPECT_EQ(watch.follow(kSession, 11, 20), 0u);
  EXPECT_EQ(watch.follow(kSession, 31, 40), 0u) << "the late one did not move the end back";
}

TEST(SequenceWatch, NumbersAtTheEndOfTheirRangeDoNotWrapAround) {
  SequenceWatch watch(10);
  watch.follow(kSession, 0, 0);
  EXPECT_EQ(watch.follow(kSession, UINT64_MAX, UINT64_MAX), UINT64_MAX - 1);
  EXPECT_EQ(watch.follow(kSession, 5, 6), 0u);
}

TEST(SequenceWatch, HoldsNoMoreSessionsThanItMay) {
  SequenceWatch watch(2);
  const Uuid second = Uuid::random(), third = Uuid::random();
  watch.follow(kSession, 1, 1);
  watch.follow(second, 1, 1);
  watch.follow(third, 1, 1);
  EXPECT_EQ(watch.follow(kSession, 5, 5), 0u) << "forgotten";
  EXPECT_EQ(watch.follow(third, 5, 5), 3u);
}

}  // namespace
}  // namespace tally::tracker
