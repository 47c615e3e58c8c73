"""A throw-away PostgreSQL that can be stopped, crashed and asked."""
import contextlib
import glob
import os
import pathlib
import shutil
import signal
import socket
import subprocess

from .waiting import eventually


def find_binaries():
    """The directory that holds initdb and postgres; the newest version wins."""
    on_path = shutil.which("initdb")
    if on_path and shutil.which("postgres"):
        return pathlib.Path(on_path).resolve().parent
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if not found:
        raise RuntimeError("no PostgreSQL server found on PATH or in /usr/lib/postgresql/*/bin; run script/bootstrap")
    return pathlib.Path(max(found, key=lambda path: int(path.split("/")[4]))).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """One cluster below `directory`, listening on a Unix socket and on 127.0.0.1. PostgreSQL refuses to run as root, so root
    runs it as the user postgres. Commits survive a crash of the server, not of the machine: that is all a test needs."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.data = self.directory / "data"
        self.port = None
        self._binaries = find_binaries()
        self._process = None
        self._as = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        if self._as:
            shutil.chown(self.directory, "postgres", "postgres")
        if (self.data / "PG_VERSION").exists():  # a cluster that an earlier run made and kept
            return
        self._run("initdb", "--pgdata", self.data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write(
                f"unix_socket_directories = '{self.directory}'\nlisten_addresses = '127.0.0.1'\nfsync = off\n"
                "full_page_writes = off\nshared_buffers = 32MB\nmax_connections = 200\nautovacuum_naptime = 5s\n"
                "restart_after_crash = on\nlog_min_messages = warning\nlog_line_prefix = '%m [%p] %a '\n"
            )

    def _run(self, program, *arguments, check=True, **options):
        result = subprocess.run(
            [self._binaries / program, *map(str, arguments)], cwd="/", capture_output=True, text=True, timeout=120,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, **self._as, **options)
        if check and result.returncode != 0:
            raise RuntimeError(f"{program} failed: {result.stderr.strip()}")
        return result

    def start(self, *settings, wait=True):
        """Starts the server; `settings` are `name=value`. Keeps its port from start to start."""
        assert self._process is None or self._process.poll() is not None, "already running"
        if self.port is None:
            self.port = free_port()
        options = [word for setting in settings for word in ("-c", setting)]
        log = open(self.directory / "server.log", "ab")
        try:
            self._process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(self.data), "-p", str(self.port), *options], cwd="/", stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, start_new_session=True, **self._as)
        finally:
            log.close()
        if wait:
            eventually(self._answers, f"PostgreSQL answers on port {self.port}", 60)
        return self

    def _answers(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended: {self.log_tail()}")
        return self._run("pg_isready", "-q", "-h", self.directory, "-p", self.port, check=False).returncode == 0

    @property
    def running(self):
        return self._process is not None and self._process.poll() is None

    def stop(self, mode="fast"):
        """`immediate` is a crash: backends die where they are and the next start recovers."""
        if not self.running:
            return
        self._process.send_signal({"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def crash(self):
        self.stop("immediate")

    def url(self, database, user="tally", over="unix", port=None):
        """`over` is unix or tcp; `port` puts something else, a proxy for example, in the server's place."""
        if over == "unix":
            return f"postgresql://{user}@/{database}?host={self.directory}&port={self.port}"
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}?sslmode=disable&gssencmode=disable"

    def create_database(self, name, template="template1"):
        """A database of its own for one test, owned by the role `tally`, which may do nothing else."""
        self.sql("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tally') THEN CREATE ROLE tally LOGIN; END IF; END $$")
        self.sql(f'CREATE DATABASE "{name}" OWNER tally TEMPLATE "{template}"')
        return name

    def sql(self, text, database="postgres", user="postgres"):
        """Rows as lists of strings, without a header; NULL is ''."""
        result = self._run(
            "psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-h", self.directory, "-p", self.port, "-U", user, "-d", database, "-c", text)
        return [line.split("\x1f") for line in result.stdout.splitlines() if line]

    def dump(self, database):
        """What the database holds now, as SQL; its users go on meanwhile."""
        return self._run("pg_dump", "-h", self.directory, "-p", self.port, "-U", "postgres", database).stdout

    def restore(self, database, dump):
        """Puts the database back to where it was, under its users' feet."""
        fresh = f"{database}_restored"
        self.sql(f'CREATE DATABASE "{fresh}" OWNER tally')
        self._run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.directory, "-p", self.port, "-U", "postgres", "-d", fresh, input=dump)
        self.sql(f'DROP DATABASE "{database}" WITH (FORCE)')
        self.sql(f'ALTER DATABASE "{fresh}" RENAME TO "{database}"')

    @contextlib.contextmanager
    def held(self, database, table):
        """Nobody writes to `table` meanwhile; whoever tries waits."""
        holder = subprocess.Popen(
            ["psql", "-X", "-q", "-A", "-t", self.url(database, user="postgres")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            holder.stdin.write(f"BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE; SELECT 'held';\n")
            holder.stdin.flush()
            if "held" not in holder.stdout.readline():
                raise RuntimeError(f"{table} could not be locked: {self.log_tail(3)}")
            yield
        finally:
            holder.stdin.close()
            holder.wait(30)
            holder.stdout.close()

    def log_tail(self, lines=30):
        try:
            return "\n".join((self.directory / "server.log").read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""
