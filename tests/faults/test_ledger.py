"""The ledger at every moment of a fault run: what was applied is somewhere, exactly once, and what was accepted does not go away."""
import json
import os
import threading

from harness.books import EVENTS, Traffic
from harness.case import Case
from harness.client import NotSent, Unknown
from harness.daemon import run_tallyd
from harness.waiting import eventually

LONG = bool(os.environ.get("TALLY_LONG"))
LEDGER = "/api/v1/ledger"
SUMS = ("reported", "open", "discarded", "duplicates", "set_aside")


class Auditor:
    """Reads the ledger of each replica again and again while the test does its worst, and keeps what was wrong."""

    def __init__(self, daemons, token):
        self._daemons, self._token = daemons, token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.wrong, self.read = [], 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)

    def _run(self):
        applied = 0
        clients = [daemon.client(self._token) for daemon in self._daemons]
        while not self._stop.is_set():
            for client in clients:
                try:
                    answer = client.get(LEDGER)
                except (NotSent, Unknown):
                    continue
                if answer.status != 200:
                    continue
                self.read += 1
                ledger = answer.json
                usage = ledger["boundary_usage"]
                if not ledger["balanced"] or usage["applied"] != sum(usage[name] for name in SUMS):
                    self.wrong.append(f"not balanced: {usage}")
                if usage["accepted"] != usage["applied"] + usage["unflushed"]:
                    self.wrong.append(f"accepted is not applied and unflushed: {usage}")
                if usage["applied"] < applied:
                    self.wrong.append(f"applied went back from {applied}: {usage}")
                applied = usage["applied"]


class LedgerUnderFaults(Case):
    own_server = True

    def test_balanced_at_every_moment_of_kills_crashes_retries_closes_and_deletes(self):
        url = self.database()
        daemons, token, books = self.replicas(url, 3), self.token(url), self.books()
        steady = daemons[0].client(token)
        for daemon in daemons:
            eventually(lambda: daemon.client(token).post(EVENTS, self.events("k").fresh()[0].event() | {"allowed": 0}, {"Idempotency-Key": "warm"}).status == 202,
                       "keys are taken")
        pause = threading.Event()
        with Auditor(daemons, token) as auditor:
            with Traffic(books, daemons, token, self.seed, threads=3, pause=0.002, make=lambda events: events.fresh(events.random.randrange(1, 4))):
                for turn in range(40 if LONG else 12):
                    pause.wait(self.random.uniform(0.1, 0.5))
                    what = turn % 4
                    if what == 0:
                        victim = self.random.choice(daemons[1:])
                        victim.kill()
                        victim.start()
                    elif what == 1:
                        self.postgres.crash()
                        self.postgres.start()
                    elif what == 2:
                        self.duplicate(daemons, token, turn)
                    else:
                        self.close_or_delete(steady, daemons, turn)
        self.assertEqual(auditor.wrong[:3], [])
        self.assertGreater(auditor.read, 20, "the ledger was read")
        self.settle(steady, 60)
        sent = books.least().allowed + books.least().denied

        def at_rest():
            ledger = steady.get(LEDGER).json["boundary_usage"]
            return ledger if ledger["unflushed"] == 0 else None

        ledger = eventually(at_rest, lambda: f"nothing is left to flush: {steady.get(LEDGER).body}", 60)
        self.assertGreaterEqual(ledger["accepted"], sent, "nothing acknowledged is missing")
        self.assertEqual(run_tallyd("ledger", "--database-url", url).returncode, 0)
        told = json.loads(run_tallyd("ledger", "--output", "json", "--database-url", url).stdout)
        self.assertEqual(told["boundary_usage"]["applied"], ledger["applied"])
        self.assertEqual(run_tallyd("verify", "--database-url", url).returncode, 0)

    def duplicate(self, daemons, token, turn):
        event = self.events(f"twice{turn}").fresh()[0].event()
        for daemon in daemons:
            try:
                daemon.client(token).post(EVENTS, event, {"Idempotency-Key": f"twice{turn}"})
            except (NotSent, Unknown):
                pass

    def close_or_delete(self, client, daemons, turn):
        if turn % 8 == 3:
            self.close(client)
            return
        if self.random.random() < 0.5:
            client.request("DELETE", "/api/v1/boundary-usage")
        else:
            replica = (daemons[1].state_dir / "replica_id").read_text().strip()
            client.request("DELETE", f"/api/v1/boundary-usage/replicas/{replica}")

    def test_what_a_killed_replica_acknowledged_stays_in_the_ledger_until_it_is_drained(self):
        url = self.database()
        doomed, other = self.replica(url, "doomed"), self.replica(url, "other")
        token, books = self.token(url), self.books()
        client = doomed.client(token)
        books.send(client, self.events(1).fresh(5))
        self.settle(client)
        accepted = lambda one: one.get(LEDGER).json["boundary_usage"]["accepted"]  # noqa: E731
        with self.postgres.held(self.database_name, "tallyd.streams"):
            books.send(client, self.events(2).fresh(7))
            self.assertEqual(accepted(client), 12, "its own journal counts at once")
            eventually(lambda: accepted(other.client(token)) == 12, "the others hear of it with its heartbeat")
            doomed.kill()
            self.assertEqual(accepted(other.client(token)), 12, "dead, and not forgotten")
            doomed.start()
            for _ in range(20):
                self.assertEqual(accepted(client), 12, "back, with what its predecessor left")
                self.assertEqual(accepted(other.client(token)), 12)
        self.settle(client, 60)
        eventually(lambda: client.get(LEDGER).json["boundary_usage"]["unflushed"] == 0, "it is drained")
        self.assertEqual(accepted(client), 12)
        self.assertEqual(books.difference(self.total(client)), "")
