"""kill -9, SIGTERM, SIGSTOP and two processes where there should be one."""
import os
import shutil
import signal
import threading

from harness.books import Figures, Traffic
from harness.case import Case, stopwatch
from harness.waiting import eventually


class KillNine(Case):
    def test_BU_11_fault_1_killed_again_and_again_under_load_nothing_is_lost_or_doubled(self):
        self.kill_loop(replicas=1, kills=15)

    def test_BU_11_fault_1_three_replicas_killed_at_random_under_load(self):
        self.kill_loop(replicas=3, kills=15)

    def kill_loop(self, replicas, kills):
        url = self.database()
        daemons, token, books = self.replicas(url, replicas), self.token(url), self.books()
        pause = threading.Event()
        with Traffic(books, daemons, token, self.seed, threads=4, make=lambda events: events.fresh(events.random.randrange(1, 4))):
            for turn in range(kills):
                pause.wait(self.random.uniform(0.05, 0.5))
                victim = self.random.choice(daemons)
                victim.kill()
                victim.start()
                if turn % 4 == 3:
                    self.close(daemons[0].client(token))
        self.assertGreater(books.statuses[202], kills, "there was load")
        self.assert_sums_exact(daemons[0].client(token), books, fresh=True)

    def test_DJ_04_DJ_14_acknowledged_and_never_flushed_is_counted_after_a_restart_without_new_traffic(self):
        url = self.database()
        daemon, token, books = self.replica(url, flush_interval="1h"), self.token(url), self.books()
        for _ in range(20):
            self.assertEqual(books.send(daemon.client(token), self.events().shared(5)).status, 202)
        daemon.kill()
        daemon.flags["flush_interval"] = "100ms"
        daemon.start()
        self.assert_exact(daemon.client(token), books)

    def test_a_replica_that_is_gone_is_drained_by_whoever_reads_its_files(self):
        url = self.database()
        lost, token, books = self.replica(url, "lost", flush_interval="1h"), self.token(url), self.books()
        self.assertEqual(books.send(lost.client(token), self.events().shared(9)).status, 202)
        lost.kill()
        shutil.copytree(lost.state_dir, self.directory / "heir")
        heir = self.replica(url, "heir")
        self.assert_exact(heir.client(token), books)


class Stopping(Case):
    def test_BU_10_SIGTERM_flushes_what_was_acknowledged_and_exits_0(self):
        url = self.database()
        daemon, token, books = self.replica(url, flush_interval="1h"), self.token(url), self.books()
        other = self.replica(url, "other")
        self.assertEqual(books.send(daemon.client(token), self.events().shared(20)).status, 202)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(Figures.of(self.summary(other.client(token))), books.least())

    def test_fault_25_SIGTERM_under_load_loses_nothing(self):
        url = self.database()
        daemons, token, books = self.replicas(url, 2), self.token(url), self.books()
        with Traffic(books, daemons, token, self.seed, threads=4, make=lambda events: events.fresh(2)):
            for _ in range(5):
                before = books.statuses[202]
                eventually(lambda: books.statuses[202] > before + 20, "there is load")
                self.assertEqual(daemons[0].stop(), 0)
                daemons[0].start()
        self.assert_sums_exact(daemons[0].client(token), books, fresh=True)

    def test_fault_25_SIGTERM_with_the_database_hanging_exits_in_time(self):
        url = self.database()
        daemon, token, books = self.replica(url, shutdown_timeout="3s"), self.token(url), self.books()
        client = daemon.client(token)
        self.assertEqual(books.send(client, self.events().shared()).status, 202)
        self.settle(client)
        backends = [int(row[0]) for row in self.postgres.sql(
            f"SELECT pid FROM pg_stat_activity WHERE datname = '{self.database_name}' AND pid <> pg_backend_pid()")]
        try:
            for pid in backends:
                os.kill(pid, signal.SIGSTOP)
            self.assertEqual(books.send(client, self.events().shared(3)).status, 202)
            took = stopwatch()
            daemon.stop(seconds=20)
            self.assertLess(took(), 10)
        finally:
            for pid in backends:
                os.kill(pid, signal.SIGCONT)
        daemon.start()
        self.assert_exact(daemon.client(token), books)


def bypass_lock(state_dir):
    """Whoever opens the directory's lock anew locks another inode. The locks of single streams stay: they say who is alive."""
    (state_dir / "lock").unlink()


