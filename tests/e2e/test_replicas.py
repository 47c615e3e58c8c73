"""Several replicas on one database."""
import threading

from harness.books import EVENTS, REPORTS, Figures, Traffic
from harness.case import Case
from harness.daemon import run_tallyd
from harness.waiting import eventually


class SharedIds(Case):
    def test_BU_17_two_replicas_count_shared_ids_once(self):
        self.exact_over(2)

    def test_BU_17_three_replicas_count_shared_ids_once(self):
        self.exact_over(3)

    def exact_over(self, count):
        url = self.database()
        daemons, token, books = self.replicas(url, count), self.token(url), self.books()
        with Traffic(books, daemons, token, self.seed, threads=4, requests=150):
            pass
        client = daemons[0].client(token)
        self.assert_exact(client, books)
        summary = self.summary(client)
        self.assertEqual(summary["replicas"], count)
        self.assertEqual(Figures.of(summary), books.least())
        self.assertLessEqual(summary["unique_workspaces"], 50, "the pool has no more")

    def test_BU_18_a_restart_inside_a_period_counts_its_ids_once(self):
        url = self.database()
        daemon, token, books, events = self.replica(url), self.token(url), self.books(), self.events()
        for ending in (daemon.stop, daemon.kill, daemon.stop):
            self.assertEqual(books.send(daemon.client(token), events.shared(30)).status, 202)
            ending()
            daemon.start()
            self.assertEqual(books.send(daemon.client(token), events.shared(30)).status, 202)
        self.assert_exact(daemon.client(token), books)
        self.assertEqual(self.summary(daemon.client(token))["replicas"], 1, "the same replica throughout")

    def test_BU_25_closes_under_load_put_every_request_into_one_report(self):
        url = self.database()
        daemons, token, books = self.replicas(url, 3), self.token(url), self.books()
        client = daemons[0].client(token)
        with Traffic(books, daemons, token, self.seed, threads=4, make=lambda events: events.fresh(events.random.randrange(1, 4))):
            for _ in range(15):
                before = books.statuses[202]
                eventually(lambda: books.statuses[202] > before + 30, "there is load")
                self.assertEqual(self.close(client).status, 201)
        self.assert_sums_exact(client, books, fresh=True)


class ConcurrentCloses(Case):
    def test_fault_17_eight_closers_on_four_replicas_make_one_report_a_period(self):
        url = self.database()
        daemons, token, books = self.replicas(url, 4), self.token(url), self.books()
        first = self.summary(daemons[0].client(token))["period"]
        rounds, closers = 12, 8
        barrier = threading.Barrier(closers)
        answers = [[None] * closers for _ in range(rounds)]
        failures = []

        def closer(number):
            try:
                client = daemons[number % len(daemons)].client(token)
                for turn in range(rounds):
                    barrier.wait(60)
                    answers[turn][number] = self.close(client, first + turn)
            except Exception as error:
                failures.append(error)
                barrier.abort()

        with Traffic(books, daemons, token, self.seed, threads=2, make=lambda events: events.fresh(2)):
            threads = [threading.Thread(target=closer, args=(n,)) for n in range(closers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(120)
        self.assertEqual(failures, [])
        client = daemons[0].client(token)
        for turn, round_answers in enumerate(answers):
            self.assertEqual(sorted(answer.status for answer in round_answers), [200] * (closers - 1) + [201], f"period {first + turn}")
            self.assertEqual({answer.body for answer in round_answers}, {client.get(f"{REPORTS}/{first + turn}").body})
        self.assert_sums_exact(client, books, fresh=True)

    def test_BU_12_BU_13_a_replica_killed_while_closing_loses_no_report(self):
        url = self.database()
        daemons, token, books = self.replicas(url, 2), self.token(url), self.books()
        steady = daemons[1].client(token)
        for turn in range(6):
            books.send(steady, self.events(turn).fresh(3))
            period = self.summary(steady)["period"]
            closing = threading.Thread(target=self._close_quietly, args=(daemons[0].client(token), period))
            closing.start()
            daemons[0].kill()
            closing.join(60)
            answer = self.close(steady, period)
            self.assertIn(answer.status, (200, 201))
            self.assertEqual(self.close(steady, period).body, answer.body)
            daemons[0].start()
        self.assert_sums_exact(steady, books, fresh=True)

    def _close_quietly(self, client, period):
        try:
            self.close(client, period)
        except Exception:
            pass  # it was killed: what matters is what the other replica says


    def test_one_key_closes_one_period_however_often_it_is_sent_at_once(self):
        url = self.database()
        daemons, token = self.replicas(url, 2), self.token(url)
        client = daemons[0].client(token)
        eventually(lambda: client.post(REPORTS, headers={"Idempotency-Key": "first"}).status in (200, 201), "closes are taken")
        senders, rounds = 6, 10
        barrier, answers, failures = threading.Barrier(senders), [set() for _ in range(rounds)], []

        def sender(number):
            try:
                mine = daemons[number % 2].client(token)
                for turn in range(rounds):
                    barrier.wait(60)
                    answers[turn].add(mine.post(REPORTS, headers={"Idempotency-Key": f"close {turn}".replace(" ", "-")}).json["period"])
            except Exception as error:
                failures.append(error)
                barrier.abort()

        before = self.summary(client)["period"]
        threads = [threading.Thread(target=sender, args=(n,)) for n in range(senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.assertEqual(failures, [])
        self.assertEqual([sorted(periods) for periods in answers], [[before + turn] for turn in range(rounds)])
        self.assertEqual(self.summary(client)["period"], before + rounds)


class LostStreams(Case):
    def test_a_replica_whose_stream_was_given_up_goes_on_in_another(self):
        url = self.database()
        daemon, token, books, events = self.replica(url), self.token(url), self.books(), self.events()
        client = daemon.client(token)
        self.assertEqual(books.send(client, events.fresh(5)).status, 202)
        self.assert_sums_exact(client, books, fresh=True)
        (stream,) = [path.name for path in (daemon.state_dir / "streams").iterdir()]
        self.assertEqual(run_tallyd("streams", "give-up", stream, "--database-url", url).returncode, 0)
        lost = events.fresh(1)[0]
        self.assertEqual(client.post(EVENTS, lost.event()).status, 202, "the daemon cannot know it yet")
        eventually(lambda: len(list((daemon.state_dir / "streams").iterdir())) == 2, "another stream is open", 30)
        self.assertEqual(books.send(client, events.fresh(5)).status, 202)
        eventually(lambda: self.total(client).allowed >= books.least().allowed, "what comes afterwards counts", 30)
        self.assertEqual(self.total(client).allowed, books.least().allowed, "what came before is left to the operator, who gave it up")
        given_up = self.postgres.sql(f"SELECT state FROM tallyd.streams WHERE stream_id = '{stream}'", self.database_name)
        self.assertEqual(given_up[0][0], "3")
