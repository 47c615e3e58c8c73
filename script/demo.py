#!/usr/bin/env python3
"""Three replicas, one database, a small day with retries, one kill -9, two closes, a collector that fails: are the figures right?

usage: script/demo.py TALLYD [--seed N]
"""
import argparse
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import uuid

API = "/api/v1/boundary-usage"
REPLICAS = ("a", "b", "c")
HOURS = 24
REQUESTS_AN_HOUR = 25
RETRIED_EVERY = 5
SESSIONS = 24
WORKSPACES, USERS = 120, 40


class Failed(Exception):
    pass


class Replica:
    def __init__(self, name, tallyd, directory, collector_url, database_url=None):
        self.name = name
        self.state = directory / name
        self.log = directory / f"{name}.log"
        self.command = [tallyd, "serve", "--state-dir", str(self.state), "--listen", "127.0.0.1:0", "--period", "0", "--flush-interval", "200ms", "--log-format", "json",
                        "--report-url", collector_url + "/reports", "--publish-url", collector_url + "/usage-events", "--publish-interval", "200ms"]
        if database_url:
            self.command += ["--database-url", database_url]
        self.process = None
        self.address = None

    def start(self):
        start_of_log = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.address = until(lambda: self._listening(start_of_log), f"replica {self.name} listens", 60)

    def _listening(self, start_of_log):
        if self.process.poll() is not None:
            raise Failed(f"replica {self.name} ended with {self.process.returncode}:\n{self.log.read_text(errors='replace')[-2000:]}")
        with open(self.log, "rb") as log:
            log.seek(start_of_log)
            for line in log:
                if b'"listening"' in line and line.endswith(b"\n"):
                    host, port = json.loads(line)["address"].rsplit(":", 1)
                    return host, int(port)
        return None

    def end(self, number):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise Failed(f"replica {self.name} did not stop in time") from None
        self.address = None
        return self.process.returncode if self.process else 0


