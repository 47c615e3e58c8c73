"""The disk under the journal: full, failing, over its quota, or with bits that changed."""
import os
import shutil
import subprocess
import unittest

from harness.books import SUMMARY, Figures, Increment
from harness.case import Case
from harness.disk import MIB, fill_up, mount_small
from harness.waiting import eventually


@unittest.skipUnless(os.geteuid() == 0, "mounting a small tmpfs needs root")
class FullDisk(Case):
    def test_DJ_06_fault_13_a_full_disk_answers_503_and_recovers_by_itself(self):
        url = self.database()
        token, books = self.token(url), self.books()
        disk = mount_small(self, self.directory / "a", 40 * MIB)
        daemon = self.replica(url, "a")
        client = daemon.client(token)
        self.assertEqual(books.send(client, self.events().fresh()).status, 202)
        filler = disk / "filler"
        fill_up(filler)
        answer = self.until_503(client, books)
        self.assertTrue(answer.headers["Retry-After"])
        self.assertEqual(client.get("/healthz").status, 200)
        self.assertEqual(client.get("/readyz").status, 503)
        filler.unlink()
        events = self.events("after")
        eventually(lambda: books.send(client, events.fresh()).status == 202, "ingest recovers", 60)
        self.assertEqual(client.get("/readyz").status, 200)
        self.assert_sums_exact(client, books, fresh=True)

    def test_DJ_06_fault_13_killed_and_started_on_a_full_disk_what_was_acknowledged_is_counted(self):
        url = self.database()
        token, books = self.token(url), self.books()
        disk = mount_small(self, self.directory / "a", 40 * MIB)
        daemon = self.replica(url, "a", flush_interval="1h")
        self.assertEqual(books.send(daemon.client(token), self.events().fresh(50)).status, 202)
        daemon.kill()
        fill_up(disk / "filler")
        daemon.flags["flush_interval"] = "100ms"
        daemon.launch()
        other = self.replica(url, "other")
        try:
            eventually(lambda: Figures.of(self.summary(other.client(token))).allowed >= 50, "the journal is drained although it cannot grow", 20)
        except AssertionError:
            (disk / "filler").unlink()
            if not daemon.running:
                daemon.start()
            raise
        (disk / "filler").unlink()
        daemon.wait_listening()
        events, client = self.events("after"), daemon.client(token)
        eventually(lambda: books.send(client, events.fresh()).status == 202, "ingest recovers", 60)
        self.assert_sums_exact(daemon.client(token), books, fresh=True)

    def until_503(self, client, books):
        events = self.events("fill", users=5)
        for _ in range(5000):
            answer = books.send(client, events.fresh(200))
            if answer.status != 202:
                self.assertEqual(answer.status, 503)
                return answer
        return self.fail("the disk never filled up")


