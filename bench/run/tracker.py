#!/usr/bin/env python3
"""Targets 4, 5 and 15: counting in memory beside a tracker in Go (one mutex, two maps), and beside simdjson parsing alone.

usage: bench/run/tracker.py BIN_DIRECTORY
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

PEER = pathlib.Path(__file__).resolve().parents[1] / "peers/go_tracker"
ROUNDS = 5
SMALL, LARGE = 10_000, 1_000_000


def lines(command):
    """{(name, threads, ids): figure} of what the command prints."""
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {tuple(line.split()[:-1]): float(line.split()[-1]) for line in out.splitlines()}


def build_peer(directory):
    binary = directory / "go_tracker"
    subprocess.run(["go", "build", "-o", binary, "main.go"], cwd=PEER, check=True,
                   env={**os.environ, "GO111MODULE": "off", "GOCACHE": str(directory / "cache")})
    return binary


def parsing_alone(bench):
    """Nanoseconds an event that simdjson takes to go through the same kind of lines."""
    done = subprocess.run([bench, "--benchmark_filter=^simdjson_iterate_many/shape:0$", "--benchmark_min_time=0.2", "--benchmark_format=json"],
                          capture_output=True, text=True, check=True)
    (case,) = json.loads(done.stdout)["benchmarks"]
    return case["per_event"]


def main():
    binaries = pathlib.Path(sys.argv[1])
    ours, peer, simdjson = [], [], []
    with tempfile.TemporaryDirectory() as directory:
        go = build_peer(pathlib.Path(directory))
        for _ in range(ROUNDS):
            ours.append(lines([binaries / "tracker_bench"]))
            peer.append(lines([go]))
            simdjson.append(parsing_alone(binaries / "ingest_bench"))

    def median(rounds, *key):
        return statistics.median(each[tuple(map(str, key))] for each in rounds)

    def row(target, what, figure, other, least):
        ratio = other / figure
        print(f"{target:>3}  {what:<52} {figure:>7.1f} ns  beside {other:>7.1f} ns  {ratio:>6.2f}x  (at least {least}x) {'ok' if ratio >= least else 'MISSED'}")

    alone = statistics.median(simdjson)
    row(4, "parse, decode and track, 10,000 ids; simdjson alone", median(ours, "path", 1, SMALL), alone, 0.8)
    row(4, "the same with 1M ids", median(ours, "path", 1, LARGE), alone, 0.5)
    for form in ("track", "batch"):
        what = "one event a record" if form == "track" else "1,000 events a record"
        row(5, f"{what}, 1 thread, 10,000 ids; Go", median(ours, form, 1, SMALL), median(peer, 1, SMALL), 5)
        row(5, f"{what}, 2 threads, 10,000 ids; Go", median(ours, form, 2, SMALL), median(peer, 2, SMALL), 12)
        row(5, f"{what}, 1 thread, 1M ids; Go", median(ours, form, 1, LARGE), median(peer, 1, LARGE), 4)
    for count in (SMALL, LARGE):
        held = median(ours, "memory", 1, count)
        print(f" 15  memory a unique id, {count:,} ids {held:>30.1f} B  (at most 40 B) {'ok' if held <= 40 else 'MISSED'}")


if __name__ == "__main__":
    main()
