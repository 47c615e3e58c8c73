"""What an operator sees: metrics, readiness, logs, exit codes."""
import json
import shutil
import signal
import socket
import subprocess
import unittest

from harness.books import EVENTS
from harness.case import Case
from harness.client import Client
from harness.daemon import run_tallyd
from harness.waiting import eventually

LISTED = (
    "build_info", "http_requests_total", "http_request_duration_seconds", "http_connections", "ingest_events_total", "ingest_duplicates_total",
    "boundary_requests_total", "key_conflicts_total", "sequence_gap_total", "pending_events", "flush_duration_seconds", "flushes_total", "flush_last_success_timestamp_seconds", "journal_bytes",
    "journal_sync_duration_seconds", "journal_records_recovered_total", "db_connections", "db_errors_total", "authz_decisions_total", "reports_total",
    "usage_events_published_total", "usage_events_pending", "period")


class Metrics(Case):
    def setUp(self):
        super().setUp()
        self.url = self.database()
        self.daemon = self.replica(self.url)
        self.client = self.daemon.client(self.token(self.url))

    def text(self, accept="text/plain"):
        answer = self.client.get("/metrics", Accept=accept)
        self.assertEqual(answer.status, 200)
        return answer.headers["Content-Type"], answer.body.decode()

    def test_every_listed_metric_is_there_from_the_start(self):
        _, text = self.text()
        families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
        self.assertEqual([name for name in LISTED if f"tallyd_{name}" not in families], [])
        self.assertTrue({"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"} <= families)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed; run script/bootstrap")
    def test_promtool_finds_nothing_to_say(self):
        self.client.post(EVENTS, [event.event() for event in self.events().shared(5)])
        _, text = self.text()
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))

    def test_speaks_OpenMetrics_when_asked(self):
        content_type, text = self.text("application/openmetrics-text; version=1.0.0")
        self.assertTrue(content_type.startswith("application/openmetrics-text"), content_type)
        self.assertTrue(text.endswith("# EOF\n"))
        content_type, text = self.text()
        self.assertTrue(content_type.startswith("text/plain; version=0.0.4"), content_type)

    def test_PM_2_no_client_can_add_a_series(self):
        self.client.post(EVENTS, self.events().shared()[0].event())
        self.client.get("/api/v1/nothing/at-all")
        before = self.series()
        for n in range(30):
            self.client.post(EVENTS, self.events(n).fresh()[0].event())
            self.client.get(f"/api/v1/invented/{n}")
            self.client.get(f"/{n}")
            self.client.request("BREW", f"/pot/{n}")
        self.assertEqual(self.series() - before, set())

    def series(self):
        return {line.rsplit(" ", 1)[0] for line in self.text()[1].splitlines() if not line.startswith("#")}

    def test_figures_follow_what_happens(self):
        self.client.post(EVENTS, [event.event() for event in self.events().fresh(7)])
        self.settle(self.client)
        samples = self.daemon.metrics()
        self.assertEqual(sum(value for name, value in samples.items() if name.startswith('tallyd_boundary_requests_total{decision="allow')), 7)
        self.assertGreater(sum(value for name, value in samples.items() if name.startswith("tallyd_flushes_total")), 0)
        self.assertGreater(samples["tallyd_journal_bytes"], 0)


class Operations(Case):
    def test_readyz_has_a_line_for_each_check(self):
        daemon = self.replica(self.database())
        answer = daemon.client().get("/readyz")
        self.assertEqual(answer.status, 200)
        for check in ("journal", "journal_size", "database", "schema"):
            self.assertIn(f'"{check}"', answer.body.decode())

    def test_readyz_tells_strangers_neither_hosts_nor_users(self):
        daemon = self.replica("postgresql://secret-user@secret-host.invalid:1/secret-database")
        answer = daemon.client().get("/readyz")
        database = next(check for check in answer.json["checks"] if check["name"] == "database")
        self.assertEqual((answer.status, database["ok"]), (200, False), "ingest is accepted")
        self.assertEqual(database["detail"], "not reached, or it refuses; the log says why")
        eventually(lambda: any("secret-host" in entry.get("error", "") for entry in daemon.entries()), "the log says why")
        self.assertNotIn(b"secret", daemon.client().get("/readyz").body)

    def test_operations_can_be_put_on_a_listener_of_their_own(self):
        url = self.database()
        daemon = self.replica(url, metrics_listen="127.0.0.1:0")
        addresses = [entry["address"] for entry in daemon.entries() if entry.get("msg") == "listening"]
        self.assertEqual(len(addresses), 2)
        token = self.token(url)
        host, port = addresses[1].rsplit(":", 1)
        operations, main = Client(lambda: (host, int(port)), token), daemon.client(token)
        for path in ("/healthz", "/readyz", "/metrics", "/version"):
            self.assertEqual(operations.get(path).status, 200, path)
            self.assertEqual(main.get(path).status, 404, path)
        eventually(lambda: main.get("/api/v1/boundary-usage/summary").status == 200, "the API is at its own address")
        self.assertEqual(operations.get("/api/v1/boundary-usage/summary").status, 404)

    def test_listens_on_a_Unix_socket(self):
        path = self.directory / "tallyd.sock"
        self.replica(self.database(), listen=f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertTrue(sock.recv(100).startswith(b"HTTP/1.1 200"))

    def test_a_port_that_is_taken_ends_with_1_and_a_sentence(self):
        url = self.database()
        first = self.replica(url)
        second = self.replica(url, "second", start=False, listen=f"127.0.0.1:{first.address[1]}")
        second.launch()
        self.assertEqual(second.process.wait(30), 1)
        self.assertIn(str(first.address[1]), second.log_tail())

    def test_a_state_directory_that_cannot_be_written_ends_with_1(self):
        blocked = self.directory / "file"
        blocked.write_text("not a directory")
        daemon = self.replica(self.database(), "file", start=False)
        daemon.log = self.directory / "log"
        daemon.launch()
        self.assertEqual(daemon.process.wait(30), 1)
        self.assertIn(str(blocked), daemon.log_tail())

    def test_DJ_10_a_bad_flag_ends_with_2_before_anything_is_touched(self):
        state = self.directory / "state"
        result = run_tallyd("serve", "--state-dir", state, "--flush-interval", "soon", check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("flush-interval", result.stderr)
        self.assertFalse(state.exists())

    def test_plain_HTTP_beyond_loopback_must_be_said(self):
        daemon = self.replica(self.database(), start=False, listen="0.0.0.0:0")
        daemon.launch()
        self.assertIn(daemon.process.wait(30), (1, 2))
        self.assertIn("insecure-http", daemon.log_tail())

    def test_logs_are_JSON_objects_with_what_one_needs(self):
        url = self.database()
        daemon = self.replica(url)
        daemon.client(self.token(url)).post(EVENTS, b"x", {"Content-Type": "application/json"})
        daemon.stop()
        for line in daemon.log.read_text().splitlines():
            entry = json.loads(line)
            self.assertTrue({"ts", "level", "msg"} <= entry.keys(), line)

    def test_SIGHUP_is_survived(self):
        url = self.database()
        daemon = self.replica(url)
        daemon.signal(signal.SIGHUP)
        eventually(lambda: daemon.client().get("/healthz").status == 200, "it goes on")
        self.assertTrue(daemon.running)
