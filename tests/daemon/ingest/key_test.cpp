#include "daemon/ingest/key.hpp"

#include <gtest/gtest.h>

#include <set>

namespace tally::ingest {
namespace {

const tracker::Uuid kId = *tracker::Uuid::parse("00000000-0000-4000-8000-000000000001");

// Rows in `ingest_keys` hold these: a change would count a retry across an upgrade twice.
TEST(KeyId, NeverChanges) {
  EXPECT_EQ(key_id(KeySubject::system("tracker"), "boundary-usage/events", {"k"}).to_string(),
            "36b541d1-1148-bd7c-6570-10a27dd41a25");
  EXPECT_EQ(key_id(KeySubject::user(kId), "boundary-usage/events", {"source", "id"}).to_string(),
            "689a1aae-9483-7462-bac1-6317c19624a0");
}

TEST(KeyId, DiffersInEveryPart) {
  const std::string same_bytes(reinterpret_cast<const char*>(kId.bytes.data()), 16);
  const std::set<tracker::Uuid> ids = {
      key_id(KeySubject::user(kId), "r", {"ab", "c"}),          key_id(KeySubject::agent(kId), "r", {"ab", "c"}),
      key_id(KeySubject::system(same_bytes), "r", {"ab", "c"}), key_id(KeySubject::user(kId), "ra", {"b", "c"}),
      key_id(KeySubject::user(kId), "r", {"a", "bc"}),          key_id(KeySubject::user(kId), "r", {"abc"}),
      key_id(KeySubject::user(kId), "r", {"abc", ""}),          key_id(KeySubject::user({}), "r", {"ab", "c"})};
  EXPECT_EQ(ids.size(), 8u);
}

TEST(BodyHash, IsTheFrontOfSha256) {
  EXPECT_EQ(body_hash("abc"), 0xeacf018fbf1678baULL);  // ba7816bf 8f01cfea ...
  EXPECT_NE(body_hash(""), body_hash("a"));
}

}  // namespace
}  // namespace tally::ingest
