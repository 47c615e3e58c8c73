#!/usr/bin/env python3
"""Decisions on prepared subjects beside casbin (Go), an authorization library, on one core; and what preparing costs.

casbin is asked the same questions of the same roles, but of their site and org grants alone: no owners, negatives, access lists or scopes.

usage: bench/run/authz.py BIN_DIRECTORY
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

PEER = pathlib.Path(__file__).resolve().parents[1] / "peers/go_casbin"
GOCODE = pathlib.Path("/usr/share/gocode")
CORE = "1"


def ours(bench):
    """Median nanoseconds by name."""
    done = subprocess.run(["taskset", "-c", CORE, bench, "--benchmark_repetitions=9", "--benchmark_min_time=0.1",
                           "--benchmark_report_aggregates_only=true", "--benchmark_format=json"], capture_output=True, text=True, check=True)
    return {each["run_name"]: each["cpu_time"] for each in json.loads(done.stdout)["benchmarks"] if each["aggregate_name"] == "median"}


def build_peer(directory):
    """Debian ships the library's second version under the path of its first."""
    link = directory / "src/github.com/casbin/casbin/v2"
    link.parent.mkdir(parents=True)
    link.symlink_to(GOCODE / "src/github.com/casbin/casbin")
    binary = directory / "casbin"
    subprocess.run(["go", "build", "-o", str(binary), "main.go"], cwd=PEER, check=True,
                   env={**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": f"{directory}:{GOCODE}"})
    return binary


def main():
    bench = pathlib.Path(sys.argv[1]).resolve() / "authz_bench"
    with tempfile.TemporaryDirectory() as directory:
        peer = build_peer(pathlib.Path(directory))
        figures = ours(bench)
        print(f"{'decision':<34}{'tallyd':>10}{'casbin':>12}{'ratio':>8}")
        for name, orgs in (("3 roles, no org", 0), ("3 orgs", 3), ("50 orgs", 50)):
            policy = subprocess.run([bench, "policy", str(orgs)], capture_output=True, text=True, check=True).stdout
            asked = subprocess.run(["taskset", "-c", CORE, peer], input=policy, capture_output=True, text=True, check=True)
            mine, theirs = figures[f"decide/orgs/{orgs}"], float(asked.stdout)
            print(f"{name:<34}{mine:>7.0f} ns{theirs:>9,.0f} ns{theirs / mine:>8,.0f}")
        for orgs in (3, 50):
            print(f"{f'by an access list, {orgs} orgs':<34}{figures[f'decide/shared/orgs/{orgs}']:>7.0f} ns")
    print(f"\n{'preparing':<34}{'tallyd':>10}")
    for name, key in (("3 roles, no org", "prepare/orgs/0"), ("3 orgs", "prepare/orgs/3"), ("50 orgs", "prepare/orgs/50"),
                      ("500 orgs", "prepare/orgs/500"), ("100 permissions", "prepare/permissions/100"),
                      ("1,000 permissions", "prepare/permissions/1000"), ("10,000 permissions", "prepare/permissions/10000")):
        print(f"{name:<34}{figures[key] / 1000:>7.1f} us")
    tokens = ours(bench.with_name("token_bench"))
    print(f"\n{'with the token, looked up by its hash':<40}{'tallyd':>10}")
    for name, key in (("1 token", "authorize/tokens/1"), ("1,000 tokens", "authorize/tokens/1000"), ("10,000 tokens", "authorize/tokens/10000"),
                      ("SHA-256 of a secret alone", "sha256/of a secret, bare")):
        print(f"{name:<40}{tokens[key]:>7.0f} ns")
    slowest = max(*(figures[f"decide/orgs/{orgs}"] for orgs in (0, 3, 50)), *(figures[f"decide/shared/orgs/{orgs}"] for orgs in (3, 50)))
    print(f"\ntarget: at most 100 ns a decision; slowest {slowest:.0f} ns: {'met' if slowest <= 100 else 'MISSED'}")
    slowest = max(tokens[f"authorize/tokens/{count}"] for count in (1, 1000, 10000))
    print(f"target: at most 300 ns with the token; slowest {slowest:.0f} ns: {'met' if slowest <= 300 else 'MISSED'}")


if __name__ == "__main__":
    main()
