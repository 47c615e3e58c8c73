"""CloudEvents 1.0 as the SDK from npm writes them: structured, batch, binary; one event counts once, however it comes."""
import json
import os
import pathlib
import subprocess
import unittest
import uuid

from harness.books import EVENTS, Figures
from harness.case import Case
from harness.waiting import eventually

CLIENTS = pathlib.Path(os.environ.get("TALLY_CLIENTS", pathlib.Path(__file__).resolve().parents[2] / "build/dev/clients"))
TYPE = "tallyd.boundary_usage.v1"


class CloudEventsSdk(Case):
    @classmethod
    def setUpClass(cls):
        if not (CLIENTS / "installed").is_file():
            raise unittest.SkipTest(f"no clients in {CLIENTS}; run tests/clients/install.sh {CLIENTS}")
        super().setUpClass()

    def setUp(self):
        super().setUp()
        url = self.database()
        self.daemons = self.replicas(url, 2)
        self.token_text = self.token(url)
        self.client = self.daemons[0].client(self.token_text)
        for daemon in self.daemons:
            nothing = {"workspace_id": str(uuid.UUID(int=1)), "owner_id": str(uuid.UUID(int=1)), "allowed": 0}
            eventually(lambda: daemon.client(self.token_text).post(EVENTS, nothing, {"Idempotency-Key": str(uuid.uuid4())}).status == 202, "keys are taken")

    def an_event(self, allowed, **more):
        data = {"workspace_id": str(uuid.uuid4()), "owner_id": str(uuid.uuid4()), "allowed": allowed, "denied": 1}
        return {"type": TYPE, "source": "/sdk/test", "id": str(uuid.uuid4()), "time": "2026-01-02T03:04:05.678Z", "subject": "a subject", "data": data, **more}

    def send(self, daemon, *plan):
        """What the daemon answered to each step of the plan: (mode, events)."""
        host, port = daemon.address
        steps = json.dumps([{"mode": mode, "events": list(events)} for mode, *events in plan])
        done = subprocess.run(
            ["node", "cloud_events.mjs", f"http://{host}:{port}{EVENTS}", self.token_text, steps], cwd=CLIENTS, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def assert_all_taken(self, answers, *accepted):
        self.assertEqual([(answer["status"], answer["body"]) for answer in answers], [(202, {"accepted": n}) for n in accepted])

    def assert_counted(self, allowed, denied):
        for daemon in self.daemons:
            self.settle(daemon.client(self.token_text))
        figures = Figures.of(self.summary(self.client))
        self.assertEqual((figures.allowed, figures.denied), (allowed, denied))

    def test_structured_binary_and_gzip_events_are_counted(self):
        answers = self.send(
            self.daemons[0], ("structured", self.an_event(1)), ("binary", self.an_event(10)), ("gzip", self.an_event(100)),
            ("structured", self.an_event(1000, extension="kept by others", datacontenttype="application/json")))
        self.assert_all_taken(answers, 1, 1, 1, 1)
        self.assert_counted(1111, 4)

    def test_a_batch_is_one_effect_per_event(self):
        one, two = self.an_event(1), self.an_event(10)
        answers = self.send(self.daemons[0], ("batch", one, two), ("batch", two, self.an_event(100)), ("batch",))
        self.assert_all_taken(answers, 2, 2, 0)
        self.assert_counted(111, 3)

    def test_BU_21_one_event_counts_once_in_whatever_mode_and_to_whichever_replica_it_is_sent(self):
        event = self.an_event(7)
        for daemon in self.daemons:
            answers = self.send(daemon, ("structured", event), ("binary", event), ("batch", event), ("structured", event))
            self.assert_all_taken(answers, 1, 1, 1, 1)
        self.assert_counted(7, 1)
        self.assertTrue(self.client.get("/api/v1/ledger").json["balanced"])

    def test_IN_04_the_same_id_from_another_source_is_another_event(self):
        event = self.an_event(7)
        answers = self.send(self.daemons[0], ("structured", event), ("structured", dict(event, source="/another")))
        self.assert_all_taken(answers, 1, 1)
        self.assert_counted(14, 2)

    def test_IN_07_another_body_under_the_same_source_and_id_is_422(self):
        event = self.an_event(7)
        other = dict(event, data=dict(event["data"], allowed=8))
        answers = self.send(self.daemons[0], ("structured", event), ("binary", other))
        self.assertEqual([answer["status"] for answer in answers], [202, 422])
        self.assert_counted(7, 1)

    def test_what_is_no_event_of_ours_is_422_and_counts_nothing(self):
        answers = self.send(
            self.daemons[0], ("structured", self.an_event(1, type="com.example.other")), ("binary", self.an_event(1, data={"workspace_id": "nonsense"})),
            ("batch", self.an_event(1), self.an_event(1, data={"workspace_id": 5})))
        self.assertEqual([answer["status"] for answer in answers], [422, 422, 422])
        self.assertEqual([error["pointer"] for error in answers[2]["body"]["errors"]][0].split("/")[1], "1", "it says which one")
        self.assert_counted(0, 0)
