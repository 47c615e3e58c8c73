"""Closed periods reach --report-url: every one, each with one body, whatever fails on the way (BU-12 to BU-16, fault 23)."""
import hashlib
import hmac
import json
import os
import signal
import subprocess

from harness.books import Traffic
from harness.case import Case, moment
from harness.collector import Collector
from harness.waiting import eventually


class ReportCase(Case):
    def collector(self, *arguments):
        collector = Collector(*arguments).start()
        self.addCleanup(collector.stop)
        return collector

    def close_some(self, client, token_events, count):
        """Closes `count` periods with something in each; answers their reports as they were answered."""
        reports = []
        for _ in range(count):
            client.post("/api/v1/boundary-usage/events", [event.event() for event in token_events.fresh(3)])
            answer = self.close(client)
            self.assertEqual(answer.status, 201, answer)
            reports.append(answer)
        return reports

    def await_delivered(self, collector, reports, seconds=30.0):
        """Every report arrived under its key, and never with another body than the one that the API answers."""

        def arrived():
            taken = collector.received()["reports"]
            missing = [key_of(report.json) for report in reports if key_of(report.json) not in taken]
            self.assertEqual(missing, [])
            return taken

        taken = eventually(arrived, "all reports were delivered", seconds)
        for report in reports:
            self.assertEqual(taken[key_of(report.json)]["bodies"], [report.body.decode()])
        return taken

    def undelivered(self):
        ((count,),) = self.postgres.sql("SELECT count(*) FROM tallyd.boundary_usage_reports WHERE delivered_at IS NULL", self.database_name)
        return int(count)


def key_of(report):
    return f"{report['cluster_id']}/{report['period']}"


class ReportDelivery(ReportCase):
    def test_a_closed_period_is_posted_once_with_its_key_and_the_bytes_of_the_api(self):
        collector, url = self.collector(), self.database()
        daemon, token = self.replica(url, report_url=collector.reports_url), self.token(url)
        reports = self.close_some(daemon.client(token), self.events(), 3)
        taken = self.await_delivered(collector, reports)
        eventually(lambda: self.undelivered() == 0, "the rows say so")
        self.assertEqual([entry["times"] for entry in taken.values()], [1, 1, 1])
        eventually(lambda: daemon.metrics()['tallyd_reports_total{result="delivered"}'] == 3, "it is counted")
        request = collector.received()["requests"][0]["headers"]
        self.assertEqual(request["Content-Type"], "application/json")
        self.assertTrue(request["User-Agent"].startswith("tallyd/"))

    def test_every_way_of_failing_ends_in_one_accepted_report_fault_23(self):
        collector, url = self.collector(), self.database()
        daemon, token = self.replica(url, report_url=collector.reports_url), self.token(url)
        reports, events = [], self.events()
        for modes in (["fail", "unavailable", "busy"], ["reject", "redirect", "reset"], ["accept_then_reset", "truncated", "not_json", "huge"]):
            collector.control(next=modes)
            reports += self.close_some(daemon.client(token), events, 2)
            self.await_delivered(collector, reports, 60)
            eventually(lambda: self.undelivered() == 0, "the rows say so", 30)

    def test_a_collector_that_hangs_holds_nothing_up_for_longer_than_its_time(self):
        collector, url = self.collector(), self.database()
        daemon, token = self.replica(url, report_url=collector.reports_url), self.token(url)
        collector.control(next=["stall", "accept_then_stall"])
        reports = self.close_some(daemon.client(token), self.events(), 2)
        self.await_delivered(collector, reports, 60)
        self.assertEqual(self.summary(daemon.client(token))["period"], reports[-1].json["period"] + 1, "counting went on")

    def test_a_report_that_is_refused_delays_no_other_and_waits_as_told(self):
        collector, url = self.collector(), self.database()
        daemon, token = self.replica(url, report_url=collector.reports_url), self.token(url)
        collector.control(next=["busy"])
        reports = self.close_some(daemon.client(token), self.events(), 3)
        self.await_delivered(collector, reports)
        first = key_of(reports[0].json)
        times = [request["at"] for request in collector.received()["requests"] if request["key"] == first]
        self.assertGreaterEqual(times[1] - times[0], 1.0, "Retry-After: 1")

    def test_the_health_line_says_since_when_delivery_fails_and_is_quiet_again(self):
        collector, url = self.collector(), self.database()
        daemon, token = self.replica(url, report_url=collector.reports_url), self.token(url)
        collector.control(then="fail")
        reports = self.close_some(daemon.client(token), self.events(), 1)

        def check():
            answer = daemon.client().get("/readyz")
            self.assertEqual(answer.status, 200, "ingest does not need it")
            return next(check for check in answer.json["checks"] if check["name"] == "report_delivery")

        eventually(lambda: not check()["ok"], "the check fails")
        self.assertRegex(check()["detail"], r"^failing since 20\d\d-.*Z, 1 not delivered: answered 500")
        eventually(lambda: daemon.metrics()["tallyd_reports_undelivered"] == 1, "the gauge shows it")
        collector.control(then="accept")
        self.await_delivered(collector, reports, 60)
        eventually(lambda: check()["ok"], "the check is quiet again")
        eventually(lambda: daemon.metrics()["tallyd_reports_undelivered"] == 0, "the gauge too")

    def test_a_stop_does_not_wait_for_a_collector_that_hangs(self):
        collector, url = self.collector(), self.database()
        daemon, token = self.replica(url, report_url=collector.reports_url), self.token(url)
        collector.control(then="stall")
        self.close_some(daemon.client(token), self.events(), 1)
        eventually(lambda: collector.received()["requests"], "the report is on its way")
        self.assertEqual(daemon.stop(8), 0)

    def test_reports_of_before_the_url_was_given_are_delivered_too(self):
        collector, url = self.collector(), self.database()
        daemon, token = self.replica(url), self.token(url)
        reports = self.close_some(daemon.client(token), self.events(), 3)
        daemon.stop()
        daemon.flags["report_url"] = collector.reports_url
        daemon.start()
        self.await_delivered(collector, reports)


