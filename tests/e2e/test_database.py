"""PostgreSQL that crashes, goes away, hangs, or answers into a cut connection."""
import os
import subprocess
import threading
import unittest

from harness.books import Figures, Traffic
from harness.case import Case
from harness.daemon import run_tallyd
from harness.disk import MIB, fill_up, mount_small
from harness.postgres import Postgres, free_port
from harness.proxy import CutProxy, Mode
from harness.waiting import eventually

# Text that only the flush statement holds (db/).
FLUSH_STATEMENT = b"tallyd.flush_v"


class DatabaseCrashes(Case):
    own_server = True

    def test_fault_6_crashes_again_and_again_under_load_while_every_request_gets_its_202(self):
        url = self.database()
        daemons, token, books = self.replicas(url, 2), self.token(url), self.books()
        books.send(daemons[0].client(token), self.events("known").fresh())
        books.send(daemons[1].client(token), self.events("known2").fresh())
        pause = threading.Event()
        with Traffic(books, daemons, token, self.seed, threads=3, pause=0.002, make=lambda events: events.fresh(events.random.randrange(1, 4))):
            for _ in range(6):
                pause.wait(self.random.uniform(0.3, 1.5))
                self.postgres.crash()
                self.postgres.start()
        self.assertEqual(set(books.statuses), {202}, "ingest does not notice")
        self.assert_sums_exact(daemons[0].client(token), books, fresh=True, seconds=60)

    def test_fault_7_backends_killed_in_the_middle_of_their_statements(self):
        url = self.database()
        daemons, token, books = self.replicas(url, 2, flush_interval="20ms"), self.token(url), self.books()
        with Traffic(books, daemons, token, self.seed, threads=3, make=lambda events: events.fresh()):
            for _ in range(25):
                self.postgres.sql(
                    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.database_name}' AND pid <> pg_backend_pid()")
        self.assert_sums_exact(daemons[0].client(token), books, fresh=True)


class DatabaseAway(Case):
    own_server = True

    def test_fault_11_away_for_long_ingest_goes_on_and_all_is_counted_after(self):
        url = self.database()
        daemon, token, books = self.replica(url), self.token(url), self.books()
        client = daemon.client(token)
        books.send(client, self.events().shared())
        self.postgres.stop()
        with Traffic(books, [daemon], token, self.seed, threads=4, requests=400):
            pass
        self.assertEqual(set(books.statuses), {202})
        self.assertEqual(client.get("/readyz").status, 200)
        self.assertEqual(client.get("/healthz").status, 200)
        answer = client.get("/api/v1/boundary-usage/summary")
        self.assertEqual(answer.status, 503)
        self.assertTrue(answer.headers["Retry-After"])
        daemon.kill()
        daemon.start()
        books.send(daemon.client(token), self.events("after").shared(4))
        self.postgres.start()
        self.assert_exact(daemon.client(token), books, seconds=60)

    def test_fault_11_a_read_only_database_is_like_one_that_is_away(self):
        url = self.database()
        daemon, token, books = self.replica(url), self.token(url), self.books()
        books.send(daemon.client(token), self.events().shared())
        self.settle(daemon.client(token))
        self.postgres.stop()
        self.postgres.start("default_transaction_read_only=on")
        for n in range(20):
            self.assertEqual(books.send(daemon.client(token), self.events(n).shared(3)).status, 202)
        self.postgres.stop()
        self.postgres.start()
        self.assert_exact(daemon.client(token), books, seconds=60)

    def test_M13_a_journal_older_than_its_retention_is_kept_until_it_is_applied(self):
        url = self.database()
        daemon, token, books = self.replica(url, journal_retention="0s"), self.token(url), self.books()
        self.assertEqual(books.send(daemon.client(token), self.events().shared(3)).status, 202)
        self.settle(daemon.client(token))
        self.postgres.stop()
        self.assertEqual(books.send(daemon.client(token), self.events("away").shared(9)).status, 202)
        (stream,) = (daemon.state_dir / "streams").iterdir()
        daemon.kill()
        daemon.start()
        self.assertEqual(books.send(daemon.client(token), self.events("after").shared(2)).status, 202)
        failed = lambda: sum(value for name, value in daemon.metrics().items() if name.startswith("tallyd_db_errors_total"))  # noqa: E731
        eventually(lambda: failed() >= 5, "it has looked for the database again and again", 40)
        self.assertTrue(list(stream.glob("*.seg")), "not applied, so not removed")
        self.postgres.start()
        self.assert_exact(daemon.client(token), books, seconds=60)
        eventually(lambda: not stream.exists(), "applied and past its retention, it goes", 30)

    def test_fault_10_a_held_lock_delays_the_flush_and_nothing_else(self):
        url = self.database()
        daemon, token, books = self.replica(url), self.token(url), self.books()
        client = daemon.client(token)
        books.send(client, self.events().shared())
        self.settle(client)
        with self.postgres.held(self.database_name, "tallyd.streams"):
            for n in range(50):
                self.assertEqual(books.send(client, self.events(n).shared(3)).status, 202)
        self.assert_exact(client, books, seconds=60)


