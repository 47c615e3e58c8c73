"""Usage events: each counts once by its id and reaches the collector, whatever fails on the way (UP-01 to UP-16, fault 23)."""
import json
import signal
import uuid

from harness.case import Case
from harness.collector import Collector
from harness.daemon import run_tallyd
from harness.waiting import eventually

USAGE = "/api/v1/usage-events"
FAST = {"publish_interval": "100ms", "publish_timeout": "1s"}


def usage(identity=None, count=1, kind="dc_managed_agents_v1", **more):
    return {"id": identity or str(uuid.uuid4()), "event_type": kind, "event_data": {"count": count}, **more}


class UsageCase(Case):
    def collector(self, *arguments):
        collector = Collector(*arguments).start()
        self.addCleanup(collector.stop)
        return collector

    def tokens(self, url):
        self.ingest, self.reader = self.token(url, "usage-collector"), self.token(url, "usage-publisher")

    def publisher(self, url, collector, name="a", **flags):
        return self.replica(url, name, publish_url=collector.events_url, **{**FAST, **flags})

    def send(self, daemon, events, **headers):
        answer = daemon.client(self.ingest).post(USAGE, events, headers=headers)
        self.assertEqual(answer.status, 202, answer)
        return [event["id"] for event in (events if isinstance(events, list) else [events])]

    def statuses(self):
        rows = self.postgres.sql(
            "SELECT CASE status WHEN 0 THEN 'pending' WHEN 1 THEN 'sending' WHEN 2 THEN 'published' WHEN 3 THEN 'rejected' WHEN 4 THEN 'expired' ELSE 'held' END,"
            " count(*) FROM tallyd.usage_events GROUP BY 1", self.database_name)
        return {status: int(count) for status, count in rows}

    def await_statuses(self, seconds=30.0, **wanted):
        def reached():
            self.assertEqual(self.statuses(), wanted)
            return True

        eventually(reached, f"the events are {wanted}\n{self._logs()}", seconds)

    def edit(self, sql):
        self.postgres.sql(sql, self.database_name)

    def events(self, daemon, query=""):
        answer = daemon.client(self.reader).get(USAGE + query)
        self.assertEqual(answer.status, 200, answer)
        return answer.json["usage_events"]

    def assert_each_taken(self, collector, ids, once=False):
        taken = collector.received()["usage_events"]
        self.assertEqual(sorted(taken), sorted(ids))
        self.assertTrue(all(len(entry["contents"]) == 1 for entry in taken.values()), "one content for each id")
        if once:
            self.assertEqual({entry["times"] for entry in taken.values()}, {1})


