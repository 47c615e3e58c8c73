"""The main road: events in, summary, report, and what a client sees on it."""
import json
import uuid

from harness.books import EVENTS, REPORTS, SUMMARY, Figures, Increment
from harness.case import Case, moment
from harness.daemon import run_tallyd
from harness.waiting import eventually


def an_event(**changes):
    event = {"workspace_id": str(uuid.uuid4()), "owner_id": str(uuid.uuid4()), "allowed": 1, "denied": 0}
    event.update(changes)
    return event


class FirstBoot(Case):
    own_server = True

    def test_fault_11_starts_with_the_database_down_and_serves_once_it_is_up(self):
        url = self.database(migrated=False)
        self.postgres.stop()
        daemon = self.replica(url)
        client = daemon.client("tly_0123456789_" + "a" * 43)
        self.assertEqual(client.get("/healthz").status, 200)
        self.assertEqual(client.get("/version").status, 200)
        self.assertEqual(client.post(EVENTS, an_event()).status, 503, "a token never seen, while nobody can look it up")

        self.postgres.start()
        token = eventually(lambda: self._try_token(url), "the daemon makes the schema", 60)  # attempts are up to 30 s apart
        client = daemon.client(token)
        books = self.books()
        self.assertEqual(books.send(client, self.events().shared(3)).status, 202)
        self.assert_exact(client, books)

    def _try_token(self, url):
        result = run_tallyd("token", "create", "--subject", "boundary-usage-tracker", "--database-url", url, check=False)
        return result.returncode == 0 and result.stdout.strip()

    def test_a_second_boot_with_the_database_down_takes_known_tokens(self):
        url = self.database()
        token = self.token(url)
        daemon = self.replica(url)
        books = self.books()
        self.assertEqual(books.send(daemon.client(token), self.events(1).shared()).status, 202)
        self.assertEqual(daemon.stop(), 0)

        self.postgres.stop()
        daemon.start()
        client = daemon.client(token)
        self.assertEqual(books.send(client, self.events(2).shared(5)).status, 202)
        self.assertEqual(client.get("/readyz").status, 200, "ingest is accepted")
        self.postgres.start()
        self.assert_exact(client, books)


class Ingest(Case):
    def setUp(self):
        super().setUp()
        self.url = self.database()
        self.daemon = self.replica(self.url)
        self.client = self.daemon.client(self.token(self.url))

    def figures(self):
        return Figures.of(self.summary(self.client))

    def eventually_figures(self, expected):
        eventually(lambda: self.figures() == expected or None, f"{expected}", 15)

    def test_takes_one_event(self):
        answer = self.client.post(EVENTS, an_event(allowed=3, denied=2))
        self.assertEqual((answer.status, answer.json), (202, {"accepted": 1}))
        self.eventually_figures(Figures(3, 2, 1, 1))

    def test_takes_an_array(self):
        answer = self.client.post(EVENTS, [an_event(allowed=1), an_event(allowed=2), an_event(allowed=4)])
        self.assertEqual((answer.status, answer.json), (202, {"accepted": 3}))
        self.eventually_figures(Figures(7, 0, 3, 3))

    def test_takes_ndjson_and_skips_empty_lines(self):
        lines = "\n".join(["", json.dumps(an_event(allowed=1)), "", json.dumps(an_event(denied=2)), ""])
        answer = self.client.post(EVENTS, lines.encode(), {"Content-Type": "application/x-ndjson"})
        self.assertEqual((answer.status, answer.json), (202, {"accepted": 2}))
        self.eventually_figures(Figures(2, 2, 2, 2))

    def test_BU_22_zero_counts_mark_the_ids_as_seen(self):
        self.assertEqual(self.client.post(EVENTS, an_event(allowed=0, denied=0)).status, 202)
        self.eventually_figures(Figures(0, 0, 1, 1))

    def test_one_count_may_be_left_out(self):
        event = an_event(denied=4)
        del event["allowed"]
        self.assertEqual(self.client.post(EVENTS, event).status, 202)
        self.eventually_figures(Figures(0, 4, 1, 1))

    def test_letter_case_of_an_id_does_not_matter(self):
        event = an_event()
        upper = dict(event, workspace_id=event["workspace_id"].upper(), owner_id=event["owner_id"].upper())
        self.assertEqual(self.client.post(EVENTS, [event, upper]).status, 202)
        self.eventually_figures(Figures(2, 0, 1, 1))

    def test_unknown_members_are_ignored(self):
        self.assertEqual(self.client.post(EVENTS, an_event(extra={"deep": [1, 2]}, time="2026-01-01T00:00:00Z")).status, 202)
        self.eventually_figures(Figures(1, 0, 1, 1))

    def test_the_largest_counts_do_not_overflow_a_sum(self):
        most = 2**53 - 1
        body = [an_event(allowed=most, denied=most) for _ in range(1000)]
        for _ in range(3):
            self.assertEqual(self.client.post(EVENTS, body).status, 202)
        self.eventually_figures(Figures(3000 * most, 3000 * most, 1000, 1000))

    def test_BU_04_nothing_vanishes_while_a_flush_is_under_way(self):
        books, events = self.books(), self.events()
        for _ in range(500):
            self.assertEqual(books.send(self.client, events.shared(2)).status, 202)
        self.assert_exact(self.client, books)

    def test_BU_07_ids_of_every_interval_stay_in_the_period(self):
        books, events = self.books(), self.events(workspaces=100, users=100)
        books.send(self.client, events.shared(400))
        self.settle(self.client)
        for _ in range(3):
            books.send(self.client, events.shared(3))
            self.settle(self.client)
        self.assert_exact(self.client, books)

    def test_every_answer_carries_a_request_id(self):
        self.assertTrue(self.client.get("/healthz").headers["X-Request-Id"])
        self.assertEqual(self.client.get("/healthz", **{"X-Request-Id": "mine-42"}).headers["X-Request-Id"], "mine-42")
        self.assertNotEqual(self.client.get("/healthz", **{"X-Request-Id": "x" * 4000}).headers["X-Request-Id"], "x" * 4000)

    def test_the_summary_names_its_period_and_its_age(self):
        self.client.post(EVENTS, an_event())
        self.settle(self.client)
        summary = self.summary(self.client)
        self.assertLessEqual(moment(summary["started_at"]), moment(summary["as_of"]))
        self.assertEqual(summary["replicas"], 1)


