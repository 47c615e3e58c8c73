"""Life under a service manager: readiness and watchdog on a real notify socket, and listening sockets that outlive the process."""
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import threading
import time
import uuid

from harness.books import EVENTS
from harness.case import Case
from harness.waiting import Deadline, eventually


class NotifySocket:
    """What the service manager would hear."""

    def __init__(self, path):
        self.path, self.heard = str(path), []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(0.05)

    def messages(self):
        with contextlib.suppress(TimeoutError, BlockingIOError):
            while True:
                self.heard.append(dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines() if "=" in line))
        return self.heard

    def eventually(self, what, **wanted):
        """Until one message says all of `wanted` (None: any value)."""
        return eventually(
            lambda: next((m for m in self.messages() if all(k in m and v in (None, m[k]) for k, v in wanted.items())), None),
            lambda: f"{what}: {wanted}; heard {self.heard}", 20)

    def close(self):
        self._socket.close()


class Notify(Case):
    def setUp(self):
        super().setUp()
        self.socket = NotifySocket(self.directory / "notify")
        self.addCleanup(self.socket.close)

    def served(self, **environment):
        daemon = self.replica(self.database(), start=False)
        daemon.environment = {"NOTIFY_SOCKET": self.socket.path, **environment}
        return daemon.start()

    def test_SD_1_says_when_it_serves_reloads_and_stops(self):
        daemon = self.served()
        self.socket.eventually("it serves", READY="1")
        self.socket.heard.clear()
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        daemon.signal(signal.SIGHUP)
        reloading = self.socket.eventually("it reloads", RELOADING="1")
        self.assertGreaterEqual(int(reloading["MONOTONIC_USEC"]), before - 1_000_000)
        self.socket.eventually("and is ready again, or the service manager waits for ever (SD-2)", READY="1")
        daemon.signal(signal.SIGTERM)
        self.socket.eventually("it stops", STOPPING="1")
        self.socket.eventually("and asks for the time that it may need (SD-4)", EXTEND_TIMEOUT_USEC=None)
        self.assertEqual(daemon.process.wait(30), 0)

    def test_SD_3_feeds_the_watchdog_while_its_parts_move(self):
        daemon = self.served(WATCHDOG_USEC="400000")
        for _ in range(5):
            self.socket.eventually("it is alive", WATCHDOG="1")
            self.socket.heard.clear()
        daemon.signal(signal.SIGSTOP)
        self.socket.messages()
        self.socket.heard.clear()
        threading.Event().wait(1.0)
        self.assertEqual(self.socket.messages(), [], "a process that stands still says nothing")
        daemon.signal(signal.SIGCONT)

    def test_SD_5_children_do_not_inherit_the_notify_socket(self):
        daemon = self.replica(None, "builtin", start=False)
        daemon.environment = {"NOTIFY_SOCKET": self.socket.path}
        daemon.start()
        environments = eventually(lambda: self.environments_of_children(daemon.pid), "the built-in database runs", 60)
        for environment in environments:
            self.assertNotIn(b"NOTIFY_SOCKET", environment)
        self.assertEqual(daemon.stop(), 0)


    @staticmethod
    def environments_of_children(pid):
        found = []
        for listed in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            for child in listed.read_text(encoding="ascii").split():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                    # Between fork and exec a child still shows what its parent was started with.
                    if os.readlink(f"/proc/{child}/exe") != os.readlink(f"/proc/{pid}/exe"):
                        found.append(pathlib.Path(f"/proc/{child}/environ").read_bytes())
        return found


