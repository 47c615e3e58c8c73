#!/usr/bin/env python3
"""Targets 13 and 15: the memory of an idle daemon, and what it takes to be up again with 100 MB of journal that nobody flushed.

usage: bench/run/process.py BIN_DIRECTORY
"""
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/e2e"))
os.environ.setdefault("TALLYD", str(pathlib.Path(sys.argv[1]).resolve() / "tallyd"))
from harness.daemon import Daemon, run_tallyd  # noqa: E402
from harness.postgres import Postgres  # noqa: E402
from harness.waiting import eventually  # noqa: E402

EVENTS = "/api/v1/boundary-usage/events"
JOURNAL_BYTES = 100_000_000
MOST_IDLE_KIB = 30 * 1024


def resident_kib(daemon):
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise RuntimeError("no VmRSS")


def body(rng, ids, count):
    event = lambda: {"workspace_id": rng.choice(ids), "owner_id": rng.choice(ids), "allowed": rng.randrange(10), "denied": rng.randrange(3)}
    return "\n".join(json.dumps(event(), separators=(",", ":")) for _ in range(count))


def journal_files(state):
    return [path for path in (state / "streams").rglob("*.seg")]


def written(path):
    """Bytes up to the last that is not zero: segments are made in their full size."""
    content = path.read_bytes()
    return len(content.rstrip(b"\0"))


def checksum_seconds(paths, binaries):
    """Reading the same files with CRC32C; the median of five rounds."""
    rounds = []
    for _ in range(5):
        done = subprocess.run([binaries / "checksum_peer", *paths], capture_output=True, text=True, check=True)
        rounds.append(float(done.stdout.split()[0]))
    return statistics.median(rounds)


def main():
    binaries = pathlib.Path(sys.argv[1]).resolve()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="tally-bench-", dir=os.environ.get("BENCH_DIR", "/var/tmp")))
    directory.chmod(0o755)
    postgres = Postgres(directory / "postgres").start("fsync=on", "full_page_writes=on")
    daemons = []
    try:
        postgres.create_database("bench")
        url = postgres.url("bench")
        run_tallyd("migrate", "--database-url", url)
        token = run_tallyd("token", "create", "--subject", "boundary-usage-tracker", "--database-url", url).stdout.strip()
        daemon = Daemon(directory / "replica", url, journal_sync="10ms", flush_interval="1h", journal_max_bytes="1GiB", journal_retention="0s")
        daemons.append(daemon)
        daemon.start()
        client = daemon.client(token)
        rng = random.Random(1)
        ids = [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(10_000)]
        eventually(lambda: client.post(EVENTS, body(rng, ids, 1), {"Content-Type": "application/x-ndjson"}).status == 202, "the token is known")
        idle = resident_kib(daemon)
        print(f" 15  resident when idle {idle / 1024:>44.1f} MiB  (below 30) {'ok' if idle < MOST_IDLE_KIB else 'MISSED'}")

        bodies, sent = [body(rng, ids, 1000) for _ in range(20)], 1
        while sum(map(written, journal_files(directory / "replica"))) < JOURNAL_BYTES:
            for text in bodies * 5:
                assert client.post(EVENTS, text, {"Content-Type": "application/x-ndjson"}).status == 202
                sent += 1000
        daemon.kill()
        paths = journal_files(directory / "replica")
        size = sum(map(written, paths))
        alone = checksum_seconds(paths, binaries)

        start = time.monotonic()
        daemon.start()
        client = daemon.client(token)
        listening = time.monotonic() - start
        assert client.post(EVENTS, body(rng, ids, 1), {"Content-Type": "application/x-ndjson"}).status == 202
        serving = time.monotonic() - start
        rows = "SELECT coalesce(sum(increments), 0)::text FROM tallyd.boundary_usage_stats"
        eventually(lambda: int(postgres.sql(rows, "bench")[0][0]) >= sent, "all that was acknowledged is in the database", 60)
        drained = time.monotonic() - start
        print(f" 13  {size / 1e6:.0f} MB of journal of a killed process, {sent:,} events: listening after {listening:.2f} s, first 202 after {serving:.2f} s, all in the database after {drained:.2f} s; "
              f"reading the files with CRC32C alone {alone:.3f} s: {drained / alone:.2f}x (at most 2x, < 1 s)")
    finally:
        for daemon in daemons:
            daemon.stop()
        postgres.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
