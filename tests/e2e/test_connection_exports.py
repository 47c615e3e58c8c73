"""The connection log as lines: all of it, in constant memory, whole or visibly not, and at nobody's expense."""
import http.client
import json
import pathlib
import re
import socket
import time
import unittest

from harness.connections import LOG, new_id, pages
from harness.daemon import SLOWNESS
from harness.waiting import eventually
from test_connections import ConnectionCase

LINES = "application/x-ndjson"


class ConnectionExports(ConnectionCase):
    def setUp(self):
        super().setUp()
        self.daemon = self.replica(self.url)
        self.client = self.daemon.client(self.logger)

    def lines(self, parameters="", accept=LINES):
        answer = self.client.get(LOG + parameters, Accept=accept)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["Content-Type"], LINES)
        return [json.loads(line) for line in answer.body.splitlines()]

    def fill(self, entries):
        """So many points in time, a second apart."""
        # Pages of everything are read by time alone; the other indexes would take most of the time to fill.
        self.sql("DROP INDEX " + ", ".join(f"tallyd.connection_logs_{name}" for name in ("organization", "organization_type", "owner", "workspace", "user", "type", "ongoing")))
        step = 100_000
        for first in range(0, entries, step):
            self.sql(
                "INSERT INTO tallyd.connection_logs (entry, id, organization_id, workspace_owner_id, workspace_id, workspace_name, agent_name, type, first_connect, last_connect, said_first, user_agent)"
                f" SELECT md5('e' || i)::uuid, md5('e' || i)::uuid, '{self.world.organization}', '{self.world.owner}', '{self.world.workspace}', 'dev', 'main', 'workspace_app',"
                f" to_timestamp(1.7e9 + i), to_timestamp(1.7e9 + i), decode(md5(i::text), 'hex'), 'Mozilla/5.0' FROM generate_series({first + 1}, {min(first + step, entries)}) i")
        self.sql("ANALYZE tallyd.connection_logs")

    def begin(self, parameters="", window=None):
        """An export of which only the head has been read."""
        connection = http.client.HTTPConnection(*self.daemon.address, timeout=30 * SLOWNESS)
        sock = socket.socket()
        if window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.connect(self.daemon.address)
        connection.sock = sock
        self.addCleanup(connection.close)
        connection.request("GET", LOG + parameters, headers={"Authorization": f"Bearer {self.logger}", "Accept": LINES})
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        return response

    def test_a_limit_an_offset_and_a_cursor_hold_for_an_export_too(self):
        self.send(self.client, [self.world.event(second, type="workspace_app") for second in range(2500)])
        self.settled(self.daemon.client(self.token(self.url)), 2500)
        all = self.lines()
        self.assertEqual(all, pages(self, self.client, limit=1000))
        for limit in (1, 999, 1000, 1001, 2000, 2499, 2500, 2501, 9_000_000_000):
            self.assertEqual(self.lines(f"?limit={limit}"), all[:limit], limit)
        self.assertEqual(self.lines("?offset=2498"), all[2498:])
        self.assertEqual(self.lines("?offset=700&limit=1200"), all[700:1900])
        self.assertEqual(self.lines("?offset=2500"), [])
        place = self.client.get(f"{LOG}?limit=300").json["next"]
        self.assertEqual(self.lines(f"?after={place}"), all[300:])
        self.assertEqual(self.lines(f"?after={place}&limit=1100"), all[300:1400])
        for wrong in ("limit=0", "limit=-1", "limit=x", "limit=99999999999999999999", "offset=-1", f"after={place}&offset=1", "count_cap=x"):
            self.assertEqual(self.client.get(f"{LOG}?{wrong}", Accept=LINES).status, 400, wrong)

    def test_lines_are_for_whoever_would_rather_have_them(self):
        self.send(self.client, [self.world.event(second, type="workspace_app") for second in range(3)])
        self.log(self.client, count=3)
        for accept in ("Application/X-NDJSON", "application/x-ndjson, */*;q=0.1", "application/json;q=0.5,application/x-ndjson;q=0.9"):
            self.assertEqual(len(self.lines(accept=accept)), 3, accept)
        for accept in ("application/json, application/x-ndjson;q=0", "application/json, application/x-ndjson;q=0.5", "*/*", ""):
            answer = self.client.get(LOG, Accept=accept)
            self.assertEqual((answer.status, answer.headers["Content-Type"], answer.json["count"]), (200, "application/json", 3), accept)

    @unittest.skipIf(SLOWNESS > 1, "a sanitizer keeps what was freed")
    def test_an_export_takes_no_more_memory_the_longer_it_is(self):
        self.fill(300_000)
        status = pathlib.Path(f"/proc/{self.daemon.process.pid}")

        def most_resident(limit):
            (status / "clear_refs").write_text("5")  # the high-water mark starts anew
            response, found = self.begin(f"?limit={limit}"), 0
            while piece := response.read(1 << 16):
                found += piece.count(b"\n")
            self.assertEqual(found, limit)
            return int(re.search(r"VmHWM:\s+(\d+) kB", (status / "status").read_text())[1])
        little = max(most_resident(5_000) for _ in range(3))
        much = most_resident(300_000)
        self.assertLess(much, little + 8 * 1024, "KiB")

    def test_whoever_reads_can_tell_that_the_database_went_away_half_way(self):
        self.fill(100_000)
        response = self.begin(window=64 * 1024)
        first = response.readline()
        server = type(self).postgres
        server.stop("immediate")
        try:
            with self.assertRaises((http.client.IncompleteRead, ConnectionError)) as cut:
                response.read()
        finally:
            server.start()
        self.assertTrue(json.loads(first)["id"])
        self.assertLess(getattr(cut.exception, "partial", b"").count(b"\n"), 100_000)
        eventually(lambda: any(entry.get("msg") == "an answer was cut short" for entry in self.daemon.entries()), "the log says so")
        eventually(lambda: self.client.get(LOG).status == 200, "the next one is answered", 30)

    def test_slow_readers_of_exports_keep_the_database_from_nobody(self):
        self.fill(100_000)
        # More of them than the daemon has connections to its database.
        slow = [self.begin(window=64 * 1024) for _ in range(20)]
        busy = lambda: int(self.sql(f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'tally' AND datname = '{self.database_name}' AND state <> 'idle'")[0][0])
        eventually(lambda: busy() == 0, "they are all waited for, and nothing is held meanwhile")
        began = time.monotonic()
        for _ in range(10):
            self.assertEqual(self.client.get(LOG).status, 200)
        self.send(self.client, self.world.event(1, connection_id=new_id()))
        self.log(self.client, "status:ongoing", 1)
        self.assertLess(time.monotonic() - began, 10 * SLOWNESS)
        for response in slow[:2]:
            self.assertEqual(response.read().count(b"\n"), 100_000, "as it was when it began")
