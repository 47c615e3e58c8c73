"""fault 2: killed at the N-th call of one kind, for N = 1, 2, ... until a run survives; exact for every N."""
import os
import subprocess
import unittest

from harness.case import Case
from harness.waiting import eventually

LONG = bool(os.environ.get("TALLY_LONG"))


def strace_works():
    try:
        return subprocess.run(["strace", "-f", "-qq", "-e", "inject=getppid:retval=0", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@unittest.skipUnless(strace_works(), "strace may not trace here")
class KillAtSyscall(Case):
    """One state directory and one database take all the kills, so that each start also recovers from the last one."""

    def test_fault_2_journal_writes(self):
        self.kill_at_each("pwrite64,pwritev,pwritev2", step=3)

    def test_fault_2_journal_syncs(self):
        self.kill_at_each("fdatasync,fsync", step=3)

    def test_fault_2_files_made_renamed_and_removed(self):
        self.kill_at_each("fallocate,ftruncate,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat", step=1)

    def test_fault_2_what_goes_to_the_database_and_to_clients(self):
        self.kill_at_each("sendto,sendmsg,write,writev", step=7)

    def kill_at_each(self, syscalls, step):
        url = self.database()
        token, books = self.token(url), self.books()
        daemon = self.replica(url, flush_interval="30ms", journal_retention="0s", start=False)
        plain_listen = daemon.flags["listen"]
        number, survived = 1, False
        while not survived:
            daemon.flags["listen"] = plain_listen
            daemon.wrapper = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={syscalls}", "-e", f"inject={syscalls}:signal=KILL:when={number}"]
            survived = self.one_run(daemon, token, books, number)
            daemon.kill()
            daemon.wrapper = []
            daemon.start()
            client = daemon.client(token)
            eventually(lambda: not self.differs(client, books), f"exact after a kill at call {number} of {syscalls}", 30)
            self.assertEqual(daemon.stop(), 0)
            number += 1 if LONG else self.random.randrange(1, 2 * step + 1)
        daemon.start()
        self.assert_sums_exact(daemon.client(token), books, fresh=True)

    def differs(self, client, books):
        total = self.total(client)
        difference = books.sum_difference(total) or (total.workspaces != total.allowed and "counted twice, or ids lost")
        if difference:
            raise AssertionError(difference)
        return ""

    def one_run(self, daemon, token, books, number):
        """A fixed piece of work: true when the process lived to its end."""
        daemon.launch()
        try:
            daemon.wait_listening()
        except (RuntimeError, AssertionError):
            if daemon.running:
                raise
            return False
        client, events = daemon.client(token), self.events(f"run{number}")
        for turn in range(12):
            answer = books.send(client, events.fresh(2))
            if not daemon.running:
                return False
            if turn == 6:
                try:
                    self.close(client)
                except Exception:  # killed while closing: the period is closed or it is not
                    pass
            self.assertTrue(answer is None or answer.status in (202, 503), answer)
        flushed = lambda: not daemon.running or not self.differs(client, books)  # noqa: E731
        eventually(flushed, "it is killed or flushes everything", 30)
        return daemon.running and daemon.stop() == 0
