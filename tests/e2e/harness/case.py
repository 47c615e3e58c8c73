"""The base of every test class: a directory, a PostgreSQL for the class, a database and replicas for the test."""
import datetime
import os
import pathlib
import random
import shutil
import tempfile
import time
import unittest

from .books import REPORTS, SUMMARY, Books, Events, Figures
from .daemon import SLOWNESS, Daemon, run_tallyd
from .postgres import Postgres
from .waiting import eventually


class Case(unittest.TestCase):
    """Nothing is shared between tests but the PostgreSQL server of their class; `own_server = True` gives each test its own."""

    own_server = False
    no_server = False
    postgres = None
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls._class_directory = _new_directory(cls.__name__)
        cls.addClassCleanup(shutil.rmtree, cls._class_directory, ignore_errors=True)
        if not cls.own_server and not cls.no_server:
            cls.postgres = Postgres(cls._class_directory / "postgres").start()
            cls.addClassCleanup(cls.postgres.stop, "immediate")

    def setUp(self):
        self.directory = _new_directory(self._testMethodName)
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.seed = os.environ.get("TALLY_SEED") or str(random.SystemRandom().randrange(1 << 32))
        self.random = random.Random(self.seed)
        self.daemons = []
        self.addCleanup(self._end_daemons)
        if self.own_server:
            self.postgres = Postgres(self.directory / "postgres").start()
            self.addCleanup(self.postgres.stop, "immediate")
        self._databases = 0

    def run(self, result=None):
        before = 0 if result is None else len(result.failures) + len(result.errors)
        outcome = super().run(result)
        if result is not None and len(result.failures) + len(result.errors) > before:
            print(f"\n{self.id()}: TALLY_SEED={getattr(self, 'seed', '')}", flush=True)
        return outcome

    def _end_daemons(self):
        failed = self._outcome is not None and any(error for _, error in getattr(self._outcome.result, "errors", []) + getattr(self._outcome.result, "failures", []))
        for daemon in self.daemons:
            daemon.kill()
            if failed:
                print(f"--- log of {daemon.state_dir.name}, last lines\n{daemon.log_tail()}", flush=True)

    def database(self, over="unix", port=None, migrated=True):
        """A new database, its schema made; answers its URL."""
        self._databases += 1
        self.database_name = f"{self._testMethodName[:40]}_{os.getpid()}_{self._databases}".lower()
        self.postgres.create_database(self.database_name)
        url = self.postgres.url(self.database_name, over=over, port=port)
        if migrated:
            run_tallyd("migrate", "--database-url", self.postgres.url(self.database_name))
        return url

    def token(self, url, subject="boundary-usage-tracker", *arguments):
        return run_tallyd("token", "create", "--subject", subject, "--database-url", url, *arguments).stdout.strip()

    def replica(self, url, name="a", start=True, **flags):
        daemon = Daemon(self.directory / name, url, log=self.directory / f"{name}.log", **flags)
        self.daemons.append(daemon)
        if start:
            daemon.start()
        return daemon

    def replicas(self, url, count, **flags):
        return [self.replica(url, chr(ord("a") + n), **flags) for n in range(count)]

    def books(self):
        return Books()

    def events(self, salt="", **pool):
        return Events(f"{self.seed}/{salt}", **pool)

    # What tallyd says

    def summary(self, client):
        answer = client.get(SUMMARY)
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def reports(self, client):
        """All closed periods, oldest first, read page by page."""
        reports, before = [], None
        while True:
            answer = client.get(f"{REPORTS}?limit=100" + (f"&before={before}" if before is not None else ""))
            self.assertEqual(answer.status, 200, answer)
            page = answer.json
            reports += page["reports"]
            before = page.get("next_before")
            if before is None:
                return reports[::-1]

    def close(self, client, period=None):
        return client.post(REPORTS, {"period": period} if period is not None else None)

    def total(self, client):
        """All reports and the open period added up, as of the moment at which the summary was read: what was closed before is
        frozen, and what was closed since is left out."""
        summary = self.summary(client)
        closed = [report for report in self.reports(client) if report["period"] < summary["period"]]
        self.assertEqual([r["period"] for r in closed], list(range(summary["period"] - len(closed), summary["period"])), "periods are dense")
        return sum((Figures.of(report) for report in closed), Figures.of(summary))

    def settle(self, client, seconds=30.0):
        """Waits until the summary says that it holds everything that was acknowledged before now."""
        now = datetime.datetime.now(datetime.timezone.utc)

        def complete():
            summary = self.summary(client)
            if summary.get("missing_replicas"):
                raise AssertionError(f"missing replicas: {summary}")
            return summary["as_of"] is not None and moment(summary["as_of"]) >= now or None

        eventually(complete, lambda: f"the summary covers {now.isoformat()}\n{self._logs()}", seconds * SLOWNESS)

    def _logs(self):
        return "\n".join(f"--- {daemon.state_dir.name}\n{daemon.log_tail(8)}" for daemon in self.daemons)

    def assert_exact(self, client, books, seconds=30.0, settle=True):
        """The open period, the only one of this test, holds what `books` say: no more, no less."""
        if settle:
            self.settle(client, seconds)
        figures = eventually(
            lambda: _first(lambda f: not books.difference(f), Figures.of(self.summary(client)), books.difference),
            f"figures as in the books {books.statuses}", seconds * SLOWNESS)
        self.assertEqual(books.difference(figures), "")

    def assert_sums_exact(self, client, books, seconds=30.0, fresh=False):
        """All periods added up hold what `books` say. With `fresh` ids nothing may be counted in two of them either."""
        self.settle(client, seconds)
        figures = eventually(
            lambda: _first(lambda f: not books.sum_difference(f), self.total(client), books.sum_difference),
            f"figures as in the books {books.statuses}", seconds * SLOWNESS)
        if fresh:
            self.assertEqual(figures.workspaces, figures.allowed, "a request was counted twice, or its ids were lost")


def _first(good, figures, explain):
    if not good(figures):
        raise AssertionError(explain(figures))
    return figures


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def _new_directory(name):
    """Under /tmp and open to read, so that the user postgres can reach what is below."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=f"tally-{name[:30]}-", dir="/tmp"))
    path.chmod(0o755)
    return path


def stopwatch():
    start = time.monotonic()
    return lambda: time.monotonic() - start
