"""The tools themselves: a cut that does not cut would let every test pass."""
import subprocess
import unittest

from harness.books import Books, Figures, Increment
from harness.case import Case
from harness.proxy import CutProxy, Mode
from harness.waiting import eventually


class CutProxyTest(Case):
    def setUp(self):
        super().setUp()
        self.name = self.postgres.create_database(f"proxy_{self._testMethodName}")
        self.postgres.sql("CREATE TABLE t (n int)", self.name, "tally")
        self.proxy = CutProxy(self.postgres.port, b"INSERT INTO t")
        self.addCleanup(self.proxy.close)

    def insert(self, seconds=10):
        """True when the client was told that its insert is done, False when it was not, None when it got tired of waiting."""
        url = self.postgres.url(self.name, over="tcp", port=self.proxy.port)
        try:
            done = subprocess.run(["psql", "-X", "-q", url, "-c", "INSERT INTO t VALUES (1)"], capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        return done.returncode == 0

    def rows(self):
        return int(self.postgres.sql("SELECT count(*) FROM t", self.name)[0][0])

    def test_passes_what_it_is_not_told_to_cut(self):
        self.assertTrue(self.insert())
        self.assertEqual(self.rows(), 1)
        self.assertEqual(sum(self.proxy.hits.values()), 0)

    def test_before_leaves_nothing_behind(self):
        self.proxy.arm(Mode.BEFORE)
        self.assertIs(self.insert(), False)
        self.assertEqual(self.rows(), 0)
        self.assertTrue(self.insert())

    def test_after_commits_and_tells_nobody(self):
        self.proxy.arm(Mode.AFTER)
        self.assertIs(self.insert(), False)
        self.assertEqual(self.rows(), 1)

    def test_race_cuts_while_the_statement_runs(self):
        self.proxy.arm(Mode.RACE)
        self.assertIs(self.insert(), False)
        self.assertLessEqual(self.rows(), 1)

    def test_hold_commits_and_lets_the_client_wait(self):
        self.proxy.arm(Mode.HOLD)
        self.assertIsNone(self.insert(seconds=1))
        self.assertEqual(self.rows(), 1)

    def test_late_commits_after_the_client_is_gone(self):
        self.proxy.arm(Mode.LATE)
        self.assertIs(self.insert(), False)
        self.assertEqual(self.rows(), 0)
        eventually(lambda: self.rows() == 1, "the late statement commits")

    def test_refuses_everybody_while_the_network_is_gone(self):
        self.proxy.refuse(True)
        self.assertIs(self.insert(), False)
        self.proxy.refuse(False)
        self.assertTrue(self.insert())


class PostgresTest(Case):
    own_server = True

    def test_keeps_commits_through_a_crash(self):
        name = self.postgres.create_database("crash")
        self.postgres.sql("CREATE TABLE t (n int); INSERT INTO t VALUES (7)", name, "tally")
        self.postgres.crash()
        self.assertFalse(self.postgres.running)
        self.postgres.start()
        self.assertEqual(self.postgres.sql("SELECT n FROM t", name), [["7"]])


class BooksTest(unittest.TestCase):
    def test_name_what_was_lost_and_what_was_doubled(self):
        books = Books()
        books.acknowledge([Increment("w1", "u1", 3, 1), Increment("w2", "u1", 2, 0)])
        self.assertEqual(books.difference(Figures(5, 1, 2, 1)), "")
        self.assertIn("allowed: 2 lost", books.difference(Figures(3, 1, 2, 1)))
        self.assertIn("denied: 1 too many", books.difference(Figures(5, 2, 2, 1)))
        self.assertIn("workspaces: 1 too many", books.difference(Figures(5, 1, 3, 1)))
