"""`tallyd connections --follow`: what comes in, wherever it stands, and what becomes of it."""
import json
import signal
import subprocess

from harness.connections import at, new_id
from harness.daemon import BINARY, environment
from harness.waiting import eventually
from test_connections import ConnectionCase


class ConnectionFollowing(ConnectionCase):
    def setUp(self):
        super().setUp()
        self.daemon = self.replica(self.url)
        self.client = self.daemon.client(self.logger)

    def follow(self, *arguments):
        """Answers what reads the next line."""
        self.errors = self.directory / "errors"
        with open(self.errors, "wb") as errors:
            follower = subprocess.Popen(
                [str(BINARY), "connections", "--follow", "--output", "json", *arguments, "--database-url", self.url], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment())

        def end():
            follower.send_signal(signal.SIGINT)
            follower.wait(20)
            follower.stdout.close()
        self.addCleanup(end)

        def line():
            text = follower.stdout.readline()
            self.assertTrue(text, self.told())
            return json.loads(text)
        return line

    def told(self):
        return self.errors.read_text().splitlines()

    def test_whoever_follows_ongoing_sessions_sees_their_end_and_no_more_of_them(self):
        old, shown, point = new_id(), new_id(), self.world.event(30, type="workspace_app")
        self.send(self.client, [self.world.event(10, connection_id=old), self.world.event(20, connection_id=shown), point])
        self.log(self.client, count=3)
        line = self.follow("status:ongoing", "--limit", "1")
        self.assertEqual(line()["ssh_info"]["connection_id"], shown)
        self.send(self.client, self.world.event(40, "disconnected", connection_id=shown, code=3))
        entry = line()
        self.assertEqual((entry["status"], entry["ssh_info"]["exit_code"]), ("completed", 3))
        # One that was over before anybody heard of it is none of these; one that begins is.
        self.send(self.client, self.world.session(new_id(), 50, 60) + [self.world.event(70, connection_id=old), self.world.event(80, connection_id=new_id())])
        self.assertEqual((line()["connect_time"]), at(80))

    def test_whoever_follows_completed_sessions_sees_each_when_it_is(self):
        first, second = new_id(), new_id()
        self.send(self.client, self.world.session(new_id(), 1, 2) + [self.world.event(10, connection_id=first)])
        self.log(self.client, count=2)
        line = self.follow("status:completed")
        self.assertEqual(line()["connect_time"], at(1))
        self.send(self.client, self.world.event(20, connection_id=second))
        self.log(self.client, count=3)
        self.send(self.client, self.world.event(30, "disconnected", connection_id=first))
        self.assertEqual(line()["connect_time"], at(10), "it was ongoing when this began")
        self.send(self.client, self.world.event(40, "disconnected", connection_id=second))
        self.assertEqual(line()["connect_time"], at(20))

    def test_it_begins_with_as_many_as_are_asked_for_oldest_first(self):
        for half in range(2):
            self.send(self.client, [self.world.event(second, type="workspace_app") for second in range(half * 1700, half * 1700 + 1700)])
        self.settled(self.daemon.client(self.token(self.url)), 3400)
        for arguments, first in ((("--all",), 0), (("--limit", "2500"), 900), (("--limit", "1000"), 2400), (("--limit", "2000"), 1400), ((), 3300)):
            line = self.follow(*arguments)
            self.assertEqual([line()["connect_time"] for _ in range(3400 - first)], [at(second) for second in range(first, 3400)], arguments)
        self.send(self.client, self.world.event(5000, type="workspace_app"))
        self.assertEqual(line()["connect_time"], at(5000))

    def test_what_arrives_late_is_shown_wherever_it_stands(self):
        self.send(self.client, [self.world.event(1000 + second, type="workspace_app") for second in range(150)])
        self.log(self.client, count=150)
        line = self.follow("--limit", "2")
        self.assertEqual([line()["connect_time"] for _ in range(2)], [at(1148), at(1149)])
        late = new_id()
        self.send(self.client, self.world.event(5, connection_id=late))
        self.assertEqual(line()["connect_time"], at(5))
        self.send(self.client, self.world.event(6, "disconnected", connection_id=late))
        self.assertEqual(line()["ssh_info"]["disconnect_time"], at(6))
        self.send(self.client, [self.world.event(7, type="workspace_app")])
        self.assertEqual(line()["connect_time"], at(7))

    def test_a_line_for_every_change_and_none_for_a_repeat(self):
        connection = new_id()
        begin = self.world.event(10, connection_id=connection)
        self.send(self.client, begin)
        self.log(self.client, count=1)
        line = self.follow()
        self.assertEqual(line()["status"], "ongoing")
        self.send(self.client, begin)
        for end in ({}, {"code": 7}, {"code": 7, "reason": "the real one"}):  # of one instant, each says more
            self.send(self.client, self.world.event(20, "disconnected", connection_id=connection, **end))
            info = line()["ssh_info"]
            self.assertEqual((info.get("exit_code"), info.get("disconnect_reason")), (end.get("code"), end.get("reason")))
        self.send(self.client, {**begin, "time": at(30)})
        self.assertEqual(line()["status"], "ongoing", "it is there again")

    def test_a_database_that_goes_away_is_told_of_once_and_once_when_it_is_back(self):
        self.send(self.client, self.world.event(1, type="workspace_app"))
        self.log(self.client, count=1)
        line = self.follow()
        line()
        server = type(self).postgres
        server.stop()
        try:
            eventually(lambda: self.told(), "it says that the database is away", 30)
            self.send(self.client, self.world.event(2, type="workspace_app"))
        finally:
            server.start()
        self.assertEqual(line()["connect_time"], at(2), "what came in meanwhile")
        told = eventually(lambda: len(found := self.told()) > 1 and found, "it says that the database is back", 30)
        self.assertTrue(told[0].startswith("tallyd: cannot read the connection log: "), told)
        self.assertEqual((told[-1], len([t for t in told if t.startswith("tallyd: ")])), ("tallyd: the database is back", 2), told)