@unittest.skipUnless(os.geteuid() == 0, "mounting a small tmpfs needs root")
class DatabaseDiskFull(Case):
    no_server = True

    def test_fault_12_the_disk_of_the_database_fills_up_and_is_emptied_again(self):
        disk = mount_small(self, self.directory / "disk", 200 * MIB)
        self.postgres = Postgres(disk / "postgres").start()
        self.addCleanup(self.postgres.stop, "immediate")
        url = self.database()
        daemon, token, books = self.replica(url), self.token(url), self.books()
        client = daemon.client(token)
        self.assertEqual(books.send(client, self.events("first").fresh()).status, 202)
        filler = disk / "filler"
        fill_up(filler)
        events = self.events()
        for _ in range(150):
            self.assertEqual(books.send(client, events.fresh(500)).status, 202, "ingest does not notice")
        filler.unlink()
        if not self.postgres.running:
            self.postgres.start()
        self.assert_sums_exact(client, books, fresh=True, seconds=90)


class DatabaseLosesCommits(Case):
    """accounting.md 13: a database that came back without the last commits it had confirmed."""

    LOST = "tallyd_database_lost_commits_total"

    def test_S13_what_it_lost_is_counted_again_from_the_journal(self):
        url = self.database()
        daemon, token, books = self.replica(url), self.token(url), self.books()
        client = daemon.client(token)
        books.send(client, self.events(1).shared(5))
        self.settle(client)
        dump = self.postgres.dump(self.database_name)
        for turn in range(3):
            books.send(client, self.events(f"lost{turn}").shared(5))
            self.settle(client)
        self.assertEqual(daemon.metrics()[self.LOST], 0)
        self.postgres.restore(self.database_name, dump)
        books.send(client, self.events("after").shared(5))
        self.assert_exact(client, books, seconds=60)
        self.assertEqual(daemon.metrics()[self.LOST], 1)
        self.assertTrue(any("lost commits" in str(entry.get("msg")) and entry.get("level") == "error" for entry in daemon.entries()))
        self.assertTrue(client.get("/api/v1/ledger").json["balanced"])

    def test_S13_one_that_only_crashed_is_not_taken_for_it(self):
        url = self.database()
        daemon, token, books = self.replica(url), self.token(url), self.books()
        client = daemon.client(token)
        for turn in range(3):
            books.send(client, self.events(turn).shared(5))
            self.settle(client, 60)
            self.postgres.crash()
            self.postgres.start()
        books.send(client, self.events("after").shared(5))
        self.assert_exact(client, books, seconds=60)
        self.assertEqual(daemon.metrics()[self.LOST], 0)


class DatabaseLosesPeriods(Case):
    """accounting.md 13: a database that came back in a period whose report was given out already."""

    def test_S13_nothing_is_flushed_into_it_even_after_a_restart_until_it_has_a_new_cluster_id(self):
        url = self.database()
        daemon, token, books = self.replica(url), self.token(url), self.books()
        client = daemon.client(token)
        books.send(client, self.events(1).shared(5))
        self.settle(client)
        dump = self.postgres.dump(self.database_name)
        for turn in range(2):
            books.send(client, self.events(f"lost{turn}").shared(5))
            self.settle(client)
            self.close(client)
        known = self.period(client)
        eventually(lambda: (daemon.state_dir / "period").read_text().split()[1] == str(known), "the replica remembers the period")
        daemon.stop()
        self.postgres.restore(self.database_name, dump)
        daemon.start()
        client = daemon.client(token)
        self.assertEqual(books.send(client, self.events("after").shared(5)).status, 202, "ingest goes on")
        check = eventually(lambda: self.failing(daemon, "periods"), "the operator is told")
        self.assertIn(f"rebase --next-period {known + 1}", check["detail"])
        self.assertTrue(any("lost periods" in str(entry.get("msg")) and entry.get("level") == "error" for entry in daemon.entries()))
        self.assertEqual(daemon.metrics()['tallyd_flushes_total{result="applied"}'], 0)
        told = run_tallyd("rebase", "--next-period", str(known + 1), "--database-url", url)
        self.assertEqual(told.returncode, 0, told.stderr)
        self.settle(client, 60)
        # A part of it is in the report of the period that rebase closed.
        everything = lambda: sum(map(Figures.of, self.reports(client)), Figures.of(self.summary(client)))  # noqa: E731
        eventually(lambda: not books.sum_difference(everything()), lambda: books.sum_difference(everything()), 60)
        self.assertEqual(self.period(client), known + 1)
        self.assertIsNone(self.failing(daemon, "periods"))
        self.assertTrue(client.get("/api/v1/ledger").json["balanced"])

    def period(self, client):
        return self.summary(client)["period"]

    @staticmethod
    def failing(daemon, name):
        checks = daemon.client().get("/readyz").json["checks"]
        return next((check for check in checks if check["name"] == name and not check["ok"]), None)