class Collector:
    """script/collector as a process of its own: where the replicas post their reports."""

    def __init__(self):
        script = pathlib.Path(__file__).resolve().parent / "collector"
        self.process = subprocess.Popen(
            [sys.executable, str(script), "--listen", "127.0.0.1:0", "--quiet"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.url = self.process.stdout.readline().split()[-1]

    def call(self, path, body=None):
        with urllib.request.urlopen(self.url + path, json.dumps(body).encode() if body else None, timeout=20) as answer:
            return json.loads(answer.read())

    def end(self):
        self.process.kill()
        self.process.wait()


class Books:
    """What was sent and answered with 202, and nothing that tallyd says about itself."""

    def __init__(self, name):
        self.name = name
        self._lock = threading.Lock()
        self.allowed = self.denied = self.requests = 0
        self.workspaces, self.users = set(), set()

    def add(self, events):
        with self._lock:
            self.requests += 1
            for event in events:
                self.allowed += event["allowed"]
                self.denied += event["denied"]
                self.workspaces.add(event["workspace_id"])
                self.users.add(event["owner_id"])

    def figures(self):
        return {"allowed_requests": self.allowed, "denied_requests": self.denied, "unique_workspaces": len(self.workspaces), "unique_users": len(self.users)}


def until(probe, what, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = probe()
        if answer:
            return answer
        time.sleep(0.02)
    raise Failed(f"not within {seconds} s: {what}")


class Demo:
    def __init__(self, tallyd, seed):
        self.tallyd, self.seed = tallyd, seed
        # Open to read, so that the user postgres, who runs the database when root runs this, can reach what is below.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="tallyd-demo-", dir="/tmp"))
        self.directory.chmod(0o755)
        self.replicas = []
        self.collector = Collector()
        self.token = None
        self.began = self.stepped = time.monotonic()
        self.wrong = []
        self.reports = {}

    def step(self, text):
        now = time.monotonic()
        print(f"{now - self.began:7.2f} s  (+{now - self.stepped:5.2f})  {text}", flush=True)
        self.stepped = now

    def check(self, what, seen, expected):
        if seen != expected:
            self.wrong.append(f"{what}: {seen}, must be {expected}")
        print(f"{'':19}{'right' if seen == expected else 'WRONG'}: {what} {seen}", flush=True)

    def call(self, replica, method, path, body=None, **more):
        connection = http.client.HTTPConnection(*replica.address, timeout=40)
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **more}
            connection.request(method, path, json.dumps(body).encode() if body is not None else None, headers)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        return response.status, data

    def run(self):
        print(f"seed {self.seed}, files in {self.directory} while it runs\n")
        self.start_replicas()
        first, second = Books("first"), Books("second")
        hours = [self.hour(n) for n in range(HOURS)]
        self.send(hours[:8], first)
        self.kill_one_in_the_middle(hours[8:14], first)
        self.collector.call("/control", {"path": "/reports", "next": ["fail", "accept_then_reset"]})
        self.close(first)
        self.send(hours[14:], second)
        self.send_a_cloud_event(second)
        self.close(second)
        self.show_delivery()
        self.show_connections()
        self.show_usage_events()
        self.show_ledger()
        self.show_metrics()
        self.stop()

    def start_replicas(self):
        first = Replica("a", self.tallyd, self.directory, self.collector.url)
        self.replicas.append(first)
        first.start()
        self.step("replica a listens; it makes a PostgreSQL of its own")
        self.token = until(self.try_token, "the schema is there and a token can be made", 90)
        self.step("the schema is there, a token is made")
        url = self.builtin_url(first.state)
        for name in REPLICAS[1:]:
            replica = Replica(name, self.tallyd, self.directory, self.collector.url, url)
            self.replicas.append(replica)
            replica.start()
        self.step(f"replicas {', '.join(REPLICAS[1:])} listen; all three share that database")

    def try_token(self):
        made = subprocess.run(
            [self.tallyd, "token", "create", "--subject", "boundary-usage-tracker", "--state-dir", str(self.replicas[0].state)], capture_output=True, text=True)
        return made.stdout.strip() if made.returncode == 0 else None

    @staticmethod
    def builtin_url(state):
        """How the other replicas reach replica a's database: the running server wrote down where it listens."""
        (pid_file,) = state.rglob("postmaster.pid")
        lines = pid_file.read_text().splitlines()
        return f"host={lines[4]} port={lines[3]} user=tallyd dbname=tallyd"

    def hour(self, number):
        """One hour of the day: some workspaces are awake, and any replica may hear of any of them."""
        rng = random.Random(f"{self.seed}/{number}")
        ids = random.Random(self.seed)
        workspaces = [str(uuid.UUID(int=ids.getrandbits(128))) for _ in range(WORKSPACES)]
        users = [str(uuid.UUID(int=ids.getrandbits(128))) for _ in range(USERS)]
        awake = rng.sample(range(WORKSPACES), 10 + 2 * min(number, HOURS - number))
        requests = []
        for _ in range(REQUESTS_AN_HOUR):
            chosen = [rng.choice(awake) for _ in range(rng.randrange(1, 9))]
            requests.append((rng.randrange(len(REPLICAS)), [
                {"workspace_id": workspaces[w], "owner_id": users[w % USERS], "allowed": rng.randrange(20), "denied": rng.randrange(4)} for w in chosen]))
        return requests

    def send(self, hours, books):
        again = 0
        for hour in hours:
            for number, events in hour:
                headers = {}
                if books.requests % RETRIED_EVERY == 0:
                    headers = {"Idempotency-Key": f"{self.seed}-{books.name}-{books.requests}"}
                    again += self.post(self.other(number), events, headers)
                self.post(number, events, headers)
                books.add(events)
        self.step(
            f"{sum(map(len, hours))} requests of {len(hours)} hours were acknowledged, {again} of them by two replicas under one key; "
            f"{books.requests} in this period")

    def post(self, number, body, headers):
        """Until it is acknowledged; a replica that is not ready for keys yet says so with 503."""

        def acknowledged():
            status, data = self.call(self.replicas[number], "POST", f"{API}/events", body, **headers)
            if status not in (202, 503):
                raise Failed(f"replica {REPLICAS[number]} answered {status} to an event: {data!r}")
            return status == 202

        until(acknowledged, f"replica {REPLICAS[number]} takes an event", 30)
        return 1

    def other(self, number):
        """Another replica that runs."""
        return next(n for n in (number + 1, number + 2) if self.replicas[n % len(REPLICAS)].address) % len(REPLICAS)

    def send_a_cloud_event(self, books):
        data = {"workspace_id": str(uuid.UUID(int=1)), "owner_id": str(uuid.UUID(int=2)), "allowed": 5, "denied": 1}
        event = {"specversion": "1.0", "type": "tallyd.boundary_usage.v1", "source": "/demo", "id": self.seed, "data": data}
        for number in range(len(REPLICAS)):
            self.post(number, event, {"Content-Type": "application/cloudevents+json"})
        books.add([data])
        self.step(f"one CloudEvent was sent to all {len(REPLICAS)} replicas; it counts once")

    def kill_one_in_the_middle(self, hours, books):
        """kill -9 right behind a 202, before any flush can have happened; the rest of the day goes on meanwhile."""
        victim = self.replicas[1]
        _, events = hours[0][0]
        status, data = self.call(victim, "POST", f"{API}/events", events)
        if status != 202:
            raise Failed(f"the replica to be killed answered {status}: {data!r}")
        books.add(events)
        victim.end(signal.SIGKILL)
        self.step("replica b was killed with kill -9 right behind a 202")
        alive = [0, 2]
        self.send([[(number if number in alive else alive[turn % 2], events) for turn, (number, events) in enumerate(hour)] for hour in hours[:3]], books)
        victim.start()
        self.step("replica b is back and drains what its predecessor left")
        self.send(hours[3:], books)

    def close(self, books):
        name, expected = books.name, books.figures()
        replica = self.replicas[0]
        summary = {}

        def covered():
            summary.update(json.loads(self.call(replica, "GET", f"{API}/summary")[1]))
            return all(summary[key] >= value for key, value in expected.items())

        try:
            until(covered, "the summary holds everything", 30)
        except Failed:
            pass  # the check below says what is missing
        self.step(f"the summary holds everything: {shown(summary)}")
        self.check(f"summary of the {name} period", {key: summary[key] for key in expected}, expected)
        status, data = self.call(replica, "POST", f"{API}/reports", {"period": summary["period"]})
        report = json.loads(data)
        self.step(f"the {name} period is closed ({status})")
        print(json.dumps(report, indent=2))
        self.check(f"report of the {name} period", {key: report.get(key) for key in expected}, expected)
        self.check("replicas that contributed", report.get("replicas"), len(REPLICAS))
        answers = {self.call(other, "POST", f"{API}/reports", {"period": summary["period"]}) for other in self.replicas}
        self.check("the same report from every replica", answers == {(200, data)}, True)
        self.reports[f"{report['cluster_id']}/{report['period']}"] = data.decode()

    def show_delivery(self):
        """The collector failed once and once broke off behind a report that it had taken: it has each report all the same, under
        its key and with the bytes that the API answers."""
        taken = {}

        def delivered():
            taken.update(self.collector.call("/received")["reports"])
            # One was taken without an answer, and comes again.
            return set(self.reports) <= set(taken) and sum(entry["times"] for entry in taken.values()) > len(self.reports)

        try:
            until(delivered, "the collector has the reports, one of them twice", 30)
        except Failed:
            pass  # the check below says what is missing
        for key, entry in taken.items():
            self.step(f"the collector has report {key}, sent {entry['times']} time{'' if entry['times'] == 1 else 's'}")
        self.check("reports at the collector are those of the API", {key: entry["bodies"] for key, entry in taken.items()} == {key: [body] for key, body in self.reports.items()}, True)

    def show_connections(self):
        """Sessions whose ends come in any order, more than once and through any replica are one entry each."""
        rng = random.Random(self.seed)
        made = subprocess.run(
            [self.tallyd, "token", "create", "--subject", "connection-logger", "--state-dir", str(self.replicas[0].state)], capture_output=True, text=True, check=True)
        tracker, self.token = self.token, made.stdout.strip()
        organization = str(uuid.UUID(int=rng.getrandbits(128)))
        events = []
        for number in range(SESSIONS):
            common = {
                "organization_id": organization, "workspace_owner_id": str(uuid.UUID(int=number % 5 + 1)), "workspace_id": str(uuid.UUID(int=number % 7 + 1)),
                "workspace_name": f"dev-{number % 7}", "agent_name": "main", "ip": f"192.0.2.{number}"}
            if number % 4 == 3:
                events.append({**common, "id": str(uuid.UUID(int=rng.getrandbits(128))), "time": f"2026-01-01T10:{number:02}:00Z", "status": "connected",
                               "type": "workspace_app", "slug_or_port": "code-server", "user_agent": "Mozilla/5.0", "code": 200})
                continue
            common.update(connection_id=str(uuid.UUID(int=rng.getrandbits(128))), type=("ssh", "vscode", "jetbrains")[number % 3])
            events.append({**common, "time": f"2026-01-01T09:{number:02}:00Z", "status": "connected"})
            if number % 6:
                events.append({**common, "time": f"2026-01-01T1{number % 8}:30:00Z", "status": "disconnected", "code": number % 2, "reason": "closed by the user"})
        events += rng.sample(events, len(events) // 2)
        rng.shuffle(events)
        for turn, event in enumerate(events):
            status, data = self.call(self.replicas[turn % len(REPLICAS)], "POST", "/api/v1/connection-log/events", event)
            if status != 202:
                raise Failed(f"a connection event was answered {status}: {data!r}")
        points = sum(number % 4 == 3 for number in range(SESSIONS))
        ongoing = sum(number % 4 != 3 and number % 6 == 0 for number in range(SESSIONS))
        expected = {"": SESSIONS, "status:ongoing": ongoing, "status:completed": SESSIONS - points - ongoing, "type:workspace_app": points}

        def counts():
            found = {}
            for filter in expected:
                _, data = self.call(self.replicas[-1], "GET", f"/api/v1/connection-log?limit=1&q={urllib.parse.quote(filter)}")
                found[filter] = json.loads(data)["count"]
            return found

        try:
            until(lambda: counts() == expected, "the connection log holds everything", 20)
        except Failed:
            pass  # the check says what is missing
        self.step(f"{len(events)} connection events, some of them twice and all in disorder, went to three replicas")
        self.check("entries in the connection log", counts(), expected)
        filter = "type:ssh status:completed connected_before:2026-01-01T09:30:00Z"
        status, data = self.call(self.replicas[0], "GET", f"/api/v1/connection-log?limit=3&q={urllib.parse.quote(filter)}")
        if status != 200:
            raise Failed(f"a page of the connection log was answered {status}: {data!r}")
        page = json.loads(data)
        self.step(f"GET /api/v1/connection-log?limit=3&q={filter}: {len(page['connection_logs'])} of {page['count']} entries")
        for entry in page["connection_logs"]:
            print(f"{'':19}{entry['connect_time']} {entry['type']} {entry['workspace_name']}.{entry['agent_name']} from {entry['ip']}, ended {entry['ssh_info']['disconnect_time']}")
        found = [number for number in range(31) if number % 4 != 3 and number % 3 == 0 and number % 6]
        self.check("entries that the filter finds", page["count"], len([number for number in found if number < SESSIONS]))
        self.check("newest first", [entry["ip"] for entry in page["connection_logs"]], [f"192.0.2.{number}" for number in found[::-1][:3]])
        shown = subprocess.run(
            [self.tallyd, "connections", "type:ssh status:completed", "--limit", "5", "--state-dir", str(self.replicas[0].state)], capture_output=True, text=True)
        if shown.returncode != 0:
            raise Failed(f"tallyd connections: {shown.stderr}")
        self.step("tallyd connections type:ssh status:completed --limit 5")
        print("".join(f"{'':19}{line}\n" for line in shown.stdout.splitlines()), end="")
        self.token = tracker

    def show_usage_events(self):
        """Every replica sends the same heartbeats, and the collector fails meanwhile: it has each event once by its id."""
        made = subprocess.run(
            [self.tallyd, "token", "create", "--subject", "usage-collector", "--state-dir", str(self.replicas[0].state)], capture_output=True, text=True, check=True)
        tracker, self.token = self.token, made.stdout.strip()
        self.collector.call("/control", {"path": "/usage-events", "next": ["fail", "accept_then_reset"]})
        events = [{"id": f"hb_ai_seats_v1:{bucket}", "event_type": "hb_ai_seats_v1", "event_data": {"count": bucket}} for bucket in range(HOURS)]
        for replica in self.replicas:
            status, data = self.call(replica, "POST", "/api/v1/usage-events", events)
            if status != 202:
                raise Failed(f"usage events were answered {status}: {data!r}")
        taken = {}

        def published():
            taken.update(self.collector.call("/received")["usage_events"])
            return set(taken) == {event["id"] for event in events}

        try:
            until(published, "the collector has the usage events", 30)
        except Failed:
            pass  # the check says what is missing
        self.step(f"{len(events)} heartbeats, sent by every replica, are at the collector")
        self.check("usage events at the collector", sorted(taken), sorted(event["id"] for event in events))
        self.token = tracker

    def show_ledger(self):
        """Everything that was ever acknowledged is reported, refused as a duplicate, or still to come; nothing else."""
        ledger = {}

        def flushed():
            ledger.update(json.loads(self.call(self.replicas[0], "GET", "/api/v1/ledger")[1]))
            return float(ledger["boundary_usage"]["unflushed"]) + ledger["connection_events"]["unflushed"] + ledger["usage_events"]["unflushed"] == 0

        try:
            until(flushed, "nothing is left to flush", 20)
        except Failed:
            pass  # the ledger is printed as it is
        self.step("the ledger")
        print(json.dumps({key: ledger[key] for key in ("boundary_usage", "connection_events", "usage_events")}, indent=2))
        self.check("ledger balanced", ledger["balanced"], True)

    def show_metrics(self):
        self.step("some metrics of each replica")
        wanted = ("tallyd_ingest_events_total", "tallyd_ingest_duplicates_total", "tallyd_flushes_total", "tallyd_journal_records_recovered_total", "tallyd_journal_bytes")
        for replica in self.replicas:
            _, text = self.call(replica, "GET", "/metrics")
            for line in text.decode().splitlines():
                if line.startswith(wanted) and not line.endswith(" 0"):
                    print(f"{'':19}{replica.name}  {line}")

    def stop(self):
        for replica in reversed(self.replicas):
            self.check(f"exit code of replica {replica.name}", replica.end(signal.SIGTERM), 0)
        self.step("everything is stopped")

    def clean_up(self):
        for replica in reversed(self.replicas):
            try:
                replica.end(signal.SIGTERM)
            except Failed as failure:
                print(f"demo: {failure}", file=sys.stderr)
        self.collector.end()
        shutil.rmtree(self.directory, ignore_errors=True)


def shown(figures):
    return ", ".join(f"{figures[key]} {key.replace('_', ' ')}" for key in ("allowed_requests", "denied_requests", "unique_workspaces", "unique_users") if key in figures)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tallyd")
    parser.add_argument("--seed", default="20260101")
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("TALLYD_")]:
        del os.environ[name]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    demo = Demo(os.path.abspath(arguments.tallyd), arguments.seed)
    try:
        demo.run()
    except (Failed, OSError, ValueError, KeyError, http.client.HTTPException) as failure:
        demo.wrong.append(f"{type(failure).__name__}: {failure}")
    finally:
        demo.clean_up()
    for line in demo.wrong:
        print(f"demo: {line}", file=sys.stderr)
    print(f"\ndemo: {'FAILED' if demo.wrong else 'every figure is right'} after {time.monotonic() - demo.began:.1f} s")
    return 1 if demo.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
