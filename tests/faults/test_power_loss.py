"""fault 3: power loss. The real binary's writes and syncs are recorded; then every file is put together again as a disk may have
kept it when the power went: all that was synced, any part of the rest, the last write torn at 512 bytes."""
import datetime
import os
import re
import shutil
import subprocess
import unittest

from harness.books import Increment
from harness.case import Case, moment
from harness.waiting import eventually

LONG = bool(os.environ.get("TALLY_LONG"))
TRACED = "openat,mkdir,mkdirat,unlink,unlinkat,rename,renameat,fallocate,ftruncate,pwrite64,fdatasync,fsync,sendto,sendmsg,writev,write"
SECTOR = 512
ANSWER = "HTTP/1.1 202".encode().hex()


def strace_works():
    try:
        return subprocess.run(["strace", "-f", "-y", "-qq", "-e", "trace=fsync", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def decoded(text):
    """Of strace -xx, which writes names in hexadecimal digits too."""
    return bytes.fromhex(text.replace("\\x", "")).decode() if text.startswith("\\x") else text


class Recording:
    """What happened below `root`, in order: ("write", path, offset, bytes), ("sync", path), ("entry", directory, name, there),
    ("size", path, bytes) and ("acknowledged",)."""

    def __init__(self, log, root):
        self.root, self.events, self._waiting = str(root), [], {}
        with open(log, encoding="ascii", errors="replace") as lines:
            for line in lines:
                self._line(line.rstrip("\n"))

    def _line(self, line):
        process, _, call = line.partition(" ")
        call = call.strip()
        resumed = re.match(r"<\.\.\. (\w+) resumed>(.*)", call)
        if resumed:
            begun = self._waiting.pop(process, None)
            if begun is not None:
                self._ended(begun[0], begun[1] + resumed.group(2), begun[2])
        elif call.endswith("<unfinished ...>"):
            name, _, rest = call[: -len("<unfinished ...>")].rstrip().partition("(")
            self._waiting[process] = (name, rest, self._begun(name, rest))
        else:
            name, _, rest = call.partition("(")
            self._ended(name, rest, self._begun(name, rest))

    def _begun(self, name, rest):
        """A write may be on the disk, and an answer on its way, from here on: its place in the order is that of its beginning."""
        if name in ("sendto", "sendmsg", "writev", "write") and ANSWER in rest.replace("\\x", "")[:400]:
            self.events.append(("acknowledged",))
            return None
        if name == "pwrite64":
            self.events.append(None)
            return len(self.events) - 1
        return None

    def _ended(self, name, rest, place):
        outcome = re.search(r"\) += (-?\d+)", rest[rest.rfind(") "):] if ") " in rest else rest)
        good = outcome is not None and int(outcome.group(1)) >= 0
        if name == "pwrite64":
            path = self._path(rest)
            data = re.search(r', "((?:\\x[0-9a-f]{2})*)"(\.\.\.)?, (\d+), (\d+)\)', rest)
            if path and data and good:
                assert not data.group(2), "strace cut a write short"
                self.events[place] = ("write", path, int(data.group(4)), bytes.fromhex(data.group(1).replace("\\x", "")))
        elif not good:
            return
        elif name in ("fdatasync", "fsync") and (path := self._path(rest)):
            self.events.append(("sync", path))
        elif name == "openat" and "O_CREAT" in rest and (path := self._named(rest)):
            self._entry(path, True)
        elif name in ("mkdir", "mkdirat") and (path := self._named(rest)):
            self._entry(path, True)
        elif name in ("unlink", "unlinkat") and (path := self._named(rest)):
            self._entry(path, False)
        elif name in ("fallocate", "ftruncate") and (path := self._path(rest)):
            self.events.append(("size", path, int(re.findall(r"\d+", rest[: rest.rfind(")")])[-1])))

    def _path(self, rest):
        found = re.match(r"\d+<([^>]*)>", rest)
        text = decoded(found.group(1)) if found else ""
        return text if text.startswith(self.root) else None

    def _named(self, rest):
        found = re.search(r'"((?:\\x[0-9a-f]{2})*)"', rest)
        text = decoded(found.group(1)) if found else ""
        return text if text.startswith(self.root) else None

    def _entry(self, path, there):
        directory, _, name = path.rpartition("/")
        self.events.append(("entry", directory, name, there))


class Disk:
    """What of a recording may be there after the power went behind `count` of its events."""

    def __init__(self, recording, count, random):
        self.acknowledged = 0
        self._files, self._entries, self._random = {}, {}, random
        for event in recording.events[:count]:
            if event is None:
                continue
            kind = event[0]
            if kind == "acknowledged":
                self.acknowledged += 1
            elif kind == "write":
                self._file(event[1])["pending"].append((event[2], event[3]))
            elif kind == "size":
                self._file(event[1])["sizes"].append(event[2])
            elif kind == "entry":
                self._entries.setdefault(event[1], {"kept": {}, "pending": []})["pending"].append((event[2], event[3]))
            elif kind == "sync":
                self._sync(event[1])

    def _file(self, path):
        return self._files.setdefault(path, {"kept": [], "pending": [], "sizes": [0]})

    def _sync(self, path):
        if path in self._files:
            file = self._files[path]
            file["kept"] += file["pending"]
            file["pending"], file["sizes"] = [], file["sizes"][-1:]
        if path in self._entries:
            entries = self._entries[path]
            entries["kept"].update(entries["pending"])
            entries["pending"] = []

    def _is_there(self, path, root):
        """With every directory above it; what was not synced may be there or not."""
        while path != root:
            directory, _, name = path.rpartition("/")
            entries = self._entries.get(directory, {"kept": {}, "pending": []})
            kept = entries.setdefault("drawn", {}).get(name)
            if kept is None:
                kept = entries["kept"].get(name, False)
                for pending, there in entries["pending"]:
                    if pending == name and self._random.random() < 0.5:
                        kept = there
                entries["drawn"][name] = kept
            if not kept:
                return False
            path = directory
        return True

    def write_to(self, target, root):
        """Puts the files below `root` together again below `target`."""
        for path, file in self._files.items():
            if not self._is_there(path, root):
                continue
            data = bytearray()
            survivors = file["kept"] + file["pending"][: self._random.randrange(len(file["pending"]) + 1)]
            torn = len(survivors) - len(file["kept"]) > 0 and self._random.random() < 0.7
            for number, (offset, written) in enumerate(survivors):
                if torn and number == len(survivors) - 1:
                    # A sector is written whole or not at all.
                    ends = [offset, *range((offset // SECTOR + 1) * SECTOR, offset + len(written), SECTOR)]
                    written = written[: self._random.choice(ends) - offset]
                data.extend(bytes(max(0, offset + len(written) - len(data))))
                data[offset : offset + len(written)] = written
            size = self._random.choice(file["sizes"])
            place = target + path[len(root):]
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as out:
                out.write(data)
                if size > len(data):
                    out.truncate(size)
        for directory, entries in self._entries.items():
            for name in {name for name, _ in entries["pending"]} | set(entries["kept"]):
                path = f"{directory}/{name}"
                if path not in self._files and not name.endswith(".seg") and self._is_there(path, root):
                    if name == "lock":
                        os.makedirs(os.path.dirname(target + path[len(root):]), exist_ok=True)
                        open(target + path[len(root):], "wb").close()
                    else:
                        os.makedirs(target + path[len(root):], exist_ok=True)


@unittest.skipUnless(strace_works(), "strace may not trace here")
class PowerLoss(Case):
    REQUESTS = 40

    def test_fault_3_every_acknowledged_record_survives_whatever_the_disk_kept_of_the_rest(self):
        url = self.database()
        template = self.database_name
        token = self.token(url)
        # Its journal is all there is: nothing is flushed while it is recorded.
        daemon = self.replica(url, flush_interval="1h")
        client = daemon.client(token)
        self.assertEqual(client.get("/api/v1/boundary-usage/summary").status, 200)
        self.assertEqual(daemon.stop(), 0)
        log = self.directory / "strace"
        daemon.wrapper = ["strace", "-D", "-f", "-y", "-xx", "-s", str(4 << 20), "-qq", "-o", str(log), "-e", f"trace={TRACED}"]
        started = datetime.datetime.now(datetime.timezone.utc)
        daemon.start()
        client = daemon.client(token)
        # A replica flushes once when it begins. What that took would be in the database before any disk of the recording has it.
        eventually(lambda: (as_of := self.summary(client)["as_of"]) is not None and moment(as_of) >= started, "the first flush is over")
        expected = [0]
        for number in range(self.REQUESTS):
            # A request is all or nothing, and its count tells which one it was; some fill more than a sector.
            more = self.random.choice([0, 0, 0, 20, 120])
            events = self.events(number).fresh(1 + more)
            first = Increment(events[0].workspace, events[0].owner, 1000, 0)
            answer = self.books().send(client, [first, *events[1:]])
            self.assertEqual(answer.status, 202)
            expected.append(expected[-1] + 1000 + more)
        daemon.kill()
        eventually(lambda: "killed by SIGKILL" in log.read_text(errors="replace")[-4000:] or "exited" in log.read_text(errors="replace")[-4000:], "the recording is whole")

        root = str(daemon.state_dir / "streams")
        recording = Recording(log, root)
        answers = [n for n, event in enumerate(recording.events) if event == ("acknowledged",)]
        self.assertGreaterEqual(len(answers), self.REQUESTS, "the recording holds every answer")
        self.assertGreater(sum(1 for event in recording.events if event and event[0] == "sync"), self.REQUESTS // 2)
        places = range(len(recording.events) + 1) if LONG else sorted(self.random.sample(range(len(recording.events) + 1), 9)) + [answers[-1] + 1]
        for place in places:
            self.power_fails_at(place, recording, daemon, template, token, expected)

    def power_fails_at(self, place, recording, original, template, token, expected):
        name = f"loss{place}"
        state = self.directory / name
        state.mkdir(mode=0o700)
        for file in ("replica_id", "rights.json", "registered"):
            if (original.state_dir / file).exists():
                shutil.copy(original.state_dir / file, state)
        disk = Disk(recording, place, self.random)
        (state / "streams").mkdir()
        disk.write_to(str(state / "streams"), recording.root)
        database = f"loss_{os.getpid()}_{place}"
        self.postgres.create_database(database, template=template)
        daemon = self.replica(self.postgres.url(database), name, flush_interval="50ms")
        try:
            client = daemon.client(token)
            extra = self.events(f"extra{place}").fresh(1)
            self.assertEqual(self.books().send(client, extra).status, 202, "it serves")
            self.settle(client)
            counted = self.summary(client)["allowed_requests"] - 1
            self.assertIn(counted, expected, f"power lost behind event {place}: not whole requests\n{daemon.log_tail(8)}")
            self.assertGreaterEqual(counted, expected[disk.acknowledged], f"power lost behind event {place}: {disk.acknowledged} requests were acknowledged")
            self.assertEqual(daemon.stop(), 0)
        finally:
            daemon.kill()
            self.daemons.remove(daemon)
        self.postgres.sql(f'DROP DATABASE "{database}" WITH (FORCE)')
        shutil.rmtree(state)
