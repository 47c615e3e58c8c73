#include "tracker/uuid.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tracker/uuid_decode.hpp"

namespace tally::tracker {
namespace {

TEST(Uuid, ReadsAnyLetterCaseAndWritesLowerCase) {
  const auto uuid = Uuid::parse("C42FDF75-3097-471c-8C33-fb52454d81c0");
  ASSERT_TRUE(uuid);
  EXPECT_EQ(uuid->to_string(), "c42fdf75-3097-471c-8c33-fb52454d81c0");
}

TEST(Uuid, RefusesEverySingleWrongCharacter) {
  const std::string good = "c42fdf75-3097-471c-8c33-fb52454d81c0";
  for (std::size_t i = 0; i < good.size(); ++i)
    for (const char wrong : {'g', '/', ':', '@', '`', '\0', '\x80', ' '}) {
      std::string bad = good;
      bad[i] = wrong;
      EXPECT_FALSE(Uuid::parse(bad)) << i << " " << static_cast<int>(wrong);
    }
}

TEST(Uuid, RefusesOtherSpellings) {
  for (const char* text : {"", "c42fdf753097471c8c33fb52454d81c0", "{c42fdf75-3097-471c-8c33-fb52454d81c0}",
                           "c42fdf75-3097-471c-8c33-fb52454d81c", "c42fdf75-3097-471c-8c33-fb52454d81c00",
                           "c42fdf7-53097-471c-8c33-fb52454d81c0"})
    EXPECT_FALSE(Uuid::parse(text)) << text;
}

#if defined(__SSE2__)
TEST(Uuid, TheVectorAndThePortableReaderAgree) {
  std::mt19937 random(42);
  const std::string_view alphabet = "0123456789abcdefABCDEF----gG/:@`{\xff\x80\x01";
  const std::string good = "c42fdf75-3097-471c-8c33-fb52454d81c0";
  for (int round = 0; round < 200'000; ++round) {
    std::string text = good;
    for (unsigned changes = random() % 4; changes > 0; --changes)
      text[random() % text.size()] = alphabet[random() % alphabet.size()];
    Uuid vector, portable;
    const bool taken = detail::parse_uuid_sse2(text.data(), vector);
    ASSERT_EQ(taken, detail::parse_uuid_portable(text.data(), portable)) << text;
    if (taken) {
      ASSERT_EQ(vector, portable) << text;
    }
  }
}
#endif

TEST(Uuid, RandomOnesAreVersionFourAndDiffer) {
  const Uuid a = Uuid::random();
  EXPECT_NE(a, Uuid::random());
  EXPECT_EQ(a.to_string()[14], '4');
}

}  // namespace
}  // namespace tally::tracker
