#include "tracker/key_memory.hpp"

#include <gtest/gtest.h>

#include "tests/support/payloads.hpp"

namespace tally::tracker {
namespace {

using namespace std::chrono_literals;
using Known = KeyMemory::Known;
using test::id;

const SteadyTime kStart = SteadyTime(1h);

TEST(KeyMemory, TellsARepeatFromAConflict) {
  KeyMemory memory(1h, 100);
  EXPECT_EQ(memory.look_up(id(1), 7, kStart), Known::no);
  memory.remember(id(1), 7, kStart);
  EXPECT_EQ(memory.look_up(id(1), 7, kStart), Known::same);
  EXPECT_EQ(memory.look_up(id(1), 8, kStart), Known::conflict);
}

TEST(KeyMemory, ForgetsAtTheEndOfTheWindow) {
  KeyMemory memory(1h, 100);
  memory.remember(id(1), 7, kStart);
  memory.remember(id(1), 7, kStart + 59min);  // a repeat does not prolong it
  EXPECT_EQ(memory.look_up(id(1), 7, kStart + 1h - 1ns), Known::same);
  EXPECT_EQ(memory.look_up(id(1), 7, kStart + 1h), Known::no);
  memory.remember(id(1), 9, kStart + 1h);
  EXPECT_EQ(memory.look_up(id(1), 9, kStart + 90min), Known::same);
}

TEST(KeyMemory, HoldsNoMoreThanItsCapacity) {
  KeyMemory memory(1h, 160);
  for (std::uint64_t i = 0; i < 10'000; ++i) memory.remember(Uuid::random(), 1, kStart);
  std::size_t known = 0;
  std::vector<Uuid> last;
  for (int i = 0; i < 1000; ++i) {
    last.push_back(Uuid::random());
    memory.remember(last.back(), 1, kStart);
  }
  for (const Uuid& key : last) known += memory.look_up(key, 1, kStart) == Known::same;
  EXPECT_LE(known, 200u);
  EXPECT_GE(known, 100u);
  EXPECT_EQ(memory.look_up(last.back(), 1, kStart), Known::same) << "the newest stays";
}

TEST(KeyMemory, VouchesForNothingAfterASeal) {  // KM13
  KeyMemory memory(1h, 100);
  memory.remember(id(1), 7, kStart);
  memory.forget_all();
  EXPECT_EQ(memory.look_up(id(1), 7, kStart), Known::no);
}

}  // namespace
}  // namespace tally::tracker
