#!/usr/bin/env python3
"""Checks what the architecture rests on (ARCHITECTURE.md): arrows between folders, one clock, no leftovers, a README a folder.

usage: script/tidy.py [ROOT]
Exit 0 when there is nothing to say, 1 with one line a finding.
"""
import pathlib
import re
import sys

# Which folder may include, and link, which. daemon, tests and bench may know everyone.
MAY_KNOW = {
    "tracker": set(),
    "authz": set(),
    "journal": {"tracker"},
    "metrics": set(),
    "db": {"tracker", "authz", "metrics"},
    "systemd": set(),
    "daemon": {"tracker", "authz", "journal", "metrics", "db", "systemd"},
}
CLOCK_FILE = "tracker/clock.cpp"

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]')
CLOCK = re.compile(
    r"\b(?:system_clock|steady_clock|high_resolution_clock|utc_clock|Clock)::now\b"
    r"|\b(?:clock_gettime|gettimeofday|timespec_get)\s*\(|\bstd::time\s*\(|\b::time\s*\("
)
# GCC 12 destroys temporaries twice when a co_await is an operand of && or ||.
BRANCHING_AWAIT = re.compile(r"(?:&&|\|\|)\s*\(*!?\(*co_await\b|co_await\b[^;{}]*(?:&&|\|\|)\s*\(*!?\(*co_await\b")
LEFTOVER = re.compile(r"\b(?:FIXME|TODO|XXX)\b")
LINK = re.compile(r"\btally_([a-z]+)\b")
SOURCES = {".cpp", ".hpp", ".h", ".ipp"}
TEXTS = SOURCES | {".py", ".sh", ".sql", ".cmake", ".md", ".toml", ".service", ".socket", ".yaml", ".json", ".txt", ""}
SKIPPED = {".git", "build", "__pycache__", ".cache"}


def files_below(root):
    for path in sorted(root.iterdir()):
        if path.name in SKIPPED:
            continue
        if path.is_dir():
            yield from files_below(path)
        elif path.is_file():
            yield path


def include_findings(folder, include):
    """What is wrong with `folder` including `include`, as text without the place."""
    target = include.split("/", 1)[0]
    if target in ("tests", "bench") and folder in MAY_KNOW:
        yield f"{folder} may not include {target}"
    if target not in MAY_KNOW or target == folder:
        return
    if folder in MAY_KNOW and target not in MAY_KNOW[folder]:
        known = ", ".join(sorted(MAY_KNOW[folder])) or "nobody"
        yield f"{folder} may not know {target} (it knows {known})"
    if folder in MAY_KNOW and "/detail/" in include:
        yield f"{include} is internal to {target}"


def check_source(place, text):
    folder = place.split("/", 1)[0]
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            for finding in include_findings(folder, match.group(1)):
                yield f"{place}:{number}: {finding}"
        if folder in MAY_KNOW and place != CLOCK_FILE and CLOCK.search(line.split("//", 1)[0]):
            yield f"{place}:{number}: asks the system for the time; take a tracker::Clock or a time argument"
        if BRANCHING_AWAIT.search(line.split("//", 1)[0]):
            yield f"{place}:{number}: GCC 12 miscompiles co_await behind && or ||; await into a variable first"


def check_links(folder, place, text):
    for number, line in enumerate(text.splitlines(), 1):
        for target in LINK.findall(line.split("#", 1)[0]):
            if target in MAY_KNOW and target != folder and target not in MAY_KNOW[folder]:
                yield f"{place}:{number}: {folder} may not link {target}"


def findings(root):
    for path in files_below(root):
        place = path.relative_to(root).as_posix()
        if path.suffix not in TEXTS:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        folder = place.split("/", 1)[0]
        if path.suffix in SOURCES:
            yield from check_source(place, text)
        if path.name == "CMakeLists.txt" and folder in MAY_KNOW:
            yield from check_links(folder, place, text)
        # This file and its test name the words that they look for.
        if path.name not in ("tidy.py", "tidy_test.py"):
            for number, line in enumerate(text.splitlines(), 1):
                if LEFTOVER.search(line):
                    yield f"{place}:{number}: leftover: {line.strip()[:80]}"
    for folder in sorted(MAY_KNOW):
        has_source = (root / folder).is_dir() and any(path.suffix == ".cpp" for path in files_below(root / folder))
        if has_source and not (root / folder / "README.md").is_file():
            yield f"{folder}/: has no README.md"


def main(arguments):
    root = pathlib.Path(arguments[1] if len(arguments) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    found = list(findings(root))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
