#!/usr/bin/env python3
"""Targets 8, 11 and 12: connection batches beside a statement an event, pages of a long log, flushes while old entries are removed.

usage: bench/run/connections.py BIN_DIRECTORY [--rows N] [--requests N] [--seconds S] [--plans FILE] [--keep DIRECTORY] [--only PART]
"""
import argparse
import json
import math
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from urllib.parse import quote

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/e2e"))
os.environ.setdefault("TALLYD", str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release/bin").resolve() / "tallyd"))
from harness.daemon import Daemon, run_tallyd  # noqa: E402
from harness.postgres import Postgres, find_binaries  # noqa: E402
from harness.waiting import eventually  # noqa: E402

LOG, EVENTS = "/api/v1/connection-log", "/api/v1/connection-log/events"
ORGANIZATIONS, OWNERS, WORKSPACES, USERS = 200, 5_000, 20_000, 5_000
DAYS = 90
BATCH = 1_000
ROUNDS = 5

# Skewed as the world is: the square of a random number makes a few organizations, owners and workspaces large.
ROW = f"""
  SELECT (SELECT lpad(to_hex((('x' || substr(c, 1, 8))::bit(32) # ('x' || substr(c, 9, 8))::bit(32) # ('x' || substr(c, 17, 8))::bit(32)
                              # ('x' || substr(c, 25, 8))::bit(32))::int), 8, '0') || substr(md5('e' || i), 9) FROM md5('c' || i) c)::uuid AS entry,
         md5('o' || floor(power(random(), 2) * {ORGANIZATIONS})::int)::uuid AS organization,
         md5('w' || floor(power(random(), 2) * {OWNERS})::int)::uuid AS owner,
         md5('s' || floor(power(random(), 2) * {WORKSPACES})::int)::uuid AS workspace,
         (ARRAY['ssh','ssh','vscode','vscode','cursor','jetbrains','reconnecting_pty','workspace_app','workspace_app','workspace_app',
                'port_forwarding'])[1 + floor(random() * 11)::int] AS type,
         now() - random() * interval '{DAYS} days' AS began, md5('u' || floor(power(random(), 2) * {USERS})::int)::uuid AS who,
         random() AS luck, i
    FROM generate_series(%s, %s) i"""

FILL = f"""
  INSERT INTO tallyd.connection_logs (entry, id, organization_id, workspace_owner_id, workspace_id, workspace_name, agent_name, type,
    connection_id, first_connect, last_connect, disconnect, code, reason, disconnect_hash, ip, user_agent, user_id, slug_or_port, said_first)
  SELECT entry, entry, organization, owner, workspace, 'dev-' || mod(i, 100), 'main', type,
         CASE WHEN web THEN NULL ELSE md5('c' || i)::uuid END, began, began,
         CASE WHEN web THEN began WHEN luck < 0.995 OR began < now() - interval '7 days' THEN began + luck * interval '8 hours' END,
         CASE WHEN web THEN 200 ELSE (luck * 3)::int END, CASE WHEN NOT web AND luck < 0.3 THEN 'process exited with error status: 255' END,
         entry, ('10.' || mod(i, 250) || '.' || mod(i, 240) || '.' || mod(i, 230))::inet,
         CASE WHEN web THEN 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36' END, CASE WHEN web THEN who END, CASE WHEN web THEN 'code-server' END,
         decode(md5(i::text) || md5(i::text), 'hex')
    FROM (SELECT r.*, type IN ('workspace_app', 'port_forwarding') AS web FROM ({ROW}) r) q"""

# What one statement takes, made beforehand: the arrays of `merge_connections_v1`. They come as they happen, a millisecond apart.
STAGE = f"""
  CREATE TABLE staged_%(size)s AS
  SELECT g, array_agg(0) a1, array_agg(entry) a2, array_agg(entry) a3, array_agg(organization) a4, array_agg(owner) a5, array_agg(workspace) a6,
         array_agg('dev'::text) a7, array_agg('main'::text) a8, array_agg(type) a9, array_agg(gen_random_uuid()) a10, array_agg(began) a11,
         array_agg(began) a12, array_agg(NULL::timestamptz) a13, array_agg(NULL::bigint) a14, array_agg(NULL::text) a15, array_agg(NULL::uuid) a16,
         array_agg('10.0.0.1'::text) a17, array_agg(NULL::text) a18, array_agg(NULL::uuid) a19, array_agg(NULL::text) a20,
         array_agg(decode(md5(i::text) || md5(i::text), 'hex')) a21, array_agg(NULL::bytea) a22, array_agg(NULL::bytea) a23,
         array_agg(NULL::bytea) a24, array_agg(NULL::bytea) a25, array_agg(NULL::bigint) a26, array_agg(NULL::text) a27,
         array_agg(NULL::bytea) a28, array_agg(NULL::bytea) a29
    FROM (SELECT entry, organization, owner, workspace, type, now() + (i - %(first)s) * interval '1 ms' AS began, i, (i - %(first)s) / %(size)s AS g FROM ({ROW % ("%(first)s", "%(last)s")}) r) q GROUP BY g"""
SEND = (
    "SELECT tallyd.merge_connections_v1(stream, {size}, '{{}}', false, " + ", ".join(f"a{n}" for n in range(1, 30)) +
    ") FROM staged_{size}, (SELECT gen_random_uuid() AS stream) s WHERE g = (SELECT nextval('taken_{size}') - 1);\n")


def quantile(values, q):
    """By nearest rank."""
    return sorted(values)[max(math.ceil(q * len(values)), 1) - 1]


def searched(logged):
    """Of a logged plan the lines of `counted` and `page`: what is looked for. The rest puts names to what was found, the same way each time."""
    plan, inside = [], None
    for line in logged.splitlines():
        line = line.strip("\t")
        depth = len(line) - len(line.lstrip())
        if line.lstrip().startswith("CTE ") and " Scan" not in line:
            inside = depth
        elif inside is not None and depth <= inside:
            inside = None
        if inside is not None and "Cache Mode" not in line:
            line = re.sub(r"\(cost=\S+ rows=(\d+) width=\d+\) \(actual rows=(\d+) loops=(\d+)\)", r"(foreseen \1, actual rows=\2 loops=\3)", line[2:])
            plan.append(re.sub(r"'[0-9a-f-]{36}'::uuid", "ID", re.sub(r"'?\{[0-9a-f,-]{74,}\}'?(::uuid\[\])?", "IDS", line)))
    return plan


def shape(plan):
    """What two plans have in common that only differ in numbers."""
    return "\n".join(re.sub(r"[0-9]+", "#", re.sub(r"'[^']*'::(timestamp with time zone|text)|\(foreseen.*", "", line)) for line in plan if not re.search(r"Buffers:|Heap Fetches|Hits:|Rows Removed", line))


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        # On a real disk: /tmp may be memory, and nothing is durable there.
        self.kept = arguments.keep is not None
        self.directory = pathlib.Path(arguments.keep or tempfile.mkdtemp(prefix="tally-bench-", dir=os.environ.get("BENCH_DIR", "/var/tmp")))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        filled = (self.directory / "filled").exists()
        self.postgres = Postgres(self.directory / "postgres").start(
            "fsync=on", "full_page_writes=on", "shared_buffers=512MB", "max_wal_size=8GB", "maintenance_work_mem=512MB", "random_page_cost=1.1",
            "session_preload_libraries=auto_explain", "autovacuum_naptime=15s")
        if not filled:
            self.postgres.sql("DROP DATABASE IF EXISTS bench")
            self.postgres.create_database("bench")
        self.url = self.postgres.url("bench")
        run_tallyd("migrate", "--database-url", self.url)
        self.daemon = None
        self.filled = filled

    def close(self):
        if self.daemon is not None:
            self.daemon.stop()
        if self.kept:
            self.postgres.stop("fast")
            return
        self.postgres.stop("immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    def sql(self, text):
        result = subprocess.run(
            [find_binaries() / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.postgres.directory, "-p", str(self.postgres.port),
             "-U", "postgres", "-d", "bench", "-c", text], capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(result.stderr)
        return result.stdout.strip()

    # Target 11's table

    def fill(self):
        began = time.monotonic()
        indexes = self.sql("SELECT indexdef FROM pg_indexes WHERE tablename = 'connection_logs' AND indexname <> 'connection_logs_pkey'").splitlines()
        for name in self.sql("SELECT indexname FROM pg_indexes WHERE tablename = 'connection_logs' AND indexname <> 'connection_logs_pkey'").splitlines():
            self.sql(f"DROP INDEX tallyd.{name}")
        step = 500_000
        for first in range(0, self.arguments.rows, step):
            self.sql(FILL % (first, min(first + step, self.arguments.rows) - 1))
        for index in indexes:
            self.sql(index)
        self.sql("VACUUM ANALYZE tallyd.connection_logs")
        self.sql(f"INSERT INTO tallyd.organizations (id, name, version) SELECT md5('o' || i)::uuid, 'org' || i, 1 FROM generate_series(0, {ORGANIZATIONS - 1}) i")
        self.sql(f"INSERT INTO tallyd.users (id, username, email, version) SELECT md5('w' || i)::uuid, 'owner' || i, 'owner' || i || '@example.org', 1 FROM generate_series(0, {OWNERS - 1}) i")
        self.sql(f"INSERT INTO tallyd.users (id, username, email, version) SELECT md5('u' || i)::uuid, 'user' || i, 'user' || i || '@example.org', 1 FROM generate_series(0, {USERS - 1}) i")
        self.sql("ANALYZE")
        size = self.sql("SELECT pg_size_pretty(pg_table_size('tallyd.connection_logs')) || ' and ' || pg_size_pretty(pg_indexes_size('tallyd.connection_logs')) || ' of indexes'")
        (self.directory / "filled").touch()
        self.filled = True
        print(f"filled {self.arguments.rows:,} entries over {ORGANIZATIONS} organizations in {time.monotonic() - began:.0f} s: {size}", flush=True)

    def reader(self, name, roles):
        id = str(uuid.uuid4())
        run_tallyd("user", "put", "--id", id, "--username", f"{name}-{id}", "--database-url", self.url)
        # With a new version, so that a replica that was quicker reads it again.
        self.sql(f"WITH now AS (UPDATE tallyd.rights_version SET version = version + 1 RETURNING version) UPDATE tallyd.users u SET roles = '{{{','.join(roles)}}}', version = now.version FROM now WHERE u.id = '{id}'")
        return self.daemon.client(run_tallyd("token", "create", "--user", id, "--database-url", self.url).stdout.strip())

    def pages(self):
        organization = lambda n: str(uuid.UUID(self.sql(f"SELECT md5('o{n}')")))
        self.daemon = Daemon(self.directory / "replica", self.url, flush_interval="1s", threads="1").start()
        readers = {
            "auditor of the site": self.reader("site", ["auditor"]),
            "auditor of the largest organization": self.reader("one", [f"organization-auditor:{organization(0)}"]),
            "auditor of a small one": self.reader("small", [f"organization-auditor:{organization(ORGANIZATIONS - 1)}"]),
            "auditor of 50": self.reader("fifty", [f"organization-auditor:{organization(n)}" for n in range(0, ORGANIZATIONS, 4)]),
            "auditor of 50 that hold nothing": self.reader("empty", [f"organization-auditor:{uuid.uuid4()}" for _ in range(50)]),
        }
        chosen = random.Random(1)
        at = lambda days: self.sql(f"SELECT to_char(now() - interval '{days} days', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
        recent, middle, old = at(1), at(DAYS / 2), at(DAYS - 1)
        filters = {
            "none": lambda: "",
            "organization": lambda: f"organization:org{chosen.randrange(ORGANIZATIONS)}",
            "workspace_owner": lambda: f"workspace_owner:owner{chosen.randrange(OWNERS)}",
            "workspace_owner_email": lambda: f"workspace_owner_email:owner{chosen.randrange(OWNERS)}@example.org",
            "username": lambda: f"username:user{chosen.randrange(USERS)}",
            "user_email": lambda: f"user_email:user{chosen.randrange(USERS)}@example.org",
            "type": lambda: "type:" + chosen.choice(["ssh", "jetbrains", "cursor", "reconnecting_pty", "port_forwarding"]),
            "type, a family": lambda: "type:vscode",
            "type nobody has": lambda: "type:unheard_of",
            "workspace_id": lambda: f"workspace_id:{uuid.UUID(self.md5('s', WORKSPACES, chosen))}",
            "connection_id": lambda: f"connection_id:{uuid.UUID(self.md5('c', self.arguments.rows, chosen))}",
            "status:ongoing": lambda: "status:ongoing",
            "status:completed": lambda: "status:completed",
            "connected_after": lambda: f"connected_after:{chosen.choice([recent, middle])}",
            "connected_before": lambda: f"connected_before:{chosen.choice([middle, old])}",
            "organization + type": lambda: f"organization:org{chosen.randrange(ORGANIZATIONS)} type:jetbrains",
            "organization + status": lambda: f"organization:org{chosen.randrange(ORGANIZATIONS)} status:ongoing",
            "type + status": lambda: "type:jetbrains status:ongoing",
            "owner + type": lambda: f"workspace_owner:owner{chosen.randrange(OWNERS)} type:cursor",
            "owner + username": lambda: f"workspace_owner:owner{chosen.randrange(OWNERS)} username:user{chosen.randrange(USERS)}",
            "type + connected_before": lambda: f"type:ssh connected_before:{old}",
        }
        named = lambda name, wanted: wanted is None or any(name.startswith(start) for start in wanted)
        readers = {name: reader for name, reader in readers.items() if named(name, self.arguments.readers)}
        filters = {name: make for name, make in filters.items() if named(name, self.arguments.filters)}
        print(f"\nfirst page of 100 with its count over HTTP, {self.arguments.requests} requests each, in ms\n{'':42}{'p50':>8}{'p99':>8}{'max':>8}")
        worst = 0
        for who, client in readers.items():
            print(who)
            for name, make in filters.items():
                times = []
                for _ in range(self.arguments.requests):
                    path = f"{LOG}?q={quote(make())}"
                    began = time.perf_counter()
                    answer = client.get(path)
                    times.append((time.perf_counter() - began) * 1000)
                    if answer.status != 200:
                        raise RuntimeError(f"{path}: {answer}")
                p99 = quantile(times, 0.99)
                worst = max(worst, p99)
                print(f"    {name:38}{statistics.median(times):8.1f}{p99:8.1f}{max(times):8.1f}", flush=True)
        print(f"the slowest p99: {worst:.1f} ms (target 20)")
        if self.arguments.plans:
            self.write_plans(readers, filters)

    @staticmethod
    def md5(letter, below, chosen):
        import hashlib
        return hashlib.md5(f"{letter}{chosen.randrange(below)}".encode()).hexdigest()

    def write_plans(self, readers, filters):
        """What PostgreSQL really did for one page of each kind, from its own log: each way of doing it once, with who went it."""
        for setting in ("log_min_duration = 0", "log_analyze = on", "log_buffers = on", "log_timing = off"):
            self.sql(f"ALTER DATABASE bench SET auto_explain.{setting}")
        self.daemon.stop()
        self.daemon.start()
        log = self.postgres.directory / "server.log"
        ways = {}
        for who, client in readers.items():
            for name, make in filters.items():
                offset = log.stat().st_size
                client.get(f"{LOG}?q={quote(make())}")
                time.sleep(0.05)
                with open(log, errors="replace") as lines:
                    lines.seek(offset)
                    logged = lines.read()
                for entry in re.split(r"\n(?=\d{4}-\d\d-\d\d )", logged):
                    if "plan:" in entry and "connection_logs c" in entry and "counted" in entry:
                        plan = searched(entry)
                        ways.setdefault(shape(plan), (plan, {}))[1].setdefault(who, []).append(name)
        text = []
        for plan, users in ways.values():
            text += [f"{who}: {', '.join(names)}  " for who, names in users.items()]
            text += ["", "```", *plan, "```", ""]
        pathlib.Path(self.arguments.plans).write_text("\n".join(text))
        for setting in ("log_min_duration", "log_analyze", "log_buffers", "log_timing"):
            self.sql(f"ALTER DATABASE bench RESET auto_explain.{setting}")
        print(f"{len(ways)} plans: {self.arguments.plans}")

    # Target 12

    def flushes(self, seconds):
        """How long the server took for each flush of 10,000 events a second, in ms."""
        bodies = []
        for _ in range(int(seconds * 10)):
            lines = []
            for _ in range(1000):
                lines.append(json.dumps({
                    "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "status": "connected", "organization_id": str(uuid.UUID(self.md5("o", ORGANIZATIONS, random))),
                    "workspace_owner_id": str(uuid.UUID(self.md5("w", OWNERS, random))), "workspace_id": str(uuid.UUID(self.md5("s", WORKSPACES, random))),
                    "workspace_name": "dev", "agent_name": "main", "type": "ssh", "connection_id": str(uuid.uuid4()), "ip": "10.0.0.1"}))
            bodies.append("\n".join(lines).encode())
        log = self.postgres.directory / "server.log"
        offset = log.stat().st_size
        began = time.monotonic()
        late = 0
        for n, body in enumerate(bodies):
            wait = began + n / 10 - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            elif wait < -0.5:
                late += 1
            answer = self.writer.post(EVENTS, body, headers={"Content-Type": "application/x-ndjson"})
            if answer.status != 202:
                raise RuntimeError(answer)
        time.sleep(2)
        with open(log, errors="replace") as lines:
            lines.seek(offset)
            times = [float(match) for match in re.findall(r"duration: ([0-9.]+) ms  execute [^\n]*\n.{0,400}?merge_connections_v1", lines.read(), re.S)]
        return times, late

    def purge(self):
        self.sql("ALTER DATABASE bench SET log_min_duration_statement = 0")
        retention = self.sql(f"SELECT ceil(extract(epoch FROM now() - at))::bigint FROM tallyd.connection_logs ORDER BY at OFFSET {min(1_000_000, self.arguments.rows // 3)} LIMIT 1")
        token = run_tallyd("token", "create", "--subject", "connection-logger", "--database-url", self.url).stdout.strip()
        results = {}
        for name, flags in (("without", {}), ("with", {"retention_connection_log": f"{retention}s"})):
            if self.daemon is not None:
                self.daemon.stop()
            self.daemon = Daemon(self.directory / "replica", self.url, flush_interval="1s", threads="1", journal_max_bytes="8GiB", **flags).start()
            self.writer = self.daemon.client(token)
            eventually(lambda: self.daemon.client().get("/readyz").status == 200, "ready")
            if flags:
                before = int(self.sql("SELECT purged FROM tallyd.connection_log_purge"))
                # The first round comes after a pause of the upkeep.
                eventually(lambda: int(self.sql("SELECT purged FROM tallyd.connection_log_purge")) > before, "the purge runs", 90)
            times, late = self.flushes(self.arguments.seconds)
            results[name] = quantile(times, 0.99)
            purged = self.sql("SELECT purged FROM tallyd.connection_log_purge")
            print(f"flushes {name:8} purge: {len(times)} statements, p50 {statistics.median(times):.0f} ms, p99 {results[name]:.0f} ms; {late} bodies late; {purged} entries removed so far", flush=True)
        print(f"p99 with a purge / without: {results['with'] / results['without']:.2f} (target at most 2)")
        self.sql("ALTER DATABASE bench RESET log_min_duration_statement")

    # Target 8

    def batches(self):
        """Beside the entries that are there, and into an empty log; commits are durable, and no event is sent twice."""
        if self.daemon is not None:
            self.daemon.stop()
        staged = {1: 500_000, BATCH: 2_000}
        for size, statements in staged.items():
            first = 20_000_000 if size == 1 else 30_000_000
            self.sql(f"DROP TABLE IF EXISTS staged_{size}; DROP SEQUENCE IF EXISTS taken_{size}; CREATE SEQUENCE taken_{size}")
            self.sql(STAGE % {"size": size, "first": first, "last": first + statements * size - 1})
            self.sql(f"ALTER TABLE staged_{size} ADD PRIMARY KEY (g); GRANT ALL ON staged_{size} TO tally; GRANT ALL ON SEQUENCE taken_{size} TO tally")
        self.sql("VACUUM ANALYZE staged_1")
        self.sql(f"VACUUM ANALYZE staged_{BATCH}")
        if self.filled:
            self.sql("DELETE FROM tallyd.connection_logs c USING staged_1 s WHERE c.entry = s.a2[1]")  # of an earlier run
            self.sql(f"DELETE FROM tallyd.connection_logs c USING (SELECT unnest(a2) AS entry FROM staged_{BATCH}) s WHERE c.entry = s.entry")
            self.sql("VACUUM ANALYZE tallyd.connection_logs")
            self.compare_batches(f"beside {int(self.sql('SELECT count(*) FROM tallyd.connection_logs')):,} entries", staged)
        self.sql("TRUNCATE tallyd.connection_logs; ALTER SEQUENCE taken_1 RESTART; " + f"ALTER SEQUENCE taken_{BATCH} RESTART")
        (self.directory / "filled").unlink(missing_ok=True)
        self.compare_batches("into an empty log", staged)

    def compare_batches(self, where, staged):
        """In turn, since a disk is not as quick in one minute as in the next."""
        rates = {(8, 1): [], (32, 1): [], (1, BATCH): []}
        print(f"\n{where}")
        for _ in range(ROUNDS):
            for (clients, size), measured in rates.items():
                script = self.directory / "send.sql"
                script.write_text(SEND.format(size=size))
                out = subprocess.run(
                    [find_binaries() / "pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2)), "-T", "8", "-f", script,
                     "-h", self.postgres.directory, "-p", str(self.postgres.port), "-U", "tally", "bench"], capture_output=True, text=True, check=True).stdout
                measured.append(float(re.search(r"tps = ([0-9.]+)", out)[1]) * size)
                if int(self.sql(f"SELECT last_value FROM taken_{size}")) > staged[size]:
                    raise RuntimeError("more was asked for than was staged: the rate is too high")
        for (clients, size), measured in rates.items():
            print(f"{clients:3} clients, {size:5} events a statement: {statistics.median(measured):10,.0f} events/s ({', '.join(f'{each:,.0f}' for each in measured)})")
        ratio = statistics.median(rates[1, BATCH]) / max(statistics.median(rates[8, 1]), statistics.median(rates[32, 1]))
        print(f"one connection with batches / the best with a statement an event: {ratio:.1f}x (target 7)", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binaries")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--plans", help="where to write the plans of every page")
    parser.add_argument("--keep", metavar="DIRECTORY", help="keep the filled database there and use it again; `batches` empties it")
    parser.add_argument("--readers", action="append", help="only readers whose name begins so; may be repeated")
    parser.add_argument("--filters", action="append", help="only filters whose name begins so; may be repeated")
    parser.add_argument("--only", choices=("pages", "purge", "batches"), action="append")
    arguments = parser.parse_args()
    parts = arguments.only or ["pages", "purge", "batches"]
    bench = Bench(arguments)
    try:
        if not bench.filled and (parts != ["batches"] or arguments.keep):
            bench.fill()
        if "pages" in parts:
            bench.pages()
        if "purge" in parts:
            bench.purge()
        if "batches" in parts:
            bench.batches()
    finally:
        bench.close()


if __name__ == "__main__":
    main()
