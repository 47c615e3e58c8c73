"""What runs out: descriptors, memory, patience."""
import os
import resource
import socket
import subprocess
import threading
import time
import unittest

from harness.books import EVENTS, Figures, Traffic
from harness.case import Case
from harness.client import status_of
from harness.waiting import Deadline, eventually

LONG = bool(os.environ.get("TALLY_LONG"))
MIB = 1024 * 1024


class Descriptors(Case):
    def test_fault_14_out_of_descriptors_it_accepts_again_afterwards(self):
        url = self.database()
        token, books = self.token(url), self.books()
        daemon = self.replica(url, wrapper=["prlimit", "--nofile=64:64"])
        client = daemon.client(token)
        self.assertEqual(books.send(client, self.events().fresh()).status, 202)
        idle = []
        try:
            for _ in range(120):
                idle.append(socket.create_connection(daemon.address, timeout=5))
            for n in range(20):
                self.assertEqual(books.send(client, self.events(n).fresh()).status, 202, "a connection that was there goes on")
            self.settle(client)
        finally:
            for sock in idle:
                sock.close()
        eventually(lambda: daemon.client(token).get("/healthz").status == 200, "it accepts again")
        with Traffic(books, [daemon], token, self.seed, threads=4, requests=20, make=lambda events: events.fresh()):
            pass
        self.assert_sums_exact(client, books, fresh=True)


class Memory(Case):
    own_server = True

    def test_fault_15_ids_without_end_while_the_database_is_away_do_not_fill_memory(self):
        url = self.database()
        token, books = self.token(url), self.books()
        daemon = self.replica(url)
        client = daemon.client(token)
        self.assertEqual(books.send(client, self.events("first").fresh()).status, 202)
        self.postgres.stop()
        events = self.events()
        batches = 1000 if LONG else 250
        for _ in range(batches):
            self.assertEqual(books.send(client, events.fresh(1000)).status, 202)
        resident = resident_bytes(daemon.pid)
        self.assertLess(resident, 200 * MIB, "bounded, whatever the number of ids")
        self.postgres.start()
        self.assert_sums_exact(client, books, fresh=True, seconds=120)


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


class SlowClients(Case):
    def setUp(self):
        super().setUp()
        url = self.database()
        self.daemon = self.replica(url)
        self.token_text = self.token(url)
        self.client = self.daemon.client(self.token_text)

    def closed_within(self, sock, seconds):
        """What the server said until it closed; AssertionError when it did not."""
        deadline, received = Deadline(seconds), b""
        while not deadline.passed:
            sock.settimeout(max(0.05, deadline.left))
            try:
                chunk = sock.recv(65536)
            except TimeoutError:
                break
            except ConnectionError:
                return received
            if not chunk:
                return received
            received += chunk
        return self.fail(f"still open after {seconds} s, said {received[:100]!r}")

    def test_fault_20_a_head_that_never_ends_is_cut_off(self):
        with socket.create_connection(self.daemon.address) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            stop = threading.Event()

            def drip():
                while not stop.wait(0.5):
                    try:
                        sock.sendall(b"X-A: 1\r\n")
                    except OSError:
                        return

            thread = threading.Thread(target=drip, daemon=True)
            thread.start()
            try:
                received = self.closed_within(sock, 12)
            finally:
                stop.set()
                thread.join()
            self.assertIn(status_of(received), (None, 408))

    def test_fault_20_a_body_that_drips_is_cut_off_and_counts_nothing(self):
        with socket.create_connection(self.daemon.address) as sock:
            sock.sendall(
                f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token_text}\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n[".encode())
            received = self.closed_within(sock, 20)
            self.assertIn(status_of(received), (None, 408))
        self.settle(self.client)
        self.assertEqual(Figures.of(self.summary(self.client)), Figures())

    def test_fault_20_many_sockets_that_say_nothing_leave_an_honest_client_alone(self):
        count = 1500 if LONG else 500
        def latencies():
            took = []
            for n in range(200):
                start = time.monotonic()
                self.assertEqual(self.client.get("/healthz").status, 200)
                took.append(time.monotonic() - start)
            return sorted(took)[int(len(took) * 0.99)]

        before = latencies()
        idle = []
        try:
            for _ in range(count):
                sock = socket.create_connection(self.daemon.address, timeout=5)
                sock.sendall(b"POST ")
                idle.append(sock)
            during = latencies()
        finally:
            for sock in idle:
                sock.close()
        self.assertLess(during, max(2 * before, 0.05))

    def test_a_reader_that_does_not_read_is_cut_off(self):
        one = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(self.daemon.address)
            sock.settimeout(1)
            deadline = Deadline(90)
            try:
                while not deadline.passed:
                    try:
                        sock.sendall(one * 100)
                    except TimeoutError:
                        pass
            except ConnectionError:
                pass
            self.assertFalse(deadline.passed, "the connection is closed by the server")
        self.assertLess(resident_bytes(self.daemon.pid), 150 * MIB)
