"""fault 22: every request three times with its key, over all replicas, through kill -9 and a cut network: counted once."""
import threading

from harness.books import EVENTS
from harness.case import Case
from harness.client import NotSent, Unknown
from harness.proxy import CutProxy, Mode
from harness.waiting import eventually


class RetryStorms(Case):
    COPIES = 3
    MOST_ROUNDS = 200

    def test_fault_22_BU_21_through_kill_9_of_replicas(self):
        url = self.database()
        daemons = self.replicas(url, 3)
        self.storm(url, daemons, lambda turn: self.restart(self.random.choice(daemons)), requests=60)

    def test_fault_22_BU_21_through_a_proxy_that_cuts(self):
        direct = self.database()
        proxy = CutProxy(self.postgres.port, b"tallyd.flush_v")
        self.addCleanup(proxy.close)
        daemons = self.replicas(self.postgres.url(self.database_name, over="tcp", port=proxy.port), 3)
        modes = [Mode.BEFORE, Mode.AFTER, Mode.RACE, Mode.LATE]
        cut = lambda: sum(proxy.hits.values())
        self.storm(direct, daemons, lambda turn: proxy.armed or proxy.arm(modes[turn % 4], times=2), requests=60, enough=lambda: cut() > 8)
        self.assertGreater(cut(), 8, "statements were cut")

    def restart(self, daemon):
        daemon.kill()
        daemon.start()

    def storm(self, url, daemons, disturb, requests, enough=lambda: True):
        """Each copy of each request goes to a replica drawn anew, until every copy had its 202; threads overlap so that copies
        of one key are in flight on several replicas at once. Senders begin further rounds of requests until there was `enough`
        disturbance, so that a fast machine is disturbed as much as a slow one."""
        token, books = self.token(url), self.books()
        threads_of_storm = 4
        barrier = threading.Barrier(threads_of_storm + 1)
        failures = []

        def sender(number):
            try:
                events = self.events(f"sender{number}")
                clients = [daemon.client(token) for daemon in daemons]
                barrier.wait(60)
                for round in range(self.MOST_ROUNDS):
                    if round and enough():
                        break
                    waiting = []
                    for n in range(requests):
                        increments = events.fresh(events.random.randrange(1, 4))
                        books.acknowledge(increments)
                        waiting += [(f"{number}-{round}-{n}", increments)] * self.COPIES
                    events.random.shuffle(waiting)
                    for key, increments in waiting:
                        self.until_202(events.random, clients, key, increments)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=sender, args=(n,), daemon=True) for n in range(threads_of_storm)]
        for thread in threads:
            thread.start()
        barrier.wait(60)
        turn = 0
        while any(thread.is_alive() for thread in threads):
            disturb(turn)
            turn += 1
            for thread in threads:
                thread.join(0.1)
            if turn % 5 == 4:
                self.close(daemons[0].client(token)) if daemons[0].running else None
        self.assertEqual(failures, [])
        client = daemons[0].client(token)
        self.assert_sums_exact(client, books, fresh=True, seconds=90)
        ledger = client.get("/api/v1/ledger").json
        self.assertTrue(ledger["balanced"], ledger)

    def until_202(self, rng, clients, key, increments):
        body = [increment.event() for increment in increments]
        for _ in range(2000):
            try:
                answer = rng.choice(clients).post(EVENTS, body, {"Idempotency-Key": key})
            except (NotSent, Unknown):
                continue
            if answer.status == 202:
                return
            self.assertEqual(answer.status, 503, answer)
        self.fail(f"{key} was never acknowledged")


class KeyExpiry(Case):
    def keys(self):
        return int(self.postgres.sql("SELECT count(*) FROM tallyd.ingest_keys", self.database_name)[0][0])

    def test_KM15_keys_go_after_the_window_and_a_repeat_is_then_a_new_increment(self):
        url = self.database()
        token = self.token(url)
        (daemon,) = self.replicas(url, 1, dedup_window="1s")
        client = daemon.client(token)
        event = self.events().fresh(1)[0].event()
        eventually(lambda: client.post(EVENTS, event, {"Idempotency-Key": "k"}).status == 202, "keys are taken")
        eventually(lambda: self.keys() == 1, "the key is in the database")
        eventually(lambda: self.keys() == 0, "it has expired", 30)
        self.assertEqual(client.post(EVENTS, event, {"Idempotency-Key": "k"}).status, 202)
        self.settle(client)
        self.assertEqual(self.total(client).allowed, 2 * event["allowed"])
        self.assertTrue(client.get("/api/v1/ledger").json["balanced"])

    def test_KM15b_a_dead_replica_holds_the_keys_until_it_is_back(self):
        url = self.database()
        token = self.token(url)
        a, b = self.replicas(url, 2, dedup_window="1s")
        client = a.client(token)
        eventually(lambda: int(self.postgres.sql("SELECT count(*) FROM tallyd.replicas WHERE complete_as_of > to_timestamp(0)", self.database_name)[0][0]) == 2,
                   "both replicas are complete up to some time")
        b.kill()
        # A first key that came behind what b was complete up to, and a second one later: the first outlives its window.
        event = self.events().fresh(1)[0].event()
        self.assertEqual(client.post(EVENTS, event, {"Idempotency-Key": "first"}).status, 202)
        eventually(lambda: self.keys() == 1, "the key is in the database")
        past = "SELECT complete_as_of > (SELECT max(seen_at) FROM tallyd.ingest_keys) + interval '4 s' FROM tallyd.replicas ORDER BY complete_as_of DESC LIMIT 1"
        eventually(lambda: self.postgres.sql(past, self.database_name)[0][0] == "t", "a is complete to well past the window", 30)
        self.assertEqual(self.keys(), 1, "b may still bring in another copy")
        b.start()
        eventually(lambda: self.keys() == 0, "it has expired", 30)