class UsageIngest(UsageCase):
    def test_an_event_counts_once_by_its_id_whoever_brings_it_in_how_often_UP_11(self):
        url = self.database()
        daemons = self.replicas(url, 3)
        self.tokens(url)
        beat = usage("hb_ai_seats_v1:2026-01-01T00", 7, "hb_ai_seats_v1")
        for _ in range(3):
            for daemon in daemons:
                self.send(daemon, beat)
        ids = self.send(daemons[0], [usage() for _ in range(20)])
        self.await_statuses(pending=21)
        self.send(daemons[1], [usage(identity, 2) for identity in ids])
        ledger = lambda: daemons[0].client(self.token(url)).get("/api/v1/ledger").json["usage_events"]  # noqa: E731
        eventually(lambda: ledger() == {"accepted": 49, "applied": 49, "unflushed": 0}, lambda: f"all are brought in: {ledger()}", 60)
        self.await_statuses(pending=21)
        shown = {event["id"]: event for event in self.events(daemons[2])}
        self.assertEqual({shown[identity]["event_data"]["count"] for identity in ids}, {1}, "the first one stays")
        self.assertEqual(shown[beat["id"]]["event_data"], {"count": 7})

    def test_every_form_of_body_is_taken(self):
        url = self.database()
        daemon = self.replica(url)
        self.tokens(url)
        client = daemon.client(self.ingest)
        lines = "\n".join(json.dumps(usage(f"line-{n}")) for n in range(2)).encode()
        cloud = {"specversion": "1.0", "type": "tallyd.usage.v1", "source": "/s", "id": "1", "data": usage("cloud-1")}
        binary = {"ce-specversion": "1.0", "ce-type": "tallyd.usage.v1", "ce-source": "/s", "ce-id": "2", "Content-Type": "application/json"}
        for body, headers in (
                (usage("one"), {}), ([usage("two")], {}), ([], {}), (lines, {"Content-Type": "application/x-ndjson"}),
                (json.dumps(cloud).encode(), {"Content-Type": "application/cloudevents+json"}),
                (json.dumps([{**cloud, "id": "3", "data": usage("cloud-3")}]).encode(), {"Content-Type": "application/cloudevents-batch+json"}),
                (json.dumps(usage("cloud-2")).encode(), binary)):
            self.assertEqual(client.post(USAGE, body, headers=headers).status, 202, body)
        self.await_statuses(pending=7)

    def test_what_is_no_event_is_refused_and_none_of_its_request_counts(self):
        url = self.database()
        daemon = self.replica(url)
        self.tokens(url)
        client = daemon.client(self.ingest)
        for wrong, pointer in (
                ({**usage(), "id": ""}, "/1/id"), ({**usage(), "id": "x" * 256}, "/1/id"), ({**usage(), "id": "a\u0000b"}, "/1/id"), ({**usage(), "id": 1}, "/1/id"),
                ({**usage(), "event_type": "Agents_v1"}, "/1/event_type"), ({**usage(), "event_type": "agents"}, "/1/event_type"),
                ({**usage(), "event_data": []}, "/1/event_data"), ({**usage(), "event_data": {}}, "/1/event_data/count"),
                (usage(count=0), "/1/event_data/count"), (usage(count=-1), "/1/event_data/count"), (usage(count=1.5), "/1/event_data/count"),
                (usage(created_at="yesterday"), "/1/created_at"), ({"id": "x"}, "/1/event_type")):
            answer = client.post(USAGE, [usage("good"), wrong])
            self.assertEqual(answer.status, 422, (wrong, answer))
            self.assertIn(pointer, [error["pointer"] for error in answer.json["errors"]], wrong)
        self.send(daemon, usage("é" * 255))
        self.await_statuses(pending=1)

    def test_only_who_may_sends_and_reads(self):
        url = self.database()
        daemon = self.replica(url)
        self.tokens(url)
        tracker = self.token(url)
        self.assertEqual(daemon.client(tracker).post(USAGE, usage()).status, 403)
        self.assertEqual(daemon.client(tracker).get(USAGE).status, 403)
        self.assertEqual(daemon.client(self.ingest).get(USAGE).status, 403)
        self.assertEqual(daemon.client().post(USAGE, usage()).status, 401)

    def test_the_list_is_paged_and_filtered(self):
        url = self.database()
        daemon = self.replica(url)
        self.tokens(url)
        for n in range(5):
            self.send(daemon, usage(f"e{n}", created_at=f"2026-01-0{n + 1}T00:00:00Z"))
            self.await_statuses(pending=n + 1)
        client = daemon.client(self.reader)
        page = client.get(USAGE + "?limit=3").json
        self.assertEqual([event["id"] for event in page["usage_events"]], ["e4", "e3", "e2"])
        last = client.get(f"{USAGE}?limit=3&before={page['next_before']}").json
        self.assertEqual([event["id"] for event in last["usage_events"]], ["e1", "e0"])
        self.assertNotIn("next_before", last)
        self.assertEqual(last["usage_events"][1], {
            "id": "e0", "event_type": "dc_managed_agents_v1", "event_data": {"count": 1}, "created_at": "2026-01-01T00:00:00.000000Z", "status": "pending",
            "attempts": 0})
        self.assertEqual(client.get(USAGE + "?status=held").json, {"usage_events": []})
        for query in ("status=lost", "limit=0", "limit=x", "before=x", "colour=red"):
            self.assertEqual(client.get(f"{USAGE}?{query}").status, 400, query)

    def test_events_survive_kill_9_and_a_database_that_is_away(self):
        url = self.database()
        daemon = self.replica(url)
        self.tokens(url)
        ids = self.send(daemon, [usage() for _ in range(10)])
        daemon.kill()
        daemon.start()
        ids += self.send(daemon, [usage() for _ in range(10)])
        daemon.kill()
        daemon.start()
        self.postgres.crash()
        ids += self.send(daemon, [usage() for _ in range(10)])
        daemon.kill()
        daemon.start()
        ids += self.send(daemon, [usage() for _ in range(10)])
        self.postgres.start()
        self.await_statuses(60, pending=40)
        self.assertEqual(sorted(event["id"] for event in self.events(daemon)), sorted(ids))