class Closing(Case):
    def setUp(self):
        super().setUp()
        self.url = self.database()
        self.daemon = self.replica(self.url)
        self.client = self.daemon.client(self.token(self.url))

    def test_BU_01_a_close_is_one_report_and_a_new_period(self):
        books = self.books()
        books.send(self.client, self.events().shared(10))
        self.assert_exact(self.client, books)
        period = self.summary(self.client)["period"]

        first = self.close(self.client, period)
        self.assertEqual(first.status, 201, first)
        self.assertEqual(first.headers["Location"], f"{REPORTS}/{period}")
        self.assertEqual(Figures.of(first.json), books.least())
        self.assertEqual((first.json["period"], first.json["late_increments"], first.json["discarded"], first.json["schema"]), (period, 0, False, 1))
        self.assertLess(moment(first.json["started_at"]), moment(first.json["ended_at"]))

        again = self.close(self.client, period)
        self.assertEqual((again.status, again.body), (200, first.body))
        self.assertEqual(self.client.get(f"{REPORTS}/{period}").body, first.body)
        summary = self.summary(self.client)
        self.assertEqual((summary["period"], Figures.of(summary)), (period + 1, Figures()))

    def test_any_other_period_is_a_conflict(self):
        period = self.summary(self.client)["period"]
        for other in (period + 1, period + 1000):
            self.assertEqual(self.close(self.client, other).status, 409)
        self.assertEqual(self.summary(self.client)["period"], period)

    def test_BU_03_an_idle_period_reports_nothing(self):
        self.client.post(EVENTS, an_event(allowed=5))
        eventually(lambda: self.summary(self.client)["allowed_requests"] == 5, "it is flushed")
        self.assertEqual(Figures.of(self.close(self.client).json), Figures(5, 0, 1, 1))
        idle = self.close(self.client)
        self.assertEqual((idle.status, Figures.of(idle.json), idle.json["replicas"]), (201, Figures(), 0))

    def test_BU_02_BU_05_BU_06_every_period_starts_from_nothing_and_keeps_its_own(self):
        events, expected = self.events(), []
        for _ in range(4):
            books = self.books()
            for _ in range(3):
                books.send(self.client, events.shared(4))
                self.settle(self.client)
            expected.append(books.least())
            self.assertEqual(Figures.of(self.close(self.client).json), expected[-1])
        self.assertEqual([Figures.of(report) for report in self.reports(self.client)], expected)

    def test_BU_14_unflushed_events_are_in_the_next_period_not_lost(self):
        daemon = self.replica(self.url, "slow", flush_interval="1h")
        slow = daemon.client(self.token(self.url))
        books = self.books()
        books.send(slow, self.events().shared(5))
        self.assertEqual(Figures.of(self.close(self.client).json), Figures())
        self.assertEqual(daemon.stop(), 0)
        eventually(lambda: Figures.of(self.summary(self.client)) == books.least() or None, "the final flush lands in the open period")

    def test_reports_are_listed_newest_first_and_paged(self):
        periods = [self.close(self.client).json["period"] for _ in range(5)]
        page = self.client.get(f"{REPORTS}?limit=2").json
        self.assertEqual([report["period"] for report in page["reports"]], periods[:-3:-1])
        rest = self.client.get(f"{REPORTS}?limit=3&before={page['next_before']}").json
        self.assertEqual([report["period"] for report in rest["reports"]], periods[2::-1])
        self.assertNotIn("next_before", rest)
        self.assertEqual(self.client.get(f"{REPORTS}/{periods[-1] + 7}").status, 404)
        for query in ("limit=0", "limit=501", "limit=x", "before=x", "before=-1.5"):
            self.assertEqual(self.client.get(f"{REPORTS}?{query}").status, 400, query)


class TimedCloses(Case):
    def test_BU_15_BU_29_periods_close_by_themselves_once_each(self):
        url = self.database()
        daemons, token = self.replicas(url, 3, period="1s"), self.token(url)
        books, events, client = self.books(), self.events(), daemons[0].client(token)
        first = self.summary(client)["period"]
        clients = [daemon.client(token) for daemon in daemons]

        def three_closed():
            for one in clients:
                books.send(one, events.fresh())
            return len(self.reports(client)) >= 3

        eventually(three_closed, "three periods are closed", 30)
        reports = self.reports(client)
        self.assertEqual([report["period"] for report in reports], list(range(first, first + len(reports))))
        for earlier, later in zip(reports, reports[1:]):
            self.assertEqual(earlier["ended_at"], later["started_at"], "no moment between two periods")
            self.assertGreaterEqual((moment(later["ended_at"]) - moment(later["started_at"])).total_seconds(), 1.0)
        self.assert_sums_exact(client, books, fresh=True)
