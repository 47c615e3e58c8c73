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


class GivenUp(Commands):
    def test_give_up_is_on_record_and_what_the_stream_still_held_is_never_counted(self):
        lost, other = self.replica(self.url, "lost"), self.replica(self.url, "other")
        token, books = self.token(self.url), self.books()
        client, watcher = lost.client(token), other.client(token)
        books.send(client, self.events("counted").fresh(3))
        self.settle(client)
        with self.postgres.held(self.database_name, "tallyd.streams"):
            self.assertEqual(self.books().send(client, self.events("given up").fresh(9)).status, 202)
            eventually(lambda: self.ledger(watcher)["boundary_usage"]["unflushed"] == 9, "the ledger knows of them")
            lost.kill()
            # A statement that was sent may still commit behind the death of its sender: this one shall not.
            self.postgres.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.database_name}' AND wait_event_type = 'Lock'")
        (stream,) = [s["id"] for s in self.json("streams", "list")["streams"] if s["replica_id"] == self.replica_id(lost)]
        for _ in range(2):
            self.assertEqual(self.json("streams", "give-up", stream), {"id": stream, "state": "given up"}, "twice is no error")
        self.assertIn([stream], self.postgres.sql("SELECT object FROM tallyd.audit_log WHERE action = 'give_up_stream'", self.database_name))
        self.assertEqual([s["id"] for s in self.json("streams", "list")["streams"] if s["id"] == stream], [], "it is owed no longer")
        self.assertIn("given up", self.tallyd("streams", "list", "--all").stdout)

        # Its directory is read again, by the replica and by a person: it stays given up, and the replica goes on.
        lost.start()
        eventually(lambda: books.send(client, self.events("after").fresh(2)).status == 202, "it serves")
        eventually(lambda: any(stream == entry.get("stream") and entry.get("reason") == "closed" for entry in lost.entries()), "it says that it may not bring it in")
        self.assert_exact(watcher, books, settle=False)
        eventually(lambda: self.ledger(watcher)["boundary_usage"]["unflushed"] == 0, "nobody owes anything")
        self.assertTrue(self.ledger(watcher)["balanced"])
        self.assertEqual(lost.stop(), 0)
        drained = self.tallyd("streams", "drain", str(lost.state_dir), "--output", "json", check=False)
        self.assertEqual((drained.returncode, json.loads(drained.stdout)["not_drained"]), (1, [{"stream": stream, "reason": "closed"}]))
        self.assert_exact(watcher, books, settle=False)

    def test_give_up_of_what_is_no_open_stream_says_so(self):
        self.replica(self.url)
        unknown = self.tallyd("streams", "give-up", "7d6f0000-0000-4000-8000-00000000000f", check=False)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("there is no stream", unknown.stderr)
        self.assertEqual(self.tallyd("streams", "give-up", "nonsense", check=False).returncode, 2)

    @staticmethod
    def replica_id(daemon):
        return (daemon.state_dir / "replica_id").read_text().strip()


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


