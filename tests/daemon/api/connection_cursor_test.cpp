#include "daemon/api/connection_cursor.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tally::daemon::api {
namespace {

constexpr std::int64_t kFirstTime = -62'135'596'800'000'000;  // 0001-01-01
constexpr std::int64_t kLastTime = 253'402'300'799'999'999;   // 9999-12-31

db::ConnectionCursor cursor(std::string snapshot, std::int64_t at_us = 1) {
  return {{at_us, tracker::Uuid::random()}, std::move(snapshot)};
}

/// `count` transactions that run, `most_apart` from each other at most.
std::string busy_snapshot(std::size_t count, std::uint64_t most_apart, std::uint64_t first = 4'000'000'000) {
  std::mt19937_64 random(count);
  std::string running;
  std::uint64_t id = first;
  for (std::size_t i = 0; i < count; ++i) {
    running += (i == 0 ? "" : ",") + std::to_string(id);
    id += 1 + random() % most_apart;
  }
  return std::to_string(first) + ":" + std::to_string(id) + ":" + running;
}

std::size_t ids_in(std::string_view snapshot) {
  return static_cast<std::size_t>(std::count(snapshot.begin(), snapshot.end(), ',')) + 1;
}

TEST(ConnectionCursor, ComesBackAsItWas) {
  for (const std::int64_t at : {std::int64_t{0}, std::int64_t{-1}, kFirstTime, kLastTime}) {
    for (const char* snapshot : {"7:7:", "7:12:7", "7:12:8", "7:12:7,8,11", "731:18446744073:731,99999",
                                 "1:1:", "9223372036854775806:9223372036854775807:9223372036854775806"}) {
      const db::ConnectionCursor made = cursor(snapshot, at);
      const std::string text = to_cursor(made);
      EXPECT_EQ(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), text.npos)
          << "needs no escape in a URL: " << text;
      const auto read = read_cursor(text);
      ASSERT_TRUE(read) << text;
      EXPECT_EQ(read->place.at_us, at);
      EXPECT_EQ(read->place.entry, made.place.entry);
      EXPECT_EQ(read->snapshot, snapshot);
    }
  }
}

TEST(ConnectionCursor, OfAThousandTransactionsFitsInARequestLine) {
  const std::string snapshot = busy_snapshot(1'000, 100);
  const std::string text = to_cursor(cursor(snapshot));
  EXPECT_LE(text.size(), kLongestCursor);
  const auto read = read_cursor(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->snapshot, snapshot);
}

TEST(ConnectionCursor, OfTooManyTransactionsLeavesOutTheLastOnes) {
  for (const std::size_t count : {1'600, 5'000, 100'000}) {
    for (const std::uint64_t apart : {1u, 100u, 1'000'000u}) {
      const std::string snapshot = busy_snapshot(count, apart);
      const std::string text = to_cursor(cursor(snapshot));
      EXPECT_LE(text.size(), kLongestCursor);
      const auto read = read_cursor(text);
      ASSERT_TRUE(read) << text;
      const std::string kept = read->snapshot.substr(read->snapshot.rfind(':') + 1);
      const std::string all = snapshot.substr(snapshot.rfind(':') + 1);
      EXPECT_EQ(all.compare(0, kept.size(), kept), 0) << "the first ones are kept";
      EXPECT_GE(ids_in(kept), apart == 1'000'000 ? 400u : 1'000u);
      // Whatever is as new as the first that was left out counts as not begun.
      const std::string left_out = all.substr(kept.size() + 1, all.find(',', kept.size() + 1) - kept.size() - 1);
      EXPECT_EQ(read->snapshot, "4000000000:" + left_out + ":" + kept);
    }
  }
}

TEST(ConnectionCursor, IsNothingElse) {
  const std::string good = to_cursor(cursor("300:312:300,302"));
  ASSERT_TRUE(read_cursor(good));
  for (std::size_t i = 0; i < 36; ++i) EXPECT_FALSE(read_cursor(good.substr(0, i))) << i;
  for (const std::string& bad :
       {std::string(), std::string("x"), good.substr(1), good + "=", good + "A", " " + good, good + "!!!!",
        good.substr(0, 32), good.substr(0, 34), good + std::string(5'000, 'B'), "+" + good.substr(1)})
    EXPECT_FALSE(read_cursor(bad)) << bad;
}

TEST(ConnectionCursor, HoldsNoTimeThatTheDatabaseHasNot) {
  for (const std::int64_t at :
       {kFirstTime - 1, kLastTime + 1, std::int64_t{-251'000'000'000'000'000}, INT64_MIN, INT64_MAX})
    EXPECT_FALSE(read_cursor(to_cursor(cursor("7:12:", at)))) << at;
}

TEST(ConnectionCursor, HoldsNoSnapshotThatTheDatabaseWouldRefuse) {
  for (const char* snapshot : {"0:12:", "0:0:", "7:12:12", "7:12:13", "7:12:8,8", "7:12:6",
                               "12:7:", "7:9223372036854775808:", "18446744073709551615:18446744073709551615:"})
    EXPECT_FALSE(read_cursor(to_cursor(cursor(snapshot)))) << snapshot;
}

// Whatever is read has one spelling, so that no two cursors are the same place.
TEST(ConnectionCursor, IsReadFromNothingButItsOwnSpelling) {
  std::mt19937_64 random(7);
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  int taken = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = to_cursor(cursor(busy_snapshot(random() % 4, 300), static_cast<std::int64_t>(random() % 1'000)));
    text[32 + random() % (text.size() - 32)] = kDigits[random() % kDigits.size()];
    if (random() % 4 == 0) text += kDigits[random() % kDigits.size()];
    const auto read = read_cursor(text);
    if (!read) continue;
    ++taken;
    EXPECT_EQ(to_cursor(*read), text);
  }
  EXPECT_GT(taken, 100);
}

}  // namespace
}  // namespace tally::daemon::api
