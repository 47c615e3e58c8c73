"""A PostgreSQL proxy that cuts a connection around one statement, so that its sender cannot know what became of it."""
import enum
import random
import socket
import struct
import threading


class Mode(enum.Enum):
    BEFORE = "before"  # cut without forwarding: certainly not committed
    AFTER = "after"  # forward, wait for the answer, drop it, cut: committed, and the client cannot know
    RACE = "race"  # forward and cut at once: either
    HOLD = "hold"  # forward, swallow the answer, keep the connection: the client must give up by itself
    LATE = "late"  # cut the client, forward a moment later: executes after its sender gave up


_SSL_REQUEST, _GSS_REQUEST, _CANCEL_REQUEST = 80877103, 80877104, 80877102
_LATE_SECONDS = 1.0


class _Closed(Exception):
    pass


def _read_exactly(sock, size):
    chunks = []
    while size:
        chunk = sock.recv(min(size, 65536))
        if not chunk:
            raise _Closed
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


class CutProxy:
    """Listens on a port of 127.0.0.1 and forwards to 127.0.0.1:`target_port`. A statement is looked at when it is complete
    (up to its Sync, or a simple Query), whether it is parsed anew or was prepared earlier on that connection.

    Nothing is cut until `arm`. `hits` counts the cuts by mode."""

    def __init__(self, target_port, matching):
        self.target_port = target_port
        self.hits = {mode: 0 for mode in Mode}
        self._matching = matching
        self._lock = threading.Lock()
        self._mode = None
        self._left = 0
        self._random = random.Random(0)
        self._chance = 1.0
        self._refusing = False
        self._stopped = threading.Event()
        self._open = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, mode, times=1, chance=1.0, seed=0):
        """Cuts the next `times` matching statements; with `chance` below 1 each is spared by a seeded die."""
        with self._lock:
            self._mode, self._left, self._chance, self._random = mode, times, chance, random.Random(seed)

    def disarm(self):
        with self._lock:
            self._left = 0

    @property
    def armed(self):
        with self._lock:
            return self._left > 0

    def refuse(self, refusing):
        """While refusing, new connections are closed at once and the open ones are cut: the network is gone."""
        with self._lock:
            self._refusing = refusing
            doomed = list(self._open) if refusing else []
        for sock in doomed:
            _cut(sock)

    def close(self):
        self._stopped.set()
        _cut(self._listener)
        self._listener.close()
        self.refuse(True)

    def _take_hit(self):
        with self._lock:
            if self._left <= 0 or self._random.random() >= self._chance:
                return None
            self._left -= 1
            self.hits[self._mode] += 1
            return self._mode

    def _accept(self):
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {client, server}
            threading.Thread(target=self._serve, args=(_Link(client, server),), daemon=True).start()

    def _serve(self, link):
        threading.Thread(target=link.forward_answers, daemon=True).start()
        try:
            self._start_up(link)
            while True:
                unit, matches = self._read_statement(link)
                mode = self._take_hit() if matches else None
                if mode is None:
                    link.server.sendall(unit)
                else:
                    link.cut_around(unit, mode)
        except (_Closed, OSError):
            pass
        finally:
            _cut(link.client)
            _cut(link.server)
            with self._lock:
                self._open -= {link.client, link.server}
            link.client.close()
            link.server.close()

    @staticmethod
    def _start_up(link):
        while True:
            head = _read_exactly(link.client, 8)
            length, code = struct.unpack("!II", head)
            link.server.sendall(head + _read_exactly(link.client, length - 8))
            if code not in (_SSL_REQUEST, _GSS_REQUEST):
                return

    def _read_statement(self, link):
        """Everything up to a Sync, a simple Query or another message that stands alone, and whether it is ours to cut."""
        unit, matches = bytearray(), False
        while True:
            head = _read_exactly(link.client, 5)
            kind, length = struct.unpack("!cI", head)
            body = _read_exactly(link.client, length - 4)
            unit += head + body
            if kind == b"P":
                name, _, text = body.partition(b"\0")
                link.prepared[name] = self._matching in text
            elif kind == b"B":
                name = body.partition(b"\0")[2].partition(b"\0")[0]
                matches = matches or link.prepared.get(name, False)
            elif kind == b"Q":
                return bytes(unit), self._matching in body
            if kind not in b"PBDECHF":
                return bytes(unit), matches


class _Link:
    def __init__(self, client, server):
        self.client, self.server = client, server
        self.prepared = {}
        self._swallow = threading.Event()
        self._answered = threading.Event()

    def forward_answers(self):
        try:
            while data := self.server.recv(65536):
                if self._swallow.is_set():
                    self._answered.set()
                else:
                    self.client.sendall(data)
        except OSError:
            pass
        self._answered.set()
        if not self._swallow.is_set():
            _cut(self.client)

    def cut_around(self, unit, mode):
        if mode is Mode.BEFORE:
            raise _Closed
        self._swallow.set()
        if mode is Mode.LATE:
            _cut(self.client)
            threading.Event().wait(_LATE_SECONDS)
        self.server.sendall(unit)
        if mode is Mode.RACE:
            raise _Closed
        if mode is Mode.HOLD:
            while self.client.recv(65536):  # until the client gives up
                pass
            raise _Closed
        self._answered.wait(30)
        raise _Closed


def _cut(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
