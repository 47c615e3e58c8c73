#!/usr/bin/env python3
"""Target 7: a flush beside one durable upsert of a row, in turns on one connection; and what closing and summing cost.

usage: bench/run/database.py BIN_DIRECTORY
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/e2e"))
os.environ.setdefault("TALLYD", str(pathlib.Path(sys.argv[1]).resolve() / "tallyd"))
from harness.postgres import Postgres  # noqa: E402


def main():
    # On the disk of BENCH_DIR, /var/tmp if that is not set: /tmp may be memory, and nothing is durable there.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="tally-bench-", dir=os.environ.get("BENCH_DIR", "/var/tmp")))
    directory.chmod(0o755)
    postgres = Postgres(directory / "postgres").start("fsync=on", "full_page_writes=on", "shared_buffers=128MB")
    try:
        postgres.create_database("bench")
        subprocess.run([pathlib.Path(sys.argv[1]) / "db_bench", postgres.url("bench")], check=True)
    finally:
        postgres.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
