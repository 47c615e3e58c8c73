#include "daemon/auth/token_secret.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace tally::daemon {
namespace {

TEST(TokenSecret, IsWrittenAsTheContractSays) {
  const TokenSecret token = make_token_secret();
  EXPECT_THAT(token.text(), testing::MatchesRegex("tly_[0-9A-Za-z]+_[0-9A-Za-z]+"));
  EXPECT_EQ(token.text().size(), 4u + 10 + 1 + 43);
  EXPECT_TRUE(is_token_id(token.id));
}

TEST(TokenSecret, NeverRepeats) {
  std::set<std::string> ids, secrets;
  for (int i = 0; i < 1000; ++i) {
    const TokenSecret token = make_token_secret();
    ids.insert(token.id);
    secrets.insert(token.secret);
  }
  EXPECT_EQ(ids.size(), 1000u);
  EXPECT_EQ(secrets.size(), 1000u);
}

TEST(Base62, KeepsAll256Bits) {
  std::array<std::uint8_t, 32> number{};
  EXPECT_EQ(base62(number), std::string(43, '0'));
  number[31] = 61;
  EXPECT_EQ(base62(number), std::string(42, '0') + "z");
  number[31] = 62;
  EXPECT_EQ(base62(number), std::string(41, '0') + "10");
  number.fill(0xff);
  EXPECT_EQ(base62(number), "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
}

TEST(TokenId, IsTenDigitsOfBase62) {
  for (const char* text : {"", "abcdefghi", "abcdefghijk", "abcdefgh_j", "tly_abcdef"})
    EXPECT_FALSE(is_token_id(text)) << text;
  EXPECT_TRUE(is_token_id("0aZ9bY8cX7"));
}

}  // namespace
}  // namespace tally::daemon
