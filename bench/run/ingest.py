#!/usr/bin/env python3
"""Targets 1 to 3: requests a second through the whole path, beside nginx `return 204` and a server in Go, on one core each.

usage: bench/run/ingest.py BIN_DIRECTORY [--rounds N] [--seconds S]
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
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
from harness.postgres import Postgres, free_port  # noqa: E402
from harness.waiting import eventually  # noqa: E402

SERVER_CORE, LOAD_CORE = "0", "1"
EVENTS = "/api/v1/boundary-usage/events"
# Share of the server's core that others may take during a round.
DISTURBED = 0.05


class Bench:
    def __init__(self, rounds, seconds):
        self.rounds, self.seconds = rounds, seconds
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="tally-bench-", dir="/tmp"))
        self.directory.chmod(0o755)
        self.children = []
        self.postgres = Postgres(self.directory / "postgres").start()
        self.postgres.create_database("bench")
        self.url = self.postgres.url("bench")
        run_tallyd("migrate", "--database-url", self.url)
        self.token = run_tallyd("token", "create", "--subject", "boundary-usage-tracker", "--database-url", self.url).stdout.strip()
        self.disturbed = 0

    def close(self):
        for child in self.children:
            if isinstance(child, Daemon):
                child.stop()
            else:
                child.send_signal(signal.SIGTERM)
                child.wait(20)
        self.postgres.stop("immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    # The servers

    def tallyd(self, name, sync):
        daemon = Daemon(
            self.directory / name, self.url, wrapper=["taskset", "-c", SERVER_CORE], threads="1", journal_sync=sync, flush_interval="1s",
            journal_max_bytes="4GiB", journal_retention="0s")
        self.children.append(daemon)
        return daemon.start().address

    def nginx(self):
        port, directory = free_port(), self.directory / "nginx"
        directory.mkdir()
        text = (HERE.parent / "peers/nginx.conf.in").read_text().replace("@DIRECTORY@", str(directory)).replace("@PORT@", str(port))
        (directory / "nginx.conf").write_text(text)
        return self.peer(["/usr/sbin/nginx", "-c", str(directory / "nginx.conf"), "-e", str(directory / "error.log")], port)

    def go_server(self):
        binary, port = self.directory / "go_server", free_port()
        subprocess.run(["go", "build", "-o", str(binary), "main.go"], cwd=HERE.parent / "peers/go_server", check=True,
                       env={**os.environ, "GOFLAGS": "-mod=mod", "GO111MODULE": "off", "GOCACHE": str(self.directory / "go-cache")})
        return self.peer([str(binary), f"127.0.0.1:{port}"], port, GOMAXPROCS="1")

    def peer(self, command, port, **environment):
        self.children.append(subprocess.Popen(["taskset", "-c", SERVER_CORE, *command], env={**os.environ, **environment}))
        eventually(lambda: socket.create_connection(("127.0.0.1", port), 1).close() or True, f"{command[0]} listens")
        return ("127.0.0.1", port)

    # The load

    def script(self, name, content_type, bodies):
        """A wrk script that goes through requests that were made beforehand, so that the generator costs little."""
        path = self.directory / f"{name}.lua"
        quoted = ",\n".join("[==[" + body + "]==]" for body in bodies)
        path.write_text(
            f'local bodies = {{{quoted}}}\nlocal requests, n = {{}}, 0\n'
            f'init = function(args)\n for i, b in ipairs(bodies) do requests[i] = wrk.format("POST", "{EVENTS}", '
            f'{{["Authorization"] = "Bearer {self.token}", ["Content-Type"] = "{content_type}"}}, b) end\nend\n'
            "request = function() n = n % #requests + 1; return requests[n] end\n")
        return path

    def round(self, address, script, connections):
        out = subprocess.run(
            ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{self.seconds}s", "--latency", "-s", str(script), f"http://{address[0]}:{address[1]}{EVENTS}"],
            capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in out or "Socket errors" in out:
            raise RuntimeError(out)
        return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), milliseconds(re.search(r"99%\s+(\S+)", out).group(1))

    def compare(self, script, connections, servers):
        """Rounds of all servers in turn; medians of requests a second and of the 99th percentile."""
        seen = {name: [] for name in servers}
        for address in servers.values():
            self.round(address, script, connections)
        for _ in range(self.rounds):
            for name, address in servers.items():
                for attempt in range(3):
                    if foreign_load() < DISTURBED:
                        break
                    time.sleep(2)
                else:
                    self.disturbed += 1
                seen[name].append(self.round(address, script, connections))
        return {name: (statistics.median(r for r, _ in rounds), statistics.median(p for _, p in rounds)) for name, rounds in seen.items()}


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def cpu_times(core):
    with open("/proc/stat", encoding="ascii") as stat:
        for line in stat:
            if line.startswith(f"cpu{core} "):
                return list(map(int, line.split()[1:9]))
    return []


def foreign_load():
    """Share of both cores that somebody uses while we do not."""
    def sample():
        times = [cpu_times(core) for core in (SERVER_CORE, LOAD_CORE)]
        return sum(map(sum, times)), sum(t[3] + t[4] for t in times)

    total, idle = sample()
    time.sleep(0.3)
    total2, idle2 = sample()
    return 1 - (idle2 - idle) / max(1, total2 - total)


def event(rng, workspaces):
    return json.dumps({"workspace_id": rng.choice(workspaces), "owner_id": rng.choice(workspaces), "allowed": rng.randrange(10), "denied": rng.randrange(3)}, separators=(",", ":"))


def row(target, what, rate, peer, ratio, least, more=""):
    print(f"{target:>3}  {what:<46} {rate:>12,.0f}/s  {peer:<26} {ratio:>6.2f}x  (at least {least}x) {'ok' if ratio >= least else 'MISSED'} {more}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    arguments = parser.parse_args()
    bench = Bench(arguments.rounds, arguments.seconds)
    try:
        rng = random.Random(1)
        workspaces = [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(10_000)]
        single = bench.script("single", "application/json", [event(rng, workspaces) for _ in range(2000)])
        lines = bench.script("ndjson", "application/x-ndjson", ["\n".join(event(rng, workspaces) for _ in range(1000)) for _ in range(30)])
        nginx, paced, always, go = bench.nginx(), bench.tallyd("paced", "10ms"), bench.tallyd("always", "always"), bench.go_server()

        at32 = bench.compare(single, 32, {"nginx": nginx, "paced": paced, "always": always, "go": go})
        at256 = bench.compare(single, 256, {"nginx": nginx, "always": always})
        batch = bench.compare(lines, 8, {"always": always, "go": go})

        base, base_p99 = at32["nginx"]
        rate, p99 = at32["paced"]
        row(1, "one event, --journal-sync 10ms, 32 connections", rate, f"nginx {base:,.0f}/s", rate / base, 0.90, f"p99 {p99:.2f} ms, nginx {base_p99:.2f} ms")
        rate, p99 = at32["always"]
        row(2, "one event, --journal-sync always, 32", rate, f"nginx {base:,.0f}/s", rate / base, 0.40, f"p99 {p99:.2f} ms")
        rate, p99 = at256["always"]
        row(2, "one event, --journal-sync always, 256", rate, f"nginx {at256['nginx'][0]:,.0f}/s", rate / at256["nginx"][0], 0.70, f"p99 {p99:.2f} ms")
        events, go_events = batch["always"][0] * 1000, batch["go"][0] * 1000
        one = at32["always"][0]
        row(3, "events in NDJSON of 1,000, --journal-sync always", events, f"itself, singly {one:,.0f}/s", events / one, 40)
        row(3, "the same", events, f"Go server {go_events:,.0f}/s", events / go_events, 20)
        print(f"     for orientation: Go server, one event, 32 connections {at32['go'][0]:,.0f}/s")
        if bench.disturbed:
            print(f"     {bench.disturbed} rounds ran while something else used the machine: repeat on a quiet one")
    finally:
        bench.close()


if __name__ == "__main__":
    main()