def strace_works():
    try:
        return subprocess.run(["strace", "-f", "-qq", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@unittest.skipUnless(strace_works(), "strace may not trace here")
class FailingDisk(Case):
    def inject(self, what, name="a", **flags):
        url = self.database()
        token, books = self.token(url), self.books()
        syscall = what.split(":", 1)[0]
        daemon = self.replica(url, name, wrapper=["strace", "-D", "-f", "-qq", "-o", str(self.directory / "strace"), "-e", f"trace={syscall}", "-e", f"inject={what}"], **flags)
        return daemon, daemon.client(token), books

    def test_fault_5_a_sync_that_fails_once_costs_one_group_and_a_new_stream(self):
        daemon, client, books = self.inject("fdatasync:error=EIO:when=30")
        statuses = [books.send(client, self.events(n).fresh()).status for n in range(60)]
        self.assertIn(503, statuses)
        self.assertEqual(statuses[-1], 202, "a new stream was opened")
        self.assertLess(statuses.count(503), 10)
        self.assert_sums_exact(client, books, fresh=True, seconds=60)

    def test_fault_5_syncs_that_fail_now_and_then(self):
        daemon, client, books = self.inject("fdatasync:error=EIO:when=15+40")
        events = self.events()
        eventually(lambda: books.send(client, events.fresh()) and books.statuses[503] >= 3, "three failures", 60, pause=0)
        eventually(lambda: books.send(client, events.fresh()).status == 202, "ingest goes on")
        self.assert_sums_exact(client, books, fresh=True, seconds=60)

    def test_fault_5_a_disk_that_never_syncs_again_acknowledges_nothing(self):
        daemon, client, books = self.inject("fdatasync:error=EIO:when=20+")
        events = self.events()
        eventually(lambda: books.send(client, events.fresh()).status == 503, "the disk fails", 30, pause=0)
        for _ in range(20):
            self.assertEqual(books.send(client, events.fresh()).status, 503)
        self.assertEqual(client.get("/readyz").status, 503)
        daemon.kill()
        daemon.wrapper = []
        daemon.start()
        self.assert_sums_exact(daemon.client(client._token), books, fresh=True, seconds=60)

    def test_fault_13_writes_that_are_interrupted_or_refused(self):
        for what in ("pwrite64:error=EINTR:when=10+7", "pwrite64:error=ENOSPC:when=25"):
            with self.subTest(what):
                daemon, client, books = self.inject(what, name=what.replace(":", "_"))
                events = self.events(what)
                for _ in range(50):
                    books.send(client, events.fresh())
                eventually(lambda: books.send(client, events.fresh()).status == 202, "ingest goes on")
                self.assert_sums_exact(client, books, fresh=True, seconds=60)
                daemon.stop()


class Quota(Case):
    own_server = True

    def test_fault_13_over_the_quota_is_503_and_a_flushed_journal_makes_room_again(self):
        url = self.database()
        token, books = self.token(url), self.books()
        daemon = self.replica(url, journal_max_bytes="48MiB", journal_retention="0s")
        client = daemon.client(token)
        self.assertEqual(books.send(client, self.events("first", users=3).fresh()).status, 202)
        self.postgres.stop()
        events = self.events(users=3)
        answer = None
        for _ in range(3000):
            answer = books.send(client, events.fresh(1000))
            if answer.status != 202:
                break
        self.assertEqual(answer.status, 503, "the quota")
        self.assertTrue(answer.headers["Retry-After"])
        size = sum(path.stat().st_blocks * 512 for path in daemon.state_dir.rglob("*.seg"))
        self.assertLessEqual(size, 52 * MIB)
        self.postgres.start()
        eventually(lambda: books.send(client, events.fresh()).status == 202, "room again", 60)
        self.assert_sums_exact(client, books, fresh=True, seconds=60)


def used_bytes(path):
    """Up to the last byte that is not zero: segments are preallocated. (The last byte of each record here is a count of 1.)"""
    return len(path.read_bytes().rstrip(b"\0"))


class FlippedBytes(Case):
    """fault 19, DJ-01: what precedes the damage is counted, nothing crashes or hangs, and the daemon serves."""

    RECORDS = 5
    EXTRA = 10**9

    def setUp(self):
        super().setUp()
        self.url = self.database()
        self.template = self.database_name
        self.token_text = self.token(self.url)
        daemon = self.replica(self.url, "original", flush_interval="1h")
        client = daemon.client(self.token_text)
        self.assertEqual(client.get(SUMMARY).status, 200)
        self.prefixes, self.ends = [Figures()], [used_bytes(self.segment(daemon.state_dir))]
        books = self.books()
        for n in range(self.RECORDS):
            (fresh,) = self.events(n).fresh()
            self.assertEqual(books.send(client, [Increment(fresh.workspace, fresh.owner, 10**n, 1)]).status, 202)
            self.prefixes.append(books.least())
            self.ends.append(used_bytes(self.segment(daemon.state_dir)))
        self.assertEqual(sorted(set(self.ends)), self.ends, "each record is in the file before its 202")
        daemon.kill()
        self.original = daemon.state_dir

    @staticmethod
    def segment(state_dir):
        (segment,) = state_dir.rglob("00000001.seg")
        return segment

    def check(self, name, offset, damage):
        """Damage at `offset` of a copy costs the record that holds it and those behind it, nothing else."""
        state = self.directory / f"state_{name}"
        subprocess.run(["cp", "-a", "--sparse=always", str(self.original), str(state)], check=True)
        damage(self.segment(state))
        database = f"flip_{os.getpid()}_{name}"
        self.postgres.create_database(database, template=self.template)
        daemon = self.replica(self.postgres.url(database), state.name, flush_interval="20ms", start=False)
        whole = sum(1 for end in self.ends if end <= offset)  # header and records that end before the damage
        acceptable = {0, self.RECORDS} if whole == 0 else {whole - 1}
        expected = [self.prefixes[n].allowed for n in acceptable]
        try:
            for visit in (1, 2):  # the second time, the damage must not be met in a loop
                daemon.start()
                client = daemon.client(self.token_text)
                (fresh,) = self.events(f"extra{visit}").fresh()
                self.assertEqual(self.books().send(client, [Increment(fresh.workspace, fresh.owner, self.EXTRA, 0)]).status, 202, "it serves")

                def counted():
                    total = self.summary(client)["allowed_requests"]
                    self.assertIn(total - visit * self.EXTRA, expected)
                    return True

                eventually(counted, f"damage at {offset} of {self.ends}: {expected} and what is new are counted\n{daemon.log_tail(10)}", 20)
                self.assertEqual(daemon.stop(), 0)
        finally:
            daemon.kill()
            self.daemons.remove(daemon)
        self.postgres.sql(f'DROP DATABASE "{database}" WITH (FORCE)')
        shutil.rmtree(state)

    def flip(self, offset):
        def damage(path):
            with open(path, "r+b") as file:
                file.seek(offset)
                byte = file.read(1)[0]
                file.seek(offset)
                file.write(bytes([byte ^ self.random.randrange(1, 256)]))

        self.check(f"f{offset}", offset, damage)

    def truncate(self, offset):
        self.check(f"t{offset}", offset, lambda path: os.truncate(path, offset))

    def test_DJ_01_DJ_05_a_flipped_byte_at_places_drawn_at_random(self):
        for end in self.ends[:-1]:
            self.flip(end)
        for offset in self.random.sample(range(self.ends[-1]), 10):
            self.flip(offset)

    def test_DJ_01_DJ_05_cut_off_at_places_drawn_at_random(self):
        for offset in [self.ends[1], self.ends[3], *self.random.sample(range(self.ends[-1]), 6)]:
            self.truncate(offset)


class EveryFlippedByte(FlippedBytes):
    """The long form."""

    def test_DJ_01_DJ_05_a_flipped_byte_at_places_drawn_at_random(self):
        for offset in range(self.ends[-1]):
            self.flip(offset)

    def test_DJ_01_DJ_05_cut_off_at_places_drawn_at_random(self):
        for offset in range(self.ends[-1]):
            self.truncate(offset)