class ReportsFromSeveralReplicas(ReportCase):
    def test_three_replicas_a_failing_collector_and_two_kills_deliver_each_report_with_one_body_BU_12_BU_13(self):
        collector, url = self.collector(), self.database()
        daemons, token, books = self.replicas(url, 3, report_url=collector.reports_url), self.token(url), self.books()
        kinds = ["fail", "reset", "accept_then_reset", "busy", "truncated", "not_json", "accept", "accept", "accept"]
        collector.control(next=[self.random.choice(kinds) for _ in range(60)])
        client = daemons[0].client(token)
        reports = []
        with Traffic(books, daemons, token, self.seed, threads=3, make=lambda events: events.fresh(events.random.randrange(1, 4)), pause=0.005):
            for turn in range(12):
                before = books.statuses[202]
                eventually(lambda: books.statuses[202] > before + 10, "there is load")
                reports.append(self.close(client))
                self.assertEqual(reports[-1].status, 201)
                if turn in (3, 7):
                    victim = daemons[1 + turn % 2]
                    victim.kill()
                    victim.start()
        self.await_delivered(collector, reports, 90)
        eventually(lambda: self.undelivered() == 0, "the rows say so", 60)
        delivered = collector.received()["reports"]
        self.assertTrue(all(len(entry["bodies"]) == 1 for entry in delivered.values()), "one body under each key")
        self.assert_sums_exact(client, books, fresh=True)
        sums = [json.loads(entry["bodies"][0])["allowed_requests"] for entry in delivered.values()]
        self.assertEqual(sum(sums) + self.summary(client)["allowed_requests"], self.total(client).allowed)

    def test_a_replica_that_dies_with_the_report_on_its_way_is_followed_by_another_BU_12(self):
        collector, url = self.collector(), self.database()
        first, second = self.replicas(url, 2, report_url=collector.reports_url)
        token = self.token(url)
        collector.control(next=["accept_then_stall"])
        second.signal(signal.SIGSTOP)
        reports = self.close_some(first.client(token), self.events(), 1)
        eventually(lambda: collector.received()["requests"], "the report is on its way")
        first.kill()
        second.signal(signal.SIGCONT)
        eventually(lambda: self.undelivered() == 0, "another replica delivered it", 40)
        entry = self.await_delivered(collector, reports)[key_of(reports[0].json)]
        self.assertEqual(entry["times"], 2, "sent again under the same key")

    def test_a_reporter_that_was_paused_past_its_lease_does_no_harm_when_it_wakes(self):
        collector, url = self.collector(), self.database()
        first, second = self.replicas(url, 2, report_url=collector.reports_url)
        token = self.token(url)
        collector.control(next=["stall"])
        second.signal(signal.SIGSTOP)
        reports = self.close_some(first.client(token), self.events(), 1)
        eventually(lambda: collector.received()["requests"], "the report is on its way")
        first.signal(signal.SIGSTOP)
        second.signal(signal.SIGCONT)
        eventually(lambda: self.undelivered() == 0, "the other replica delivered it", 40)
        first.signal(signal.SIGCONT)
        reports += self.close_some(first.client(token), self.events("later"), 2)
        taken = self.await_delivered(collector, reports)
        self.assertEqual([entry["times"] for entry in taken.values()], [1, 1, 1])

    def test_replicas_whose_clocks_differ_by_hours_close_and_deliver_each_period_once_BU_16(self):
        collector, url = self.collector(), self.database()
        library = faketime()
        token = self.token(url)
        daemons = []
        for name, shift in (("a", "-1h"), ("b", "+0"), ("c", "+1h")):
            wrapper = ["env", f"LD_PRELOAD={library}", f"FAKETIME={shift}", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1"]
            daemons.append(self.replica(url, name, wrapper=wrapper, period="1s", report_url=collector.reports_url))
        books = self.books()
        with Traffic(books, daemons, token, self.seed, threads=2, make=lambda events: events.fresh(2), pause=0.01):
            eventually(lambda: len(collector.received()["reports"]) >= 5, "five periods were closed and delivered", 60)
        client = daemons[1].client(token)
        self.settle(client)
        reports = self.reports(client)
        periods = [report["period"] for report in reports]
        self.assertEqual(periods, list(range(1, len(periods) + 1)), "dense, each once")
        for report in reports:
            took = (moment(report["ended_at"]) - moment(report["started_at"])).total_seconds()
            self.assertTrue(1.0 <= took < 20, f"closed by the database's clock: {report}")
        delivered = collector.received()["reports"]
        self.assertTrue(all(len(entry["bodies"]) == 1 for entry in delivered.values()))

    def test_a_report_says_what_each_replica_brought_and_from_when_to_when_BU_15(self):
        url = self.database()
        daemons, token, events = self.replicas(url, 3), self.token(url), self.events()
        for number, daemon in enumerate(daemons):
            daemon.client(token).post("/api/v1/boundary-usage/events", [event.event() for event in events.fresh(number + 1)])
        self.settle(daemons[0].client(token))
        report = self.close(daemons[0].client(token)).json
        coverage = report["coverage"]
        self.assertEqual(sorted(entry["allowed_requests"] for entry in coverage), [1, 2, 3])
        for entry in coverage:
            self.assertLessEqual(moment(report["started_at"]), moment(entry["first_batch_at"]))
            self.assertLessEqual(moment(entry["first_batch_at"]), moment(entry["last_batch_at"]))
            self.assertLessEqual(moment(entry["last_batch_at"]), moment(report["ended_at"]))


class ReportCredentials(ReportCase):
    def test_reports_carry_the_bearer_token_and_a_signature_and_a_new_token_is_used_at_once(self):
        token_file, key_file = self.directory / "token", self.directory / "key"
        token_file.write_text("s3cret-token\n")
        key_file.write_bytes(b"the key\n")
        collector, url = self.collector("--token", "s3cret-token", "--hmac-key-file", key_file), self.database()
        daemon = self.replica(url, report_url=collector.reports_url, report_token_file=token_file, report_hmac_key_file=key_file)
        token = self.token(url)
        reports = self.close_some(daemon.client(token), self.events(), 1)
        self.await_delivered(collector, reports)
        signature = collector.received()["requests"][0]["headers"]["X-Tallyd-Signature"]
        self.assertEqual(signature, "sha256=" + hmac.new(b"the key", reports[0].body, hashlib.sha256).hexdigest())
        token_file.write_text("another")
        reports = self.close_some(daemon.client(token), self.events("later"), 1)
        eventually(lambda: collector.received()["requests"][-1]["mode"] == "refused", "the new token went out and is refused")
        token_file.write_text("s3cret-token")
        self.await_delivered(collector, reports)
        self.assertNotIn("s3cret", daemon.log_tail(1000))

    def test_without_its_credential_nothing_is_sent_and_the_log_says_why(self):
        collector, url = self.collector(), self.database()
        missing = self.directory / "nowhere"
        daemon, token = self.replica(url, report_url=collector.reports_url, report_token_file=missing), self.token(url)
        reports = self.close_some(daemon.client(token), self.events(), 1)
        eventually(lambda: any("nowhere" in str(entry.get("error")) for entry in daemon.entries()), "the log names the file")
        self.assertEqual(collector.received()["requests"], [])
        missing.write_text("token")
        self.await_delivered(collector, reports, 60)

    def test_a_certificate_is_checked_against_the_trusted_authorities_and_the_name(self):
        authority, good = self.certificates("127.0.0.1")
        _, wrong = self.certificates("192.0.2.1", authority)
        for certificate, trusted, accepted in ((good, authority, True), (good, None, False), (wrong, authority, False)):
            with self.subTest(certificate=certificate, trusted=trusted):
                collector, url = self.collector("--cert", certificate[0], "--key", certificate[1]), self.database()
                wrapper = ["env", f"SSL_CERT_FILE={trusted[0] if trusted else '/dev/null'}", "SSL_CERT_DIR=/nonexistent"]
                daemon = self.replica(url, f"r{self._databases}", wrapper=wrapper, report_url=collector.reports_url)
                token = self.token(url)
                reports = self.close_some(daemon.client(token), self.events(), 1)
                if accepted:
                    eventually(lambda: self.undelivered() == 0, "delivered over TLS")
                else:
                    refused = eventually(lambda: next((e for e in daemon.entries() if "not accepted" in e["msg"]), None), "it is refused and said")
                    self.assertIn("TLS", refused["error"])
                    self.assertEqual(self.undelivered(), 1, reports)
                daemon.stop()

    def certificates(self, address, authority=None):
        """An authority and a certificate of its making for `address`, as (certificate, key) files."""
        count = len(list(self.directory.glob("*.pem")))

        def files(name):
            return self.directory / f"{name}{count}.pem", self.directory / f"{name}{count}.key"

        def openssl(*arguments):
            subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=self.directory)

        if authority is None:
            authority = files("ca")
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=test authority", "-days", "1",
                    "-out", authority[0], "-keyout", authority[1])
        certificate = files("leaf")
        request = self.directory / "request.csr"
        extensions = self.directory / "extensions"
        extensions.write_text(f"subjectAltName=IP:{address}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=collector", "-out", request, "-keyout", certificate[1])
        openssl("x509", "-req", "-in", request, "-CA", authority[0], "-CAkey", authority[1], "-CAcreateserial", "-days", "1", "-extfile", extensions,
                "-out", certificate[0])
        return authority, certificate



def faketime():
    for directory in ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime"):
        library = os.path.join(directory, "libfaketimeMT.so.1")
        if os.path.exists(library):
            return library
    raise AssertionError("libfaketime is missing: script/bootstrap test")
