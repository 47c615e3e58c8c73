"""DELETE of the open period and of one replica's share of it: nothing vanishes without a record, and what comes later counts."""
import uuid

from harness.books import EVENTS, REPORTS, SUMMARY, Figures, Increment
from harness.case import Case
from harness.waiting import eventually

USAGE = "/api/v1/boundary-usage"
LEDGER = "/api/v1/ledger"


class Deletes(Case):
    def setUp(self):
        super().setUp()
        self.url = self.database()
        self.one, self.other = self.replicas(self.url, 2)
        token = self.token(self.url)
        self.client, self.other_client = self.one.client(token), self.other.client(token)

    def delete(self, path, client=None):
        return (client or self.client).request("DELETE", path)

    def ledger(self):
        ledger = self.client.get(LEDGER).json
        self.assertTrue(ledger["balanced"], ledger)
        return ledger["boundary_usage"]

    def send(self, client, *increments):
        books = self.books()
        self.assertEqual(books.send(client, increments).status, 202)
        self.settle(client)

    @staticmethod
    def replica_id(daemon):
        return (daemon.state_dir / "replica_id").read_text().strip()

    def test_discarding_the_open_period_leaves_a_report_that_says_so(self):
        self.send(self.client, *self.events().shared(5), Increment(str(uuid.uuid4()), str(uuid.uuid4()), 7, 2))
        summary = self.summary(self.client)
        thrown = summary["allowed_requests"] + summary["denied_requests"]
        answer = self.delete(USAGE)
        self.assertEqual((answer.status, answer.body), (204, b""))
        report = self.client.get(f"{REPORTS}/{summary['period']}").json
        self.assertTrue(report["discarded"])
        after = self.summary(self.client)
        self.assertEqual((after["period"], Figures.of(after)), (summary["period"] + 1, Figures()))
        ledger = self.ledger()
        self.assertEqual((ledger["discarded"], ledger["open"], ledger["reported"]), (thrown, 0, 0))
        self.assertTrue(any(entry.get("msg") == "period discarded" for entry in self.one.entries()), "an audit line")

        books = self.books()
        books.send(self.client, self.events().shared(5))
        self.assert_exact(self.client, books)
        self.assertFalse(self.close(self.client).json["discarded"])

    def test_what_was_not_flushed_when_the_period_was_discarded_counts_in_the_next(self):
        slow = self.replica(self.url, "slow", flush_interval="1h")
        books = self.books()
        books.send(slow.client(self.token(self.url)), self.events().shared(5))
        self.assertEqual(self.delete(USAGE).status, 204)
        self.assertEqual(slow.stop(), 0)
        eventually(lambda: Figures.of(self.summary(self.client)) == books.least() or None, "it is in the open period")

    def test_M9_S7_discarding_a_replica_leaves_the_others_and_its_ids_count_anew(self):
        shared = Increment(str(uuid.uuid4()), str(uuid.uuid4()), 5, 0)
        own = Increment(str(uuid.uuid4()), str(uuid.uuid4()), 50, 0)
        for _ in range(2):  # what comes first is read from the journal, and remembered from then on only
            self.send(self.client, Increment(shared.workspace, shared.owner, 0, 0), Increment(own.workspace, own.owner, 0, 0))
        self.send(self.client, shared, own)
        self.send(self.other_client, Increment(shared.workspace, shared.owner, 500, 0))
        answer = self.delete(f"{USAGE}/replicas/{self.replica_id(self.one)}")
        self.assertEqual(answer.status, 204)
        self.assertEqual(Figures.of(self.summary(self.client)), Figures(500, 0, 1, 1))
        self.assertEqual(self.ledger()["discarded"], 55)
        # This replica had sent these ids in this period, and leaves out what it knows to be there: it is there no longer.
        self.send(self.client, Increment(own.workspace, own.owner, 3, 0))
        self.assertEqual(Figures.of(self.summary(self.client)), Figures(503, 0, 2, 2))
        rows = self.postgres.sql("SELECT actor <> '', object, detail->>'requests' FROM tallyd.audit_log WHERE action = 'discard_replica'", self.database_name)
        self.assertEqual(rows, [["t", self.replica_id(self.one), "55"]])
        report = self.close(self.client).json
        self.assertEqual((Figures.of(report), report["discarded"]), (Figures(503, 0, 2, 2), False))
        self.assertEqual(self.ledger()["discarded"], 55)

    def test_a_key_that_was_thrown_away_is_not_counted_again(self):
        event = {"workspace_id": str(uuid.uuid4()), "owner_id": str(uuid.uuid4()), "allowed": 4}
        for client in (self.client, self.other_client):
            eventually(lambda: client.post(EVENTS, dict(event, allowed=0), {"Idempotency-Key": str(uuid.uuid4())}).status == 202, "keys are taken")
        self.assertEqual(self.client.post(EVENTS, event, {"Idempotency-Key": "k"}).status, 202)
        self.settle(self.client)
        self.assertEqual(self.delete(USAGE).status, 204)
        self.assertEqual(self.other_client.post(EVENTS, event, {"Idempotency-Key": "k"}).status, 202)
        self.settle(self.other_client)
        self.assertEqual(Figures.of(self.summary(self.client)).allowed, 0)
        self.assertEqual((self.ledger()["discarded"], self.ledger()["duplicates"]), (4, 4))

    def test_unknown_replicas_and_callers_without_the_right(self):
        self.assertEqual(self.delete(f"{USAGE}/replicas/{uuid.uuid4()}").status, 404)
        self.assertEqual(self.delete(f"{USAGE}/replicas/%ff%00").status, 404)
        for subject in ("connection-logger", "usage-publisher"):
            stranger = self.one.client(self.token(self.url, subject))
            for path in (USAGE, f"{USAGE}/replicas/{self.replica_id(self.one)}"):
                self.assertEqual(self.delete(path, stranger).status, 403, path)
        self.assertEqual(self.delete(USAGE, self.one.client()).status, 401)
        self.assertEqual(self.client.get(SUMMARY).json["period"], 1, "nothing was closed")
