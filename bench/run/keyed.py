#!/usr/bin/env python3
"""Target 14: requests with an Idempotency-Key of their own, through one replica and to the database: at least 5,000 a second.

usage: bench/run/keyed.py BIN_DIRECTORY [--rounds N] [--seconds S]

More requests than that are sent as fast as they are taken; what counts is when the last of them is in the database. The server, the
load and PostgreSQL share the machine, so the figure is what a whole machine of this size does.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/e2e"))
os.environ.setdefault("TALLYD", str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release/bin").resolve() / "tallyd"))
from harness.daemon import Daemon, run_tallyd  # noqa: E402
from harness.postgres import Postgres  # noqa: E402
from harness.waiting import eventually  # noqa: E402

EVENTS = "/api/v1/boundary-usage/events"
TARGET = 5000
CONNECTIONS = 64
WORKSPACES = 2000


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    arguments = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="tally-keyed-", dir="/tmp"))
    directory.chmod(0o755)
    postgres = Postgres(directory / "postgres").start()
    daemon = None
    try:
        postgres.create_database("bench")
        url = postgres.url("bench")
        run_tallyd("migrate", "--database-url", url)
        token = run_tallyd("token", "create", "--subject", "boundary-usage-tracker", "--database-url", url).stdout.strip()
        daemon = Daemon(directory / "keyed", url, flush_interval="1s", journal_max_bytes="4GiB", journal_retention="0s").start()
        client = daemon.client(token)
        nothing = {"workspace_id": str(uuid.UUID(int=1)), "owner_id": str(uuid.UUID(int=1)), "allowed": 0}
        eventually(lambda: client.post(EVENTS, nothing, {"Idempotency-Key": "warm"}).status == 202, "keys are taken")
        rates, taken, worst = [], [], 0.0
        for number in range(arguments.rounds):
            answered, rate, p99 = one_round(directory, daemon, client, token, number, arguments.seconds)
            taken.append(answered / arguments.seconds)
            rates.append(rate)
            worst = max(worst, p99)
        rate = statistics.median(rates)
        samples = daemon.metrics()
        flushes = samples["tallyd_flush_duration_seconds_count"]
        print(f" 14  keyed requests through to the database            {rate:>12,.0f}/s  (at least {TARGET:,}/s) {'ok' if rate >= TARGET else 'MISSED'}  "
              f"rounds {', '.join(f'{r:,.0f}' for r in rates)}; taken at {statistics.median(taken):,.0f}/s, p99 {worst:.1f} ms; "
              f"{samples['tallyd_flush_duration_seconds_sum'] / max(1, flushes) * 1000:.1f} ms a flush of {samples_per_flush(postgres, flushes):,.0f} keys; "
              f"load average {os.getloadavg()[0]:.1f}", flush=True)
    finally:
        if daemon is not None:
            daemon.stop()
        postgres.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


def samples_per_flush(postgres, flushes):
    return int(postgres.sql("SELECT count(*) FROM tallyd.ingest_keys", "bench")[0][0]) / max(1, flushes)


def one_round(directory, daemon, client, token, number, seconds):
    """Requests answered 202, keys a second until the last was in the database, and the 99th percentile of the answers in ms."""
    script = directory / f"round{number}.lua"
    bodies = ",".join(
        "[==[" + json.dumps({"workspace_id": str(uuid.UUID(int=n + 1)), "owner_id": str(uuid.UUID(int=n % 50 + 1)), "allowed": 1}, separators=(",", ":")) + "]==]"
        for n in range(WORKSPACES))
    script.write_text(
        f'local bodies, n = {{{bodies}}}, 0\n'
        "request = function()\n n = n + 1\n"
        f' return wrk.format("POST", "{EVENTS}", {{["Authorization"] = "Bearer {token}", ["Content-Type"] = "application/json", '
        f'["Idempotency-Key"] = "{number}-" .. n}}, bodies[n % #bodies + 1])\nend\n')
    host, port = daemon.address
    started = time.monotonic()
    out = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script), f"http://{host}:{port}{EVENTS}"],
        capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(out)
    answered = int(re.search(r"(\d+) requests in", out).group(1))
    eventually(lambda: client.get("/api/v1/ledger").json["boundary_usage"]["unflushed"] == 0, "everything is in the database", 300, pause=0.01)
    took = time.monotonic() - started
    percentile = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    return answered, answered / took, float(percentile.group(1)) * {"us": 0.001, "ms": 1, "s": 1000}[percentile.group(2)]


if __name__ == "__main__":
    main()
