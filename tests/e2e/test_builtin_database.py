"""No --database-url: tallyd runs a PostgreSQL of its own."""
import os
import pathlib

from harness.case import Case
from harness.daemon import run_tallyd
from harness.waiting import eventually


class BuiltInDatabase(Case):
    no_server = True

    def start(self, **flags):
        daemon = self.replica(None, "state", **flags)
        self.token_text = eventually(lambda: self.try_token(daemon), "a token can be made", 90)
        # A token made a moment ago is known when the daemon, too, has reached the database.
        eventually(lambda: daemon.client(self.token_text).get("/api/v1/boundary-usage/summary").status == 200, "the token is known", 30)
        return daemon

    def try_token(self, daemon):
        made = run_tallyd("token", "create", "--subject", "boundary-usage-tracker", "--state-dir", daemon.state_dir, check=False)
        return made.returncode == 0 and made.stdout.strip()

    def postmaster(self, daemon):
        (pid_file,) = daemon.state_dir.rglob("postmaster.pid")
        return int(pid_file.read_text().splitlines()[0])

    def is_kept(self, daemon):
        token_id = self.token_text.split("_")[1].encode()
        return any(token_id in path.read_bytes() for path in daemon.state_dir.iterdir() if path.is_file())

    def runs(self, pid):
        try:
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            return state != "Z"
        except FileNotFoundError:
            return False

    def test_counts_and_closes_like_any_other(self):
        daemon = self.start()
        client, books = daemon.client(self.token_text), self.books()
        self.assertEqual(books.send(client, self.events().shared(5)).status, 202)
        self.assert_exact(client, books)
        self.assertEqual(self.close(client).status, 201)
        pid = self.postmaster(daemon)
        self.assertTrue(self.runs(pid))
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(self.runs(pid), "it ends with the daemon")
        daemon.start()
        eventually(lambda: len(self.reports(client)) == 1, "the report is still there", 60)

    def test_never_outlives_the_daemon_and_is_found_again_after_kill_9(self):
        daemon = self.start()
        client, books = daemon.client(self.token_text), self.books()
        for turn in range(3):
            self.assertEqual(books.send(client, self.events(turn).shared(5)).status, 202)
            eventually(lambda: self.is_kept(daemon), "the token is known without the database")
            pid = self.postmaster(daemon)
            daemon.kill()
            eventually(lambda: not self.runs(pid), "PostgreSQL ends with the daemon", 30)
            daemon.start()
            self.assertEqual(books.send(client, self.events(f"{turn}b").shared(5)).status, 202, "before its database is up again, too")
            self.assert_exact(client, books, seconds=60)

    def test_is_started_again_when_it_dies_by_itself(self):
        daemon = self.start()
        client, books = daemon.client(self.token_text), self.books()
        self.assertEqual(books.send(client, self.events().shared()).status, 202)
        first = self.postmaster(daemon)
        os.kill(first, 9)
        self.assertEqual(books.send(client, self.events(1).shared()).status, 202)
        self.assert_exact(client, books, seconds=60)
        self.assertNotEqual(self.postmaster(daemon), first)

    def test_listens_on_no_TCP_port_and_lets_no_other_user_in(self):
        daemon = self.start()
        pid = self.postmaster(daemon)
        sockets = {os.readlink(link) for link in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
        inodes = {name[8:-1] for name in sockets if name.startswith("socket:[")}
        for table in ("tcp", "tcp6"):
            for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                self.assertNotIn(line.split()[9], inodes, "PostgreSQL listens on TCP")
        if os.geteuid() == 0:
            self.assertNotEqual(os.stat(f"/proc/{pid}").st_uid, 0, "PostgreSQL does not run as root")
