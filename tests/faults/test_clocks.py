"""fault 16: clocks that jump. The wall clock labels and decides nothing; the database's clock is not touched here."""
import glob
import unittest

from harness.books import Traffic
from harness.case import Case

LIBRARIES = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")


@unittest.skipUnless(LIBRARIES, "libfaketime is not installed; run script/bootstrap")
class ClockJumps(Case):
    def test_BU_16_fault_16_replicas_a_year_apart_count_exactly_and_close_once(self):
        self.exact_under("+365d", "-365d")

    def test_fault_16_a_frozen_clock_and_a_fast_one(self):
        self.exact_under("@2026-01-01 00:00:00", "+0 x100")

    def exact_under(self, *clocks):
        url = self.database()
        token, books = self.token(url), self.books()
        daemons = []
        for number, clock in enumerate(clocks):
            # The monotonic clock stays real: only the wall clock jumps on a real machine.
            wrapper = ["env", f"LD_PRELOAD={LIBRARIES[0]}", f"FAKETIME={clock}", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1"]
            daemons.append(self.replica(url, f"clock{number}", wrapper=wrapper))
        honest = self.replica(url, "honest")
        client = honest.client(token)
        first = self.summary(client)["period"]
        with Traffic(books, [*daemons, honest], token, self.seed, threads=3, make=lambda events: events.fresh()):
            for _ in range(5):
                before = books.statuses[202]
                while books.statuses[202] < before + 50:
                    self.summary(client)
                self.assertEqual(self.close(client).status, 201)
        for daemon in [*daemons, honest]:
            self.assertEqual(daemon.stop(), 0)
        honest.start()
        total = self.total(client)
        self.assertEqual(books.sum_difference(total), "")
        self.assertEqual(total.workspaces, total.allowed)
        self.assertEqual(self.summary(client)["period"], first + 5, "periods are dense, and nobody else closed one")