class TwoProcesses(Case):
    def test_BU_32_the_state_directory_is_locked(self):
        url = self.database()
        first = self.replica(url, "a")
        second = self.replica(url, "a", start=False)
        second.log = self.directory / "second.log"
        second.launch()
        self.assertEqual(second.process.wait(20), 1)
        self.assertIn(str(first.process.pid), second.log_tail(), "DJ-03: the message names who holds it")

    def test_BU_32_two_on_one_directory_with_the_lock_bypassed_stay_exact(self):
        url = self.database()
        token, books = self.token(url), self.books()
        first = self.replica(url, "a")
        events = self.events()
        for _ in range(10):
            self.assertEqual(books.send(first.client(token), events.shared(3)).status, 202)
        bypass_lock(first.state_dir)
        second = self.replica(url, "a", start=False)
        second.log = self.directory / "second.log"
        second.start()
        self.assertTrue(first.running and second.running)
        with Traffic(books, [first, second], token, self.seed, threads=4, requests=80):
            pass
        bypass_lock(first.state_dir)
        first.kill()
        first.start()
        with Traffic(books, [first, second], token, self.seed + "b", threads=2, requests=40):
            pass
        # Neither can say that its directory is complete while the other appends to it, so there is no `as_of` to wait for.
        self.assert_exact(second.client(token), books, settle=False)

    def test_fault_18_a_cloned_state_directory_is_drained_once_in_total(self):
        url = self.database()
        token, books = self.token(url), self.books()
        original = self.replica(url, "original", flush_interval="1h")
        self.assertEqual(books.send(original.client(token), self.events().shared(25)).status, 202)
        original.kill()
        shutil.copytree(original.state_dir, self.directory / "clone")
        original.flags["flush_interval"] = "100ms"
        original.start()
        clone = self.replica(url, "clone")
        books.send(clone.client(token), self.events(1).shared(5))
        books.send(original.client(token), self.events(2).shared(5))
        self.assert_exact(original.client(token), books)


class Paused(Case):
    def test_fault_4_stopped_in_the_middle_of_a_flush_while_another_goes_on(self):
        url = self.database()
        sleeper, other = self.replicas(url, 2)
        token, books = self.token(url), self.books()
        client = other.client(token)
        for turn in range(6):
            with Traffic(books, [sleeper, other], token, f"{self.seed}/{turn}", threads=2, requests=30, make=lambda events: events.fresh()):
                pass
            threading.Event().wait(self.random.uniform(0, 0.15))  # somewhere in its flush interval
            sleeper.signal(signal.SIGSTOP)
            try:
                took = stopwatch()
                self.assertEqual(self.close(client).status, 201, "no row lock is held by the one that sleeps")
                self.assertLess(took(), 10)
                books.send(client, self.events(turn).fresh(3))
            finally:
                sleeper.signal(signal.SIGCONT)
        self.assert_sums_exact(client, books, fresh=True)

    def test_B3_fault_4_what_a_sleeper_holds_is_brought_in_by_another_process_on_its_directory(self):
        url = self.database()
        token, books = self.token(url), self.books()
        sleeper = self.replica(url, "a", flush_interval="1h")
        self.assertEqual(books.send(sleeper.client(token), self.events().fresh(10)).status, 202)
        sleeper.signal(signal.SIGSTOP)
        try:
            bypass_lock(sleeper.state_dir)
            second = self.replica(url, "a", start=False)
            second.flags["flush_interval"] = "100ms"
            second.log = self.directory / "second.log"
            second.start()
            self.assert_exact(second.client(token), books, seconds=40, settle=False)
            open_streams = self.postgres.sql("SELECT count(*) FROM tallyd.streams WHERE state = 0 AND applied_lsn > 0", self.database_name)
            self.assertEqual(open_streams[0][0], "1", "its stream is not over: it holds its lock and may go on")
        finally:
            sleeper.signal(signal.SIGCONT)
        for _ in range(5):
            self.assertEqual(books.send(sleeper.client(token), self.events(2).fresh(10)).status, 202)
        self.assertEqual(sleeper.stop(), 0)
        self.assert_exact(second.client(token), books)

    def test_BU_32_fault_4_a_sleeper_and_a_second_process_on_its_directory(self):
        url = self.database()
        token, books = self.token(url), self.books()
        sleeper = self.replica(url, "a", flush_interval="1h")
        self.assertEqual(books.send(sleeper.client(token), self.events().shared(10)).status, 202)
        sleeper.signal(signal.SIGSTOP)
        try:
            bypass_lock(sleeper.state_dir)
            second = self.replica(url, "a", start=False)
            second.flags["flush_interval"] = "100ms"
            second.log = self.directory / "second.log"
            second.start()
            self.assertEqual(books.send(second.client(token), self.events(1).shared(10)).status, 202)
        finally:
            sleeper.signal(signal.SIGCONT)
        self.assertEqual(books.send(sleeper.client(token), self.events(2).shared(10)).status, 202)
        self.assertEqual(sleeper.stop(), 0)
        self.assert_exact(second.client(token), books)
