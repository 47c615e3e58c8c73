"""fault 24: another version's schema or journal, and a migration that is killed half-way: exact, or a clear refusal that touches nothing."""
import os
import subprocess
import unittest

from harness.case import Case
from harness.daemon import BINARY, environment, run_tallyd
from harness.waiting import eventually

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def newer_version(segment):
    """The same segment with a header that says version 2 (journal/format.hpp)."""
    header = segment[:8] + (2).to_bytes(4, "little") + segment[12:60]
    return header + crc32c(header).to_bytes(4, "little") + segment[64:]


LONG = bool(os.environ.get("TALLY_LONG"))


def strace_works():
    try:
        return subprocess.run(["strace", "-f", "-qq", "-e", "inject=getppid:retval=0", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


class Upgrades(Case):
    @unittest.skipUnless(strace_works(), "strace may not trace here")
    def test_fault_24_a_migration_killed_at_every_message_leaves_all_of_it_or_nothing(self):
        url = self.database(migrated=False)
        number, survived = 1, False
        while not survived:
            done = subprocess.run(
                ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=sendto,sendmsg,write", "-e", f"inject=sendto,sendmsg,write:signal=KILL:when={number}",
                 str(BINARY), "migrate", "--database-url", url], capture_output=True, text=True, env=environment(), timeout=60)
            survived = done.returncode == 0
            # The server may still be at what it was sent last.
            eventually(lambda: self.postgres.sql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{self.database_name}' AND pid <> pg_backend_pid()") == [["0"]],
                       "nobody is left in the database")
            tables = int(self.postgres.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'tallyd'", self.database_name)[0][0])
            state = run_tallyd("migrate", "--check", "--output", "json", "--database-url", url, check=False)
            self.assertEqual(state.returncode, 0 if tables else 1, f"killed at message {number}: {tables} tables; {state.stdout}")
            if tables and not survived:
                self.postgres.sql("DROP SCHEMA tallyd CASCADE", self.database_name)
            number += 1 if LONG else self.random.randrange(1, 4)
        self.assertGreater(number, 3, "it was killed before")
        daemon, token, books = self.replica(url), self.token(url), self.books()
        books.send(daemon.client(token), self.events().shared(4))
        self.assert_exact(daemon.client(token), books)

    def test_fault_24_a_newer_schema_is_refused_by_migrate_and_touched_by_nobody(self):
        url = self.database()
        daemon, token, books = self.replica(url), self.token(url), self.books()
        client = daemon.client(token)
        books.send(client, self.events(1).shared(4))
        self.settle(client)
        self.assertEqual(daemon.stop(), 0)
        self.postgres.sql("INSERT INTO tallyd.schema_migrations (version, name, checksum) VALUES (9999, 'from_the_future', 'x')", self.database_name)
        before = self.schema()
        refused = run_tallyd("migrate", "--database-url", url, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("at least as new", refused.stderr)
        daemon.start()
        books.send(client, self.events(2).shared(4))
        eventually(lambda: any(c["name"] == "schema" and "at least as new" in c["detail"] for c in client.get("/readyz").json["checks"]), "it says so")
        self.assertEqual(client.get("/readyz").status, 200, "events are taken")
        self.assertEqual(self.schema(), before)
        self.postgres.sql("DELETE FROM tallyd.schema_migrations WHERE version = 9999", self.database_name)
        self.assert_exact(client, books, seconds=60)

    def schema(self):
        return self.postgres.sql(
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'tallyd' ORDER BY 1, 2", self.database_name)

    def test_fault_24_DJ_11_a_journal_of_a_newer_version_is_kept_whole_and_said(self):
        url = self.database()
        daemon, token, books = self.replica(url, flush_interval="1h"), self.token(url), self.books()
        self.assertEqual(books.send(daemon.client(token), self.events().shared(9)).status, 202)
        daemon.kill()
        (segment,) = daemon.state_dir.rglob("*.seg")
        written = segment.read_bytes()
        newer = newer_version(written)
        segment.write_bytes(newer)
        daemon.flags["flush_interval"] = "100ms"
        daemon.start()
        client = daemon.client(token)
        after = self.books()
        after.send(client, self.events("after").shared(3))
        eventually(lambda: any("cannot be drained" in str(entry.get("msg")) for entry in daemon.entries()), "it says so")
        self.assert_exact(client, after, settle=False)
        self.assertEqual(segment.read_bytes(), newer, "not one byte was touched")
        # The version that can read it brings it in.
        self.assertEqual(daemon.stop(), 0)
        segment.write_bytes(written)
        daemon.start()
        for request in after._acknowledged:
            books.acknowledge(request)
        self.assert_exact(client, books, seconds=60)