class Publishing(UsageCase):
    def test_events_reach_the_collector_oldest_first_in_batches_of_at_most_100(self):
        collector, url = self.collector(), self.database()
        daemon = self.replica(url)
        self.tokens(url)
        ids = self.send(daemon, [usage(f"e{n:03}", created_at=f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z") for n in reversed(range(250))])
        self.await_statuses(pending=250)
        daemon.stop()
        daemon.flags.update(publish_url=collector.events_url, **FAST)
        daemon.start()
        self.await_statuses(published=250)
        self.assert_each_taken(collector, ids, once=True)
        requests = collector.received()["requests"]
        self.assertEqual([len(request["events"]) for request in requests], [100, 100, 50])
        self.assertEqual([e for request in requests for e in request["events"]], sorted(ids))
        self.assertIn("X-Tallyd-Deployment-Id", requests[0]["headers"])
        self.assertNotIn("Transfer-Encoding", requests[0]["headers"])
        event = self.events(daemon, "?status=published&limit=1")[0]
        self.assertEqual((event["status"], event["attempts"]), ("published", 1))
        self.assertIn("published_at", event)
        eventually(lambda: daemon.metrics()['tallyd_usage_events_published_total{result="accepted"}'] == 250, "it is counted")

    def test_every_way_of_failing_ends_with_each_event_taken_fault_23_UP_02_UP_05_UP_09(self):
        collector, url = self.collector(), self.database()
        daemon = self.publisher(url, collector)
        self.tokens(url)
        ids = []
        for modes in (
                ["fail", "unavailable", "busy"], ["redirect", "reset", "accept_then_reset"], ["not_json", "truncated", "huge"],
                ["partial", "strangers", "repeat"], ["stall", "accept_then_stall", "reject_temporarily"]):
            collector.control(next=modes)
            ids += self.send(daemon, [usage() for _ in range(30)])
            self.await_statuses(60, published=len(ids))
            self.assert_each_taken(collector, ids)
        self.assertGreaterEqual(daemon.metrics()["tallyd_usage_events_strangers_total"], 1)

    def test_one_bad_event_in_a_thousand_holds_up_no_other_UP_06(self):
        collector, url = self.collector(), self.database()
        daemon = self.publisher(url, collector)
        self.tokens(url)
        collector.control(reject={"bad": "temporary", "worse": "permanent"})
        ids = self.send(daemon, [usage("bad", created_at="2020-01-01T00:00:00Z"), usage("worse", created_at="2020-01-01T00:00:00Z")])
        ids += self.send(daemon, [usage() for _ in range(998)])
        eventually(lambda: self.statuses().get("published") == 998, "all others are published", 30)
        self.assert_each_taken(collector, ids[2:])
        self.assertEqual(self.events(daemon, "?status=rejected")[0]["failure_message"], "refused (permanent)")
        collector.control(reject={})
        self.await_statuses(60, published=999, rejected=1)

    def test_an_event_that_the_collector_cannot_even_read_holds_up_no_other_UP_06(self):
        collector, url = self.collector(), self.database()
        daemon = self.publisher(url, collector)
        self.tokens(url)
        collector.control(reject={"poison": "whole"})
        ids = self.send(daemon, [usage(created_at="2020-01-01T00:00:00Z") for _ in range(40)] + [usage("poison", created_at="2020-01-01T00:00:01Z")] + [usage() for _ in range(159)])
        eventually(lambda: self.statuses().get("published") == 199, lambda: f"all others are published: {self.statuses()}", 90)
        self.assert_each_taken(collector, [identity for identity in ids if identity != "poison"], once=True)
        collector.control(reject={})
        self.await_statuses(60, published=200)

    def test_a_backlog_is_drained_at_one_tick_UP_07(self):
        collector, url = self.collector(), self.database()
        daemon = self.replica(url)
        self.tokens(url)
        ids = self.send(daemon, [usage() for _ in range(1050)])
        self.await_statuses(pending=1050)
        daemon.stop()
        daemon.flags.update(publish_url=collector.events_url, publish_interval="17m")
        daemon.start()
        self.await_statuses(60, published=1050)
        self.assert_each_taken(collector, ids, once=True)

    def test_a_permanent_rejection_is_visible_and_goes_out_again_when_requeued_UP_04(self):
        collector, url = self.collector(), self.database()
        daemon = self.publisher(url, collector)
        self.tokens(url)
        collector.control(reject={"bad": "permanent"})
        self.send(daemon, usage("bad"))
        self.await_statuses(rejected=1)
        eventually(lambda: daemon.metrics()['tallyd_usage_events_unpublished{status="rejected"}'] == 1, "the gauge shows it")
        listed = json.loads(run_tallyd("usage-events", "--status", "rejected", "--output", "json", "--database-url", url).stdout)
        self.assertEqual([event["id"] for event in listed["usage_events"]], ["bad"])
        collector.control(reject={})
        self.assertEqual(run_tallyd("usage-events", "requeue", "bad", "--database-url", url).stdout, "1 event is pending again\n")
        self.await_statuses(published=1)
        result = run_tallyd("usage-events", "requeue", "bad", "--database-url", url, check=False)
        self.assertEqual(result.returncode, 1, "published is final")
        ((action,),) = self.postgres.sql("SELECT action FROM tallyd.audit_log WHERE action LIKE 'requeue%'", self.database_name)
        self.assertEqual(action, "requeue_usage_events")

    def test_an_unknown_type_is_held_and_goes_out_once_requeued_UP_13(self):
        collector, url = self.collector(), self.database()
        daemon = self.publisher(url, collector)
        self.tokens(url)
        self.send(daemon, [usage("new", kind="dc_something_else_v9", event_data={"anything": [1, {"x": None}]}), usage("old")])
        self.await_statuses(held=1, published=1)
        self.assertIn("unknown type", self.events(daemon, "?status=held")[0]["failure_message"])
        run_tallyd("usage-events", "requeue", "--status", "held", "--database-url", url)
        self.await_statuses(published=2)
        self.assertEqual(collector.received()["usage_events"]["new"]["contents"][0]["event_data"], {"anything": [1, {"x": None}]})

    def test_a_retry_after_is_honoured_UP_07(self):
        collector, url = self.collector(), self.database()
        daemon = self.publisher(url, collector)
        self.tokens(url)
        collector.control(next=["busy"])
        self.send(daemon, [usage() for _ in range(3)])
        self.await_statuses(published=3)
        first, second = [request["at"] for request in collector.received()["requests"]][:2]
        self.assertGreaterEqual(second - first, 1.0)

    def test_what_waited_too_long_is_expired_and_what_is_unknown_for_too_long_is_held_UP_03(self):
        collector, url = self.collector(), self.database()
        daemon = self.replica(url)
        self.tokens(url)
        self.send(daemon, [usage("waited"), usage("unknown"), usage("backfilled", created_at="2020-01-01T00:00:00Z")])
        self.await_statuses(pending=3)
        daemon.stop()
        self.edit("UPDATE tallyd.usage_events SET received_at = now() - interval '2 h' WHERE id = 'waited'")
        self.edit("UPDATE tallyd.usage_events SET status = 1, attempts = 1, leased_until = now(), unknown_since = now() - interval '2 h' WHERE id = 'unknown'")
        # Nothing is published before the first sweep, as if the collector had been away all the time.
        collector.control(then="fail")
        daemon.flags.update(publish_url=collector.events_url, collector_dedup_window="1h", **FAST)
        daemon.start()
        eventually(lambda: self.statuses().get("expired") == 1 and self.statuses().get("held") == 1, "they came to rest", 30)
        collector.control(then="accept")
        self.await_statuses(60, expired=1, held=1, published=1)
        eventually(lambda: daemon.metrics()['tallyd_usage_events_unpublished{status="expired"}'] == 1, "the gauge shows it")
        self.assertEqual(daemon.metrics()['tallyd_usage_events_published_total{result="held"}'], 1)

    def test_the_health_line_says_since_when_publishing_fails_and_old_events_are_no_alarm_UP_10(self):
        collector, url = self.collector(), self.database()
        daemon = self.publisher(url, collector)
        self.tokens(url)

        def check():
            answer = daemon.client().get("/readyz")
            self.assertEqual(answer.status, 200, "ingest does not need it")
            return next(check for check in answer.json["checks"] if check["name"] == "usage_events")

        self.send(daemon, usage(created_at="2020-01-01T00:00:00Z"))
        self.await_statuses(published=1)
        eventually(lambda: check()["ok"] and check()["detail"].startswith("0 pending"), "an old event is no alarm", 30)
        collector.control(then="fail")
        self.send(daemon, usage())
        eventually(lambda: not check()["ok"], "the check fails", 30)
        self.assertRegex(check()["detail"], r"^failing since 20\d\d-.*: answered 500; 1 pending, 0 rejected, 0 expired, 0 held$")
        collector.control(then="accept")
        self.await_statuses(60, published=2)
        eventually(lambda: check()["ok"], "the check is quiet again", 30)

    def test_without_a_collector_publishing_is_paused_and_says_so_and_the_backlog_drains_in_order_UP_16(self):
        collector, url = self.collector(), self.database()
        daemon = self.replica(url)
        self.tokens(url)
        ids = self.send(daemon, [usage() for _ in range(120)])

        def detail():
            return next(check for check in daemon.client().get("/readyz").json["checks"] if check["name"] == "usage_events")

        eventually(lambda: detail()["ok"] and detail()["detail"].startswith("paused, there is no --publish-url; 120 pending"), "it says so", 30)
        eventually(lambda: daemon.metrics()["tallyd_usage_events_pending"] == 120, "the gauge shows them")
        daemon.stop()
        daemon.flags.update(publish_url=collector.events_url, **FAST)
        daemon.start()
        self.await_statuses(published=120)
        self.assert_each_taken(collector, ids, once=True)

    def test_a_token_that_is_replaced_is_used_at_once_and_never_logged(self):
        token_file = self.directory / "token"
        token_file.write_text("0ld-secret")
        collector, url = self.collector("--token", "n3w-secret"), self.database()
        daemon = self.publisher(url, collector, publish_token_file=token_file)
        self.tokens(url)
        self.send(daemon, usage())
        eventually(lambda: collector.received()["requests"], "it was refused")
        token_file.write_text("n3w-secret\n")
        self.await_statuses(60, published=1)
        self.assertNotIn("-secret", daemon.log_tail(1000))

    def test_the_license_goes_along_and_is_never_logged_or_listed(self):
        license_file = self.directory / "license"
        license_file.write_text("paid-until-2030\n")
        collector, url = self.collector("--license", "paid-until-2030"), self.database()
        daemon = self.publisher(url, collector, publish_license_file=license_file)
        self.tokens(url)
        self.send(daemon, usage())
        self.await_statuses(60, published=1)
        self.assertIn("X-Tallyd-Deployment-Id", collector.received()["requests"][0]["headers"])
        self.assertNotIn("paid-until", daemon.log_tail(1000))


class PublishingFromSeveralReplicas(UsageCase):
    def test_three_replicas_a_collector_that_fails_in_every_way_and_two_kills_take_each_event_once_by_id_fault_23(self):
        collector, url = self.collector(), self.database()
        daemons = [self.publisher(url, collector, name) for name in "abc"]
        self.tokens(url)
        kinds = ["fail", "unavailable", "busy", "redirect", "reset", "accept_then_reset", "not_json", "truncated", "huge", "partial", "strangers", "repeat", "stall",
                 "accept_then_stall", "reject_temporarily", "accept", "accept"]
        collector.control(next=self.random.sample(kinds, len(kinds)))
        ids = []
        for turn in range(12):
            for daemon in daemons:
                ids += self.send(daemon, [usage() for _ in range(25)])
            if turn in (3, 8):
                victim = daemons[turn % 3]
                victim.kill()
                victim.start()

        def every_way_was_met():
            ids.extend(self.send(daemons[len(ids) % 3], usage()))
            return set(kinds) <= {request["mode"] for request in collector.received()["requests"]}

        eventually(every_way_was_met, "the collector has failed in every way", 90)
        self.await_statuses(120, published=len(ids))
        self.assert_each_taken(collector, ids)

    def test_a_replica_that_dies_while_it_sends_is_followed_within_its_lease_UP_01(self):
        collector, url = self.collector(), self.database()
        first = self.publisher(url, collector, "a", publish_timeout="14s")
        self.tokens(url)
        collector.control(next=["accept_then_stall"])
        ids = self.send(first, [usage() for _ in range(5)])
        eventually(lambda: collector.received()["requests"], "they are on their way")
        first.kill()
        self.publisher(url, collector, "b")
        self.await_statuses(30, published=5)
        self.assert_each_taken(collector, ids)

    def test_a_publisher_that_was_paused_past_its_lease_does_no_harm_when_it_wakes(self):
        collector, url = self.collector(), self.database()
        first = self.publisher(url, collector, "a", publish_timeout="14s")
        self.tokens(url)
        collector.control(next=["stall"])
        ids = self.send(first, [usage() for _ in range(5)])
        eventually(lambda: collector.received()["requests"], "they are on their way")
        first.signal(signal.SIGSTOP)
        self.publisher(url, collector, "b")
        self.await_statuses(30, published=5)
        first.signal(signal.SIGCONT)
        ids += self.send(first, usage())
        self.await_statuses(published=6)
        self.assert_each_taken(collector, ids, once=True)