class SocketHandOver(Case):
    """A listening socket that the test holds, as systemd would, over restarts of the process under load."""

    RESTARTS = 4

    def setUp(self):
        super().setUp()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.addCleanup(self.listener.close)
        self.url = self.database()
        self.token_text = self.token(self.url)
        self.lock = threading.Lock()
        self.sent, self.again, self.longest, self.refused = 0, 0, 0.0, []

    def take_over(self):
        number = self.listener.fileno()
        # The descriptor must be number 3 and LISTEN_PID the process that reads it: bash puts both right and becomes tallyd.
        wrapper = ["bash", "-c", f'[ {number} = 3 ] || exec 3<&{number} {number}<&-; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http; exec "$@"', "bash"]
        daemon = self.replica(self.url, "a", start=False, wrapper=wrapper, listen=None)
        daemon.inherited = (number,)
        return daemon

    def client(self, number, stop, keep_alive):
        """Posts under keys until told to stop. A request on a connection that closed before a byte of an answer came is sent again
        with its key on a new one, as any client must; whatever else goes wrong is a refusal."""
        rng_key, connection = f"{number}-{uuid.uuid4()}", None
        count = 0
        while not stop.is_set():
            count += 1
            body = json.dumps({"workspace_id": str(uuid.UUID(int=(number + 1) * 10_000_000 + count)), "owner_id": str(uuid.UUID(int=number + 1)), "allowed": 1})
            headers = {"Authorization": f"Bearer {self.token_text}", "Content-Type": "application/json", "Idempotency-Key": f"{rng_key}-{count}"}
            if not keep_alive:
                headers["Connection"] = "close"
            started, deadline = time.monotonic(), Deadline(30)
            while True:
                fresh = connection is None
                try:
                    if fresh:
                        connection = http.client.HTTPConnection(*self.listener.getsockname(), timeout=30)
                        connection.connect()
                    connection.request("POST", EVENTS, body, headers)
                    answer = connection.getresponse()
                    answer.read()
                    status, closes = answer.status, answer.will_close
                except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
                    connection.close()
                    connection = None
                    if fresh or deadline.passed:
                        return self.refuse(f"{'new' if fresh else 'kept'} connection: {error!r}")
                    with self.lock:
                        self.again += 1
                    continue
                except OSError as error:
                    return self.refuse(f"{error!r}")
                if closes:
                    connection.close()
                    connection = None
                if status != 202:
                    return self.refuse(f"status {status}: {answer.reason}")
                break
            with self.lock:
                self.sent += 1
                self.longest = max(self.longest, time.monotonic() - started)
        return None

    def refuse(self, what):
        with self.lock:
            self.refused.append(what)

    def test_restarts_under_load_refuse_no_request_and_lose_none(self):
        daemon = self.take_over()
        daemon.start()
        self.assertEqual(daemon.address, self.listener.getsockname())
        plain = daemon.client(self.token_text)
        key = lambda: {"Idempotency-Key": str(uuid.uuid4())}  # noqa: E731
        nothing = {"workspace_id": str(uuid.UUID(int=1)), "owner_id": str(uuid.UUID(int=1)), "allowed": 0}
        eventually(lambda: plain.post(EVENTS, nothing, key()).status == 202, "keys are taken")
        stop = threading.Event()
        threads = [threading.Thread(target=self.client, args=(n, stop, n % 2 == 0), daemon=True) for n in range(6)]
        for thread in threads:
            thread.start()
        down = []
        try:
            for _ in range(self.RESTARTS):
                before = self.sent
                eventually(lambda: self.sent > before + 100 or self.refused, "there is load")
                daemon.signal(signal.SIGTERM)
                self.assertEqual(daemon.process.wait(30), 0)
                left = time.monotonic()
                daemon.start()
                down.append(time.monotonic() - left)
            before = self.sent
            eventually(lambda: self.sent > before + 100 or self.refused, "there is load")
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        self.assertEqual(self.refused, [], "no request was refused")
        print(f"\n{self.sent} requests through {self.RESTARTS} restarts: none refused, {self.again} sent again because their kept connection had been closed, "
              f"longest {self.longest * 1000:.0f} ms, nobody served for {max(down) * 1000:.0f} ms", flush=True)
        client = daemon.client(self.token_text)
        self.settle(client)
        summary = self.summary(client)
        self.assertEqual((summary["allowed_requests"], summary["unique_workspaces"]), (self.sent, self.sent + 1), "none was lost, none counted twice")

    def test_a_socket_that_is_none_is_said_and_the_own_address_is_used(self):
        file = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, file)
        wrapper = ["bash", "-c", f'[ {file} = 3 ] || exec 3<&{file}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"', "bash"]
        daemon = self.replica(self.url, "a", start=False, wrapper=wrapper)
        daemon.inherited = (file,)
        daemon.start()
        self.assertEqual(daemon.client().get("/healthz").status, 200)
        self.assertTrue(any("not a listening stream socket" in str(entry.get("detail")) for entry in daemon.entries()))
