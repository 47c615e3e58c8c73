"""Commands of an operator against a running cluster, each to its effect on the daemons."""
import json
import shutil

from harness.books import EVENTS, Figures
from harness.case import Case
from harness.daemon import run_tallyd
from harness.waiting import eventually

EVENT = {"workspace_id": "7d6f0000-0000-4000-8000-000000000001", "owner_id": "7d6f0000-0000-4000-8000-000000000002", "allowed": 1}
LEDGER = "/api/v1/ledger"


class Commands(Case):
    def setUp(self):
        super().setUp()
        self.url = self.database()

    def tallyd(self, *arguments, check=True):
        return run_tallyd(*arguments, "--database-url", self.url, check=check)

    def json(self, *arguments, check=True):
        return json.loads(self.tallyd(*arguments, "--output", "json", check=check).stdout)

    def ledger(self, client):
        answer = client.get(LEDGER)
        self.assertEqual(answer.status, 200, answer)
        return answer.json


class Streams(Commands):
    """A replica that is gone for good, with events that only its directory holds."""

    def setUp(self):
        super().setUp()
        self.here = self.replica(self.url, "here")
        self.lost = self.replica(self.url, "lost")
        token = self.token(self.url)
        self.client, self.books, self.gone = self.here.client(token), self.books(), self.books()
        client = self.lost.client(token)
        self.books.send(client, self.events("flushed").fresh(4))
        self.settle(client)
        # From here on its journal is all there is: stopped before it can flush again.
        self.lost.kill()
        self.lost.flags["flush_interval"] = "1h"
        self.lost.start()
        self.answer = self.gone.send(self.lost.client(token), self.events("unflushed").fresh(9))
        self.assertEqual(self.answer.status, 202)
        self.lost.kill()

    def open_streams(self):
        return self.json("streams", "list")["streams"]

    def test_list_shows_who_owes_what(self):
        self.books.send(self.client, self.events("here").fresh())
        self.settle_here()
        streams = self.json("streams", "list", "--all")["streams"]
        self.assertEqual({stream["state"] for stream in streams} - {"open", "drained"}, set())
        self.assertEqual(len({stream["replica_id"] for stream in streams}), 2)
        table = self.tallyd("streams", "list").stdout
        self.assertIn("STREAM", table)
        self.assertIn(self.open_streams()[0]["id"], table)

    def settle_here(self):
        eventually(lambda: Figures.of(self.summary(self.client)).allowed >= self.books.least().allowed, "what lives is in")

    def test_drain_brings_in_what_the_directory_holds_once(self):
        for turn in range(2):
            drained = self.json("streams", "drain", str(self.lost.state_dir))
            self.assertEqual(drained["not_drained"], [], f"turn {turn}")
        for increments in self.gone._acknowledged:
            self.books.acknowledge(increments)
        self.assert_exact(self.client, self.books, settle=False)
        self.assertEqual([s for s in self.open_streams() if s["replica_id"] == self.replica_id(self.lost)], [], "all of it is marked")
        self.assertTrue(list(self.lost.state_dir.rglob("*.seg")), "the files are left to a person")
        # It was not gone after all: nothing is counted twice.
        self.lost.flags["flush_interval"] = "100ms"
        self.lost.start()
        self.assert_exact(self.client, self.books)

    def test_drain_of_a_copy_elsewhere_is_the_same(self):
        copy = self.directory / "rescued"
        shutil.copytree(self.lost.state_dir, copy)
        self.assertIn("are drained", self.tallyd("streams", "drain", str(copy)).stdout)
        for increments in self.gone._acknowledged:
            self.books.acknowledge(increments)
        self.assert_exact(self.client, self.books, settle=False)

    def test_drain_refuses_what_is_no_state_directory_or_is_in_use(self):
        nothing = self.directory / "nothing"
        nothing.mkdir()
        refused = self.tallyd("streams", "drain", str(nothing), check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("not a state directory", refused.stderr)
        self.assertEqual(list(nothing.iterdir()), [], "and leaves it as it was")
        used = self.tallyd("streams", "drain", str(self.here.state_dir), check=False)
        self.assertEqual(used.returncode, 1)
        self.assertIn(f"in use by process {self.here.pid}", used.stderr)

    @staticmethod
    def replica_id(daemon):
        return (daemon.state_dir / "replica_id").read_text().strip()

    def test_give_up_is_on_record_and_what_comes_later_is_refused(self):
        self.books.send(self.client, self.events("here").fresh())
        self.settle_here()
        mine = [s["id"] for s in self.open_streams() if s["replica_id"] == self.replica_id(self.lost)]
        if not mine:  # the second boot never reached the database with its stream: nothing of it to give up
            self.lost.start()
            self.lost.kill()
            mine = [s["id"] for s in self.open_streams() if s["replica_id"] == self.replica_id(self.lost)]
        for stream in mine:
            self.assertEqual(self.json("streams", "give-up", stream), {"id": stream, "state": "given up"})
            self.assertEqual(self.json("streams", "give-up", stream)["state"], "given up", "twice is no error")
        audit = self.postgres.sql("SELECT object FROM tallyd.audit_log WHERE action = 'give_up_stream'", self.database_name)
        self.assertTrue({stream for stream in mine} <= {row[0] for row in audit})
        unknown = self.tallyd("streams", "give-up", "7d6f0000-0000-4000-8000-00000000000f", check=False)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("there is no stream", unknown.stderr)
        self.assertEqual(self.tallyd("streams", "give-up", "nonsense", check=False).returncode, 2)


class LiveStreamGivenUp(Commands):
    def test_a_stream_given_up_flushes_no_more_and_the_ledger_balances(self):
        daemon, other = self.replica(self.url, "a"), self.replica(self.url, "b")
        token, books = self.token(self.url), self.books()
        for one in (daemon, other):
            books.send(one.client(token), self.events(one.state_dir.name).fresh(3))
            self.settle(one.client(token))
        replica = (daemon.state_dir / "replica_id").read_text().strip()
        daemon.flags["flush_interval"] = "1h"
        daemon.kill()
        (stream,) = [s["id"] for s in self.json("streams", "list")["streams"] if s["replica_id"] == replica]
        self.tallyd("streams", "give-up", stream)
        daemon.start()
        eventually(lambda: self.ledger(other.client(token))["balanced"], "the ledger balances")
        self.assertEqual(Figures.of(self.summary(other.client(token))), books.least(), "what was counted stays counted")


class Rebase(Commands):
    def test_after_a_restore_from_backup_counting_goes_on_under_a_new_cluster_id(self):
        daemon, token = self.replica(self.url), self.token(self.url)
        client, books = daemon.client(token), self.books()
        books.send(client, self.events(1).fresh(2))
        self.settle(client)
        before = self.close(client).json
        backup = f"{self.database_name}_backup"
        self.assertEqual(daemon.stop(), 0)
        self.postgres.sql(f'CREATE DATABASE "{backup}" TEMPLATE "{self.database_name}" OWNER tally')
        daemon.start()
        for turn in range(2):
            books.send(client, self.events(f"lost{turn}").fresh(3))
            self.settle(client)
            self.close(client)
        seen = self.summary(client)["period"]
        # The restore: the database says again what it said at the backup, under the daemon's feet.
        self.postgres.sql(f'DROP DATABASE "{self.database_name}" WITH (FORCE)')
        self.postgres.sql(f'ALTER DATABASE "{backup}" RENAME TO "{self.database_name}"')
        answer = client.post(EVENTS, EVENT)
        self.assertEqual(answer.status, 202, "ingest goes on")
        eventually(lambda: any("no longer flushed" in str(e.get("msg")) for e in daemon.entries()), "the daemon notices and stops flushing", 60)
        eventually(lambda: not next(c for c in client.get("/readyz").json["checks"] if c["name"] == "streams")["ok"], "/readyz says so too")
        rebased = self.json("rebase", "--next-period", str(seen + 1))
        self.assertNotEqual(rebased["cluster_id"], before["cluster_id"])
        self.assertGreater(rebased["period"], seen)
        audit = self.postgres.sql("SELECT count(*) FROM tallyd.audit_log WHERE action = 'rebase'", self.database_name)
        self.assertEqual(audit, [["1"]])
        self.assertEqual(daemon.stop(), 0)
        daemon.start()
        books.send(daemon.client(token), self.events("after").fresh(2))
        eventually(lambda: self.summary(daemon.client(token))["allowed_requests"] > 0, "counting goes on", 60)
        self.assertTrue(self.ledger(daemon.client(token))["balanced"])
        self.assertEqual(run_tallyd("verify", "--database-url", self.url).returncode, 0)


class People(Commands):
    def test_a_deleted_user_is_401_within_five_seconds_on_every_replica(self):
        ada = "7d6f0000-0000-4000-8000-00000000000a"
        self.tallyd("user", "put", "--id", ada, "--username", "ada", "--role", "owner")
        token = self.tallyd("token", "create", "--user", ada).stdout.strip()
        clients = [daemon.client(token) for daemon in self.replicas(self.url, 2)]
        for client in clients:
            self.assertEqual(client.get("/api/v1/boundary-usage/summary").status, 403, "known, and not allowed (BU-28)")
        self.assertIn(ada, self.tallyd("user", "list").stdout)
        self.tallyd("user", "delete", ada)
        for client in clients:
            eventually(lambda: client.get("/api/v1/boundary-usage/summary").status == 401, "the deleted user's token is refused", 6)
        self.assertNotIn(ada, self.tallyd("user", "list").stdout)
        self.assertEqual(self.tallyd("user", "delete", ada, check=False).returncode, 1)

    def test_a_revoked_token_is_401_and_stays_so_while_the_database_is_away(self):
        daemon = self.replica(self.url)
        token = self.token(self.url)
        client = daemon.client(token)
        self.assertEqual(client.post(EVENTS, EVENT).status, 202)
        self.tallyd("token", "revoke", token.split("_")[1])
        eventually(lambda: client.post(EVENTS, EVENT).status == 401, "the revoked token is refused", 6)
        self.assertEqual(daemon.stop(), 0)
        daemon.flags["database_url"] = "postgresql://tally@127.0.0.1:1/nowhere"
        daemon.start()
        self.assertEqual(daemon.client(token).post(EVENTS, EVENT).status, 401, "its revocation is kept too")
        unknown = self.tallyd("token", "revoke", "0123456789", check=False)
        self.assertEqual(unknown.returncode, 1)


