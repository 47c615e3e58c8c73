"""Idempotency keys and sessions of raw logs: what is counted once, what is refused, and what the metrics say about it."""
import shutil
import subprocess
import unittest
import uuid

from harness.books import EVENTS, Figures
from harness.case import Case
from harness.daemon import run_tallyd
from harness.waiting import eventually

LOGS = "/api/v1/boundary-usage/logs"
DUPLICATES = 'tallyd_ingest_duplicates_total{kind="boundary"}'
CONFLICTS = "tallyd_key_conflicts_total"
GAP = "tallyd_sequence_gap_total"


def an_event(allowed=1):
    return {"workspace_id": str(uuid.uuid4()), "owner_id": str(uuid.uuid4()), "allowed": allowed, "denied": 0}


def strace_works():
    try:
        return subprocess.run(["strace", "-f", "-qq", "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=EIO", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


class Keys(Case):
    def setUp(self):
        super().setUp()
        url = self.database()
        self.one, self.other = self.replicas(url, 2)
        token = self.token(url)
        self.clients = [daemon.client(token) for daemon in (self.one, self.other)]
        for client in self.clients:
            eventually(lambda: self.post(client, an_event(0), str(uuid.uuid4())).status == 202, "keys are taken")

    def post(self, client, body, key):
        return client.post(EVENTS, body, {"Idempotency-Key": key})

    def figures(self):
        return Figures.of(self.summary(self.clients[0]))

    def eventually_counted(self, name, expected, *daemons):
        eventually(lambda: sum(daemon.metrics()[name] for daemon in daemons) == expected or None,
                   lambda: f"{name} is {expected}: {[daemon.metrics()[name] for daemon in daemons]}")

    def test_BU_21_the_same_key_on_the_same_replica_counts_once_and_is_counted_as_a_duplicate(self):
        events = [an_event(3), an_event(4)]
        answers = [self.post(self.clients[0], events, "k") for _ in range(3)]
        self.assertEqual([(answer.status, answer.json) for answer in answers], [(202, {"accepted": 2})] * 3)
        self.settle(self.clients[0])
        self.assertEqual(self.figures().allowed, 7)
        self.assertEqual(self.one.metrics()[DUPLICATES], 4, "two events, twice again")

    def test_IN_08_the_same_key_on_another_replica_is_refused_by_the_flush_and_counted_as_a_duplicate(self):
        for client in self.clients:
            self.assertEqual(self.post(client, [an_event(5), an_event(6)], "k").status, 202)
        for client in self.clients:
            self.settle(client)
        self.assertEqual(self.figures().allowed, 11)
        self.eventually_counted(DUPLICATES, 2, self.one, self.other)

    def test_IN_07_another_body_under_the_same_key_is_422_where_the_key_is_known(self):
        self.assertEqual(self.post(self.clients[0], an_event(3), "k").status, 202)
        self.assertEqual(self.post(self.clients[0], an_event(4), "k").status, 422)
        self.assertEqual(self.one.metrics()[CONFLICTS], 1)
        self.assertEqual(self.one.metrics()[DUPLICATES], 0)

    def test_IN_07_another_body_on_another_replica_is_refused_by_the_flush_and_counted_as_a_conflict(self):
        for allowed, client in zip((3, 400), self.clients):
            self.assertEqual(self.post(client, an_event(allowed), "k").status, 202)
        for client in self.clients:
            self.settle(client)
        self.assertIn(self.figures().allowed, (3, 400), "the first to be flushed")
        self.eventually_counted(CONFLICTS, 1, self.one, self.other)
        self.eventually_counted(DUPLICATES, 1, self.one, self.other)

    def test_IN_04_two_subjects_never_share_a_key(self):
        owner, workspace = str(uuid.uuid4()), str(uuid.uuid4())
        token = run_tallyd(
            "token", "create", "--agent", "--workspace", workspace, "--owner", owner, "--template", str(uuid.uuid4()), "--version", str(uuid.uuid4()),
            "--database-url", self.postgres.url(self.database_name)).stdout.strip()
        agent = self.one.client(token)
        event = {"workspace_id": workspace, "owner_id": owner, "allowed": 2, "denied": 0}
        for client in (self.clients[0], agent):
            self.assertEqual(self.post(client, event, "k").status, 202)
        self.settle(self.clients[0])
        self.assertEqual(self.figures().allowed, 4)


class Unregistered(Case):
    own_server = True

    def test_S5_before_the_first_registration_keys_are_503_and_everything_else_is_taken(self):
        url = self.database()
        token, books = self.token(url), self.books()
        known = self.replica(url, "known")
        self.assertEqual(known.client(token).post(EVENTS, an_event(0)).status, 202)
        known.kill()
        fresh = self.replica(url, "fresh", start=False)
        fresh.state_dir.mkdir(mode=0o700)
        shutil.copy(known.state_dir / "rights.json", fresh.state_dir)
        self.postgres.stop()
        fresh.start()
        client = fresh.client(token)
        answer = self.post_keyed(client)
        self.assertEqual(answer.status, 503)
        self.assertTrue(answer.headers["Retry-After"])
        self.assertEqual(books.send(client, self.events().fresh(3)).status, 202)
        self.postgres.start()
        eventually(lambda: self.post_keyed(client).status == 202, "it has registered", 30)
        self.postgres.stop()
        fresh.kill()
        fresh.start()
        self.assertEqual(self.post_keyed(fresh.client(token)).status, 202, "once in its life is enough")

    def post_keyed(self, client):
        return client.post(EVENTS, an_event(0), {"Idempotency-Key": str(uuid.uuid4())})


@unittest.skipUnless(strace_works(), "strace may not trace here")
class KeysOnAFailingDisk(Case):
    def test_IN_01_a_key_whose_record_the_disk_refused_is_not_taken_for_counted(self):
        url = self.database()
        token = self.token(url)
        plain = self.replica(url)
        eventually(lambda: plain.client(token).post(EVENTS, an_event(0), {"Idempotency-Key": "first"}).status == 202, "it has registered")
        self.assertEqual(plain.stop(), 0)
        # Written wherever the disk lets it: some requests meet the failing call, and are sent until they have their 202.
        plain.wrapper = ["strace", "-D", "-f", "-qq", "-o", str(self.directory / "strace"), "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=EIO:when=9+7"]
        plain.start()
        client, refused = plain.client(token), 0
        for number in range(40):
            body = an_event(1)

            def taken(key=f"k{number}", body=body):
                nonlocal refused
                status = client.post(EVENTS, body, {"Idempotency-Key": key}).status
                refused += status == 503
                return status == 202

            eventually(taken, f"request {number} is taken", 30)
        self.assertGreater(refused, 0, "the disk refused something")
        self.settle(client)
        self.assertEqual(Figures.of(self.summary(client)).allowed, 40)


class KeysOnAFullJournal(Case):
    own_server = True

    def test_IN_01_a_key_that_the_journal_had_no_room_for_is_not_taken_for_counted(self):
        url = self.database()
        token, books = self.token(url), self.books()
        daemon = self.replica(url, journal_max_bytes="36MiB", journal_retention="0s")
        client, events = daemon.client(token), self.events(users=3)
        eventually(lambda: client.post(EVENTS, an_event(0), {"Idempotency-Key": "first"}).status == 202, "keys are taken")
        self.postgres.stop()
        waiting = []
        for number in range(5000):
            increments = events.fresh(400)
            body = [increment.event() for increment in increments]
            headers = {"Idempotency-Key": f"k{number}"}
            if client.post(EVENTS, body, headers).status == 202:
                books.acknowledge(increments)
            else:
                waiting.append((increments, body, headers))
                if len(waiting) == 3:
                    break
        self.assertEqual(len(waiting), 3, "the journal filled up")
        self.postgres.start()
        for increments, body, headers in waiting:
            eventually(lambda: client.post(EVENTS, body, headers).status == 202, "there is room again", 60)
            books.acknowledge(increments)
        self.assert_exact_among_all(client, books)

    def assert_exact_among_all(self, client, books):
        self.settle(client, 60)
        figures = Figures.of(self.summary(client))
        self.assertEqual((figures.allowed, figures.workspaces), (books.least().allowed, books.least().workspaces + 1))


class RawLogs(Case):
    def setUp(self):
        super().setUp()
        url = self.database()
        self.daemon = self.replica(url)
        self.client = self.daemon.client(self.token(url))
        self.workspace, self.owner = str(uuid.uuid4()), str(uuid.uuid4())
        eventually(lambda: self.send("first", [0]).status == 202, "keys are taken")
        self.sent = 1

    def send(self, session, numbers, allowed=True):
        logs = [{"allowed": allowed, "time": "2026-01-01T00:00:00Z", "sequence_number": number, "http_request": {"method": "GET", "url": "http://x/"}}
                for number in numbers]
        return self.client.post(LOGS, {"workspace_id": self.workspace, "owner_id": self.owner, "session_id": session, "logs": logs})

    def test_BU_21_a_batch_that_is_sent_again_is_not_counted_again(self):
        for _ in range(3):
            answer = self.send("s", range(10, 20))
            self.assertEqual((answer.status, answer.json), (202, {"accepted": 10, "skipped": 0}))
        self.settle(self.client)
        self.assertEqual(Figures.of(self.summary(self.client)), Figures(self.sent + 10, 0, 1, 1))
        self.assertEqual(self.daemon.metrics()[GAP], 0)

    def test_BU_23_numbers_that_never_come_are_counted_within_a_batch_and_between_batches(self):
        self.assertEqual(self.send("s", [1, 2, 5]).status, 202)
        self.assertEqual(self.daemon.metrics()[GAP], 2, "3 and 4")
        self.assertEqual(self.send("s", [6, 7]).status, 202)
        self.assertEqual(self.daemon.metrics()[GAP], 2)
        self.assertEqual(self.send("s", [11]).status, 202)
        self.assertEqual(self.daemon.metrics()[GAP], 5, "8, 9 and 10")
        self.assertEqual(self.send("s", [11]).status, 202)
        self.assertEqual(self.daemon.metrics()[GAP], 5, "a retry brings no new gap")
        self.assertEqual(self.send("another", [900]).status, 202)
        self.assertEqual(self.daemon.metrics()[GAP], 5, "of a new session nothing is known to be missing")

    def test_logs_without_a_session_are_counted_each_time(self):
        log = {"allowed": False, "time": "2026-01-01T00:00:00Z", "http_request": {"method": "GET", "url": "http://x/", "matched_rule": ""}}
        body = {"workspace_id": self.workspace, "owner_id": self.owner, "logs": [log, {"allowed": True, "time": "2026-01-01T00:00:00Z"}]}
        for _ in range(2):
            answer = self.client.post(LOGS, body)
            self.assertEqual((answer.status, answer.json), (202, {"accepted": 1, "skipped": 1}))
        self.settle(self.client)
        self.assertEqual(Figures.of(self.summary(self.client)), Figures(self.sent, 2, 1, 1))