class CutConnections(Case):
    def test_BU_09_fault_8_before(self):
        self.exact_when_cut(Mode.BEFORE)

    def test_BU_09_fault_8_after(self):
        self.exact_when_cut(Mode.AFTER)

    def test_BU_09_fault_8_race(self):
        self.exact_when_cut(Mode.RACE)

    def test_BU_09_fault_8_hold(self):
        self.exact_when_cut(Mode.HOLD, times=1)

    def test_BU_09_fault_8_late(self):
        self.exact_when_cut(Mode.LATE, times=3)

    def exact_when_cut(self, mode, times=8):
        """Two replicas whose every flush, for a while, ends in a cut. Ids are shared, so that ids left out under a wrong belief
        would be missed, and closes come in between, so that the belief is wrong often."""
        direct = self.database()
        proxy = CutProxy(self.postgres.port, FLUSH_STATEMENT)
        self.addCleanup(proxy.close)
        token = self.token(direct)
        daemons = self.replicas(self.postgres.url(self.database_name, over="tcp", port=proxy.port), 2)
        watcher = self.replica(direct, "watcher").client(token)
        books = self.books()
        proxy.arm(mode, times=times, chance=0.7, seed=self.seed)
        period_figures = []
        events = self.events()
        clients = [daemon.client(token) for daemon in daemons]

        def load():
            for client in clients:
                self.assertEqual(books.send(client, events.fresh(2)).status, 202, "ingest does not notice")

        def all_cut():
            load()
            if self.random.random() < 0.1:
                period_figures.append(self.close(watcher).json)
            return not proxy.armed

        eventually(all_cut, f"{times} statements cut: {proxy.hits}", 120, pause=0.03)
        self.assertEqual(proxy.hits[mode], times)
        load()
        self.assert_sums_exact(watcher, books, fresh=True, seconds=90)

    def test_BU_08_fault_8_uniques_stay_exact_through_cuts_inside_one_period(self):
        direct = self.database()
        proxy = CutProxy(self.postgres.port, FLUSH_STATEMENT)
        self.addCleanup(proxy.close)
        token = self.token(direct)
        daemon = self.replica(self.postgres.url(self.database_name, over="tcp", port=proxy.port))
        books, events = self.books(), self.events()
        for mode in (Mode.AFTER, Mode.BEFORE, Mode.RACE, Mode.LATE, Mode.AFTER, Mode.RACE):
            proxy.arm(mode, times=1)

            def cut():
                self.assertEqual(books.send(daemon.client(token), events.shared(3)).status, 202)
                return not proxy.armed

            eventually(cut, f"{mode} happens", 30, pause=0.05)
        self.assert_exact(daemon.client(token), books, seconds=60)

    def test_the_network_gone_for_a_while_is_only_a_delay(self):
        direct = self.database()
        proxy = CutProxy(self.postgres.port, FLUSH_STATEMENT)
        self.addCleanup(proxy.close)
        token = self.token(direct)
        daemon = self.replica(self.postgres.url(self.database_name, over="tcp", port=proxy.port))
        books = self.books()
        books.send(daemon.client(token), self.events().shared())
        self.settle(daemon.client(token))
        proxy.refuse(True)
        with Traffic(books, [daemon], token, self.seed, threads=2, requests=100):
            pass
        proxy.refuse(False)
        self.assert_exact(daemon.client(token), books, seconds=60)


class ThroughPgBouncer(Case):
    def test_fault_9_transaction_mode_with_one_server_connection_and_restarts(self):
        direct = self.database()
        token, books = self.token(direct), self.books()
        bouncer = PgBouncer(self.directory / "pgbouncer", self.postgres)
        self.addCleanup(bouncer.stop)
        bouncer.start()
        url = f"postgresql://tally@127.0.0.1:{bouncer.port}/{self.database_name}?sslmode=disable&gssencmode=disable"
        daemons = [self.replica(url, name) for name in ("a", "b")]
        for _ in range(3):
            with Traffic(books, daemons, token, self.seed, threads=3, requests=60, make=lambda events: events.fresh()):
                pass
            bouncer.stop()
            bouncer.start()
            self.settle(daemons[0].client(token), 60)
            self.assertEqual(self.close(daemons[1].client(token)).status, 201)
        self.assert_sums_exact(daemons[0].client(token), books, fresh=True, seconds=60)


class PgBouncer:
    def __init__(self, directory, postgres):
        self.directory, self.port, self._process = directory, free_port(), None
        directory.mkdir(mode=0o755)
        self._as = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        (directory / "users.txt").write_text('"tally" ""\n')
        (directory / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={postgres.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\n"
            f"unix_socket_dir =\nauth_type = trust\nauth_file = {directory}/users.txt\npool_mode = transaction\ndefault_pool_size = 1\n"
            "max_client_conn = 100\nserver_tls_sslmode = disable\nclient_tls_sslmode = disable\n")

    def start(self):
        self._process = subprocess.Popen(
            ["/usr/sbin/pgbouncer", "-q", str(self.directory / "pgbouncer.ini")], cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **self._as)

    def stop(self):
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait(20)
