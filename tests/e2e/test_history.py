"""Days, weeks and months over closed periods: exact while the ids are retained, estimated beyond."""
from harness.books import EVENTS
from harness.case import Case
from harness.daemon import run_tallyd
from harness.waiting import eventually

HISTORY = "/api/v1/boundary-usage/history"


class History(Case):
    def close_with(self, client, events):
        self.assertEqual(client.post(EVENTS, [event.event() for event in events]).status, 202)
        self.settle(client)
        self.assertEqual(self.close(client).status, 201)

    def entries(self, client, query=""):
        answer = client.get(HISTORY + query)
        self.assertEqual(answer.status, 200, answer)
        return answer.json["history"]

    def test_periods_of_a_day_add_up_to_the_union_of_their_ids_and_go_on_as_an_estimate(self):
        url = self.database()
        daemon, token, events = self.replica(url), self.token(url), self.events()
        client = daemon.client(token)
        self.assertEqual(self.entries(client), [])
        first, second = events.fresh(300), events.fresh(200)
        self.close_with(client, first)
        self.close_with(client, second + first[:100])
        for step in ("day", "week", "month"):
            (entry,) = self.entries(client, f"?step={step}")
            figures = (entry["periods"], entry["allowed_requests"], entry["unique_workspaces"], entry["exact"])
            self.assertEqual(figures, (2, 600, 500, True), step)
        users = entry["unique_users"]
        daemon.stop()
        daemon.flags["retention_ids"] = "1s"
        daemon.start()
        eventually(lambda: not self.entries(client)[0]["exact"], "the ids are gone", 30)
        (entry,) = self.entries(client)
        self.assertEqual((entry["periods"], entry["allowed_requests"]), (2, 600), "sums stay exact")
        self.assertAlmostEqual(entry["unique_workspaces"], 500, delta=500 * 5 * entry["relative_error"])
        self.assertEqual(entry["unique_users"], users, "a few ids are as good as counted")

    def test_the_query_is_checked_and_only_who_may_reads(self):
        url = self.database()
        daemon, token = self.replica(url), self.token(url)
        client = daemon.client(token)
        for query in (
                "step=hour", "from=yesterday", "to=1", "colour=red", "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
                "from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z"):
            self.assertEqual(client.get(f"{HISTORY}?{query}").status, 400, query)
        self.assertEqual(client.get(f"{HISTORY}?step=month&from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z").status, 200)
        self.assertEqual(daemon.client(self.token(url, "usage-collector")).get(HISTORY).status, 403)

    def test_the_summary_draws_the_last_periods(self):
        url = self.database()
        daemon, token, events = self.replica(url), self.token(url), self.events()
        for count in (8, 4):
            self.close_with(daemon.client(token), events.fresh(count))
        drawn = run_tallyd("summary", "--chart", "--database-url", url).stdout.splitlines()
        bars = [line for line in drawn if "█" in line]
        self.assertEqual([line.count("█") for line in bars], [40, 20])
        self.assertTrue(bars[0].endswith(" 8") and bars[1].endswith(" 4"), bars)
