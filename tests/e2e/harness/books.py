"""What was sent and what became of it, kept apart from tallyd: the oracle that its figures are compared with."""
import collections
import dataclasses
import random
import threading
import uuid

from .client import NotSent, Unknown

EVENTS = "/api/v1/boundary-usage/events"
SUMMARY = "/api/v1/boundary-usage/summary"
REPORTS = "/api/v1/boundary-usage/reports"


@dataclasses.dataclass(frozen=True)
class Increment:
    workspace: str
    owner: str
    allowed: int
    denied: int

    def event(self):
        return {"workspace_id": self.workspace, "owner_id": self.owner, "allowed": self.allowed, "denied": self.denied}


@dataclasses.dataclass(frozen=True)
class Figures:
    """The same shape for a report, the open period, or several of them added up."""

    allowed: int = 0
    denied: int = 0
    workspaces: int = 0
    users: int = 0

    @staticmethod
    def of(body):
        return Figures(body["allowed_requests"], body["denied_requests"], body["unique_workspaces"], body["unique_users"])

    def __add__(self, other):
        return Figures(self.allowed + other.allowed, self.denied + other.denied, self.workspaces + other.workspaces, self.users + other.users)


class Books:
    """Thread-safe. Each request is all or nothing: acknowledged (it must count), unknown (it may count, once), or refused."""

    def __init__(self):
        self._lock = threading.Lock()
        self._acknowledged = []
        self._unknown = []
        self.statuses = collections.Counter()

    def send(self, client, increments, path=EVENTS, **headers):
        """Posts `increments` as one request, books the outcome and answers it: an Answer, or None when unknown or not sent."""
        body = [increment.event() for increment in increments]
        try:
            answer = client.post(path, body[0] if len(body) == 1 else body, headers=headers)
        except NotSent:
            self._count("not sent")
            return None
        except Unknown:
            self._book(self._unknown, increments, "unknown")
            return None
        if answer.status == 202:
            self._book(self._acknowledged, increments, 202)
        elif answer.status >= 500:
            # The journal's disk may have taken it before it failed (http-api.md, 503).
            self._book(self._unknown, increments, answer.status)
        else:
            self._count(answer.status)
        return answer

    def _book(self, where, increments, status):
        with self._lock:
            where.append(tuple(increments))
            self.statuses[status] += 1

    def _count(self, status):
        with self._lock:
            self.statuses[status] += 1

    def acknowledge(self, increments):
        self._book(self._acknowledged, increments, 202)

    @property
    def acknowledged(self):
        with self._lock:
            return [increment for request in self._acknowledged for increment in request]

    @property
    def unknown(self):
        with self._lock:
            return [increment for request in self._unknown for increment in request]

    def least(self):
        return _figures(self.acknowledged)

    def most(self):
        return _figures(self.acknowledged + self.unknown)

    def difference(self, figures):
        """What is wrong with `figures` as the whole truth of one period; empty when nothing is."""
        least, most = self.least(), self.most()
        wrong = []
        for name in ("allowed", "denied", "workspaces", "users"):
            value, low, high = getattr(figures, name), getattr(least, name), getattr(most, name)
            if value < low:
                wrong.append(f"{name}: {low - value} lost ({value} of at least {low})")
            if value > high:
                wrong.append(f"{name}: {value - high} too many ({value} of at most {high})")
        return "; ".join(wrong)

    def sum_difference(self, figures):
        """The same for several periods added up: sums are exact, ids may be seen once per period."""
        least, most = self.least(), self.most()
        wrong = []
        for name in ("allowed", "denied"):
            value, low, high = getattr(figures, name), getattr(least, name), getattr(most, name)
            if not low <= value <= high:
                wrong.append(f"{name}: {value}, must be {low} to {high}")
        for name in ("workspaces", "users"):
            if getattr(figures, name) < getattr(least, name):
                wrong.append(f"{name}: {getattr(figures, name)}, must be at least {getattr(least, name)}")
        return "; ".join(wrong)


def _figures(increments):
    return Figures(
        sum(i.allowed for i in increments), sum(i.denied for i in increments),
        len({i.workspace for i in increments}), len({i.owner for i in increments}))


class Events:
    """Seeded increments over a pool of ids, so that replicas, periods and requests share some of them."""

    def __init__(self, seed, workspaces=50, users=20):
        self.random = random.Random(seed)
        pool = random.Random("pool")
        self._workspaces = [str(uuid.UUID(int=pool.getrandbits(128))) for _ in range(workspaces)]
        self._users = [str(uuid.UUID(int=pool.getrandbits(128))) for _ in range(users)]

    def shared(self, count=1):
        return [
            Increment(self.random.choice(self._workspaces), self.random.choice(self._users), self.random.randrange(5), self.random.randrange(3))
            for _ in range(count)]

    def fresh(self, count=1):
        """New workspaces that no other increment has, one allowed request each: added up over any periods, allowed requests
        and unique workspaces must be the same number, or something was counted twice."""
        return [
            Increment(str(uuid.UUID(int=self.random.getrandbits(128))), self.random.choice(self._users), 1, 0) for _ in range(count)]


class Traffic:
    """Threads that post until they are told to stop, each to a replica drawn anew for every few requests."""

    def __init__(self, books, daemons, token, seed, threads=4, make=None, pause=0.0, requests=None):
        self._books, self._daemons, self._token = books, daemons, token
        self._stop = threading.Event()
        self._pause = pause
        self._limit = requests
        self._make = make or (lambda events: events.shared(events.random.randrange(1, 6)))
        self._errors = []
        self._threads = [
            threading.Thread(target=self._guarded, args=(Events(f"{seed}/{n}"),), daemon=True) for n in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None or self._limit is None:
            self._stop.set()
        self.join()

    def join(self):
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a client hangs"
        if self._errors:
            raise self._errors[0]

    def _guarded(self, events):
        try:
            self._run(events)
        except Exception as error:  # handed to the test by join
            self._errors.append(error)

    def _run(self, events):
        clients = [daemon.client(self._token) for daemon in self._daemons]
        sent = 0
        while not self._stop.is_set() and (self._limit is None or sent < self._limit):
            client = events.random.choice(clients)
            for _ in range(events.random.randrange(1, 8)):
                answer = self._books.send(client, self._make(events))
                sent += 1
                if answer is None or answer.status != 202:
                    self._stop.wait(0.02)
                elif self._pause:
                    self._stop.wait(self._pause)
                if self._stop.is_set() or (self._limit is not None and sent >= self._limit):
                    break
        for client in clients:
            client.close()
