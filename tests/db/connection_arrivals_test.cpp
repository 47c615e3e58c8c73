#include "db/connection_arrivals.hpp"

#include <gmock/gmock.h>

#include "tests/db/connection_batches.hpp"

namespace tally::db {
namespace {

using test::connection_event;
using testing::ElementsAre;
using testing::IsEmpty;
using tracker::Uuid;
using Status = tracker::ConnectionStatus;

/// Somebody who looks again and again.
struct Looking : Counting {
  Looking() { look(); }
  void tell(const std::vector<tracker::ConnectionEvent>& events) {
    const tracker::Lsn at = applied(one);
    ASSERT_TRUE(flush(connections(one, at, at + 1, events)).value().applied);
  }
  std::vector<Uuid> look(std::int64_t limit = 1'000, Uuid behind = {}) {
    auto seen = store.run(arrivals.since(mark, behind, limit)).value();
    if (behind.is_nil()) mark = seen.mark;
    return seen.entries;
  }
  static Uuid entry(std::uint64_t session) { return connection_event(session, Status::connected, 1).entry; }
  ConnectionArrivals arrivals{store.pool()};
  std::optional<ConnectionMark> mark;
};

TEST(ConnectionArrivals, AreSeenOnceHoweverOldTheConnectionIs) {
  Looking db;
  EXPECT_THAT(db.look(), IsEmpty());
  db.tell({connection_event(1, Status::connected, 1'700'000'000)});
  EXPECT_THAT(db.look(), ElementsAre(Looking::entry(1)));
  EXPECT_THAT(db.look(), IsEmpty());
  db.tell({connection_event(2, Status::connected, -1'000'000'000)});
  EXPECT_THAT(db.look(), ElementsAre(Looking::entry(2)));
  EXPECT_THAT(db.look(), IsEmpty());
}

TEST(ConnectionArrivals, BeforeTheFirstLookAreNone) {
  Looking db;
  db.tell({connection_event(1, Status::connected, 1)});
  db.mark.reset();
  EXPECT_THAT(db.look(), IsEmpty());
  EXPECT_THAT(db.look(), IsEmpty());
}

TEST(ConnectionArrivals, ThatChangeSoonAreSeenAgain) {
  Looking db;
  db.tell({connection_event(1, Status::connected, 1)});
  EXPECT_THAT(db.look(), ElementsAre(Looking::entry(1)));
  db.tell({disconnected(1, 2)});
  EXPECT_THAT(db.look(), ElementsAre(Looking::entry(1)));
}

// The clock of a row is that of the beginning of its transaction, which says nothing of its end.
TEST(ConnectionArrivals, ThatCommitOnlyAfterALaterLookAreSeen) {
  Looking db;
  db.tell({connection_event(1, Status::connected, 1)});
  db.look();
  test::Session slow(db.database.conninfo());
  slow.query("BEGIN");
  slow.query(
      "INSERT INTO tallyd.connection_logs (entry, id, organization_id, workspace_owner_id, workspace_id, "
      "workspace_name,"
      " agent_name, type, connection_id, first_connect, last_connect, said_first)"
      " SELECT '" +
      Looking::entry(2).to_string() +
      "', id, organization_id, workspace_owner_id, workspace_id,"
      " workspace_name, agent_name, type, connection_id, first_connect, last_connect, said_first FROM "
      "tallyd.connection_logs");
  db.tell({connection_event(3, Status::connected, 1)});
  EXPECT_THAT(db.look(), ElementsAre(Looking::entry(3)));
  slow.query("COMMIT");
  EXPECT_THAT(db.look(), ElementsAre(Looking::entry(2)));
  EXPECT_THAT(db.look(), IsEmpty());
}

TEST(ConnectionArrivals, OfABurstComeInPieces) {
  Looking db;
  std::vector<tracker::ConnectionEvent> events;
  std::vector<Uuid> all;
  for (std::uint64_t session = 0; session < 25; ++session) {
    events.push_back(connection_event(session, Status::connected, 1));
    all.push_back(events.back().entry);
  }
  std::sort(all.begin(), all.end());
  db.tell(events);
  const auto before = db.mark;
  std::vector<Uuid> seen = db.look(10);
  const auto after = db.mark;
  while (seen.size() < 100) {
    db.mark = before;
    const auto more = db.look(10, seen.back());
    seen.insert(seen.end(), more.begin(), more.end());
    if (more.size() < 10) break;
  }
  EXPECT_EQ(seen, all);
  db.mark = after;
  EXPECT_THAT(db.look(), IsEmpty());
}

}  // namespace
}  // namespace tally::db
