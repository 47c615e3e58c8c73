"""The connection log: what events make of it, who may read what, and what failures do to it."""
import base64
import csv
import itertools
import json
import random
import signal
import subprocess
import threading
import time
import uuid
from urllib.parse import quote

from harness.case import Case
from harness.client import NotSent, Unknown
from harness.connections import EVENTS, LOG, World, at, ndjson, new_id, pages
from harness.daemon import BINARY, run_tallyd
from harness.waiting import eventually

LEDGER = "/api/v1/ledger"


def cursor(us):
    """A place in the log at that time, in a database where no transaction but its first seven has begun."""
    return base64.urlsafe_b64encode(us.to_bytes(8, "big", signed=True) + uuid.uuid4().bytes + bytes([7, 0])).decode().rstrip("=")


class ConnectionCase(Case):
    def setUp(self):
        super().setUp()
        self.url = self.database()
        self.logger = self.token(self.url, "connection-logger")
        self.world = World()

    def user(self, name, *roles, email=None):
        """A user and a token of hers; roles of an organization are written `role:organization`."""
        id = new_id()
        run_tallyd("user", "put", "--id", id, "--username", name, "--email", email or f"{name}@example.org", "--database-url", self.url)
        if roles:
            # Roles of organizations come through the API's directory; here the row is what matters. With a new version: a replica
            # that runs may have read it without them.
            self.sql(f"WITH now AS (UPDATE tallyd.rights_version SET version = version + 1 RETURNING version) "
                     f"UPDATE tallyd.users u SET roles = '{{{','.join(roles)}}}', version = now.version FROM now WHERE u.id = '{id}'")
        return id, run_tallyd("token", "create", "--user", id, "--database-url", self.url).stdout.strip()

    def sql(self, text):
        return self.postgres.sql(text, self.database_name)

    def organization(self, name, id=None):
        id = id or new_id()
        self.sql(f"INSERT INTO tallyd.organizations (id, name, version) VALUES ('{id}', '{name}', 1)")
        return id

    def send(self, client, events, **headers):
        answer = client.post(EVENTS, events, headers=headers or None)
        self.assertEqual(answer.status, 202, answer)
        return answer

    def log(self, client, q="", count=None):
        """The entries that `q` finds; waits until they are `count`."""
        def found():
            answer = client.get(f"{LOG}?limit=1000&q={quote(q)}")
            self.assertEqual(answer.status, 200, answer)
            entries = answer.json["connection_logs"]
            return entries if count is None or len(entries) == count else None
        if count is None:
            return found()
        return eventually(lambda: [found()] if found() is not None else None, f"{count} entries for {q!r}")[0]

    def settled(self, client, events):
        """Waits until so many events are in the database."""
        def applied():
            figures = client.get(LEDGER).json["connection_events"]
            return figures["applied"] == events and figures["unflushed"] == 0
        eventually(applied, lambda: f"{events} events applied: {client.get(LEDGER).json['connection_events']}")


class ConnectionEvents(ConnectionCase):
    def setUp(self):
        super().setUp()
        self.daemon = self.replica(self.url)
        self.client = self.daemon.client(self.logger)
        self.ledger = self.daemon.client(self.token(self.url))

    def test_a_session_is_one_entry_with_all_that_its_events_said(self):
        self.organization("acme", self.world.organization)
        owner, _ = self.user("ada")
        self.world.owner = owner
        connection = new_id()
        connect, disconnect = self.world.session(connection, 10, 70, code=0, reason="bye", ip="192.0.2.7")
        self.assertEqual(self.send(self.client, connect).json, {"accepted": 1})
        self.assertEqual(self.log(self.client, count=1)[0]["status"], "ongoing")
        self.send(self.client, [disconnect])
        entry = eventually(lambda: self.log(self.client, "status:completed", 1)[0], "it ends")
        id = entry.pop("id")
        self.assertEqual(len(id), 36)
        self.assertEqual(entry, {
            "connect_time": at(10), "organization": {"id": self.world.organization, "name": "acme"},
            "workspace_owner_id": owner, "workspace_owner_username": "ada", "workspace_id": self.world.workspace,
            "workspace_name": "dev", "agent_name": "main", "ip": "192.0.2.7", "type": "ssh", "status": "completed",
            "ssh_info": {"connection_id": connection, "disconnect_time": at(70), "disconnect_reason": "bye", "exit_code": 0}})

    def test_CL_10_an_exit_code_of_0_is_kept(self):
        self.send(self.client, self.world.session(new_id(), 10, 70, code=0))
        self.assertEqual(self.log(self.client, count=1)[0]["ssh_info"]["exit_code"], 0)

    def test_what_only_the_connect_said_of_how_it_went_is_kept(self):
        connection = new_id()
        self.send(self.client, [
            self.world.event(10, type="workspace_app", connection_id=connection, code=101, reason="switching protocols", slug_or_port="code"),
            self.world.event(70, type="workspace_app", connection_id=connection, status="disconnected")])
        self.assertEqual(self.log(self.client, "status:completed", 1)[0]["web_info"], {
            "user_agent": None, "slug_or_port": "code", "status_code": 101, "connection_id": connection, "disconnect_time": at(70),
            "disconnect_reason": "switching protocols"})
        self.send(self.client, [self.world.event(71, type="workspace_app", connection_id=connection, status="disconnected", code=1006, reason="cut")])
        ended = eventually(lambda: (web := self.log(self.client, "status:completed", 1)[0]["web_info"])["status_code"] == 1006 and web, "its own code")
        self.assertEqual(ended["disconnect_reason"], "cut")

    def test_CL_09_what_nobody_said_is_null_and_not_the_year_1(self):
        self.send(self.client, self.world.session(new_id(), 10, 70)[1])
        entry = self.log(self.client, count=1)[0]
        self.assertIsNone(entry["connect_time"])
        self.assertIsNone(entry["ip"])
        self.assertNotIn("exit_code", entry["ssh_info"])
        self.assertNotIn("disconnect_reason", entry["ssh_info"])
        self.assertEqual(entry["ssh_info"]["disconnect_time"], at(70))

    def test_CL_13_a_bad_address_costs_nobody_the_event(self):
        self.send(self.client, [self.world.session(new_id(), n, ip=ip)[0] for n, ip in enumerate(["nonsense", 5, "LOCALHOST", "2001:DB8::1"])])
        self.assertEqual([entry["ip"] for entry in self.log(self.client, count=4)], ["2001:db8::1", "127.0.0.1", None, None])

    def test_CL_15_a_reason_is_kept_as_it_was_given(self):
        for reason in ("process exited with error status: 255", "", "\u00fcberrascht \U0001f600"):
            connection = new_id()
            self.send(self.client, self.world.session(connection, 1, 2, reason=reason))
            self.assertEqual(self.log(self.client, f"connection_id:{connection}", 1)[0]["ssh_info"]["disconnect_reason"], reason)

    def test_CL_18_the_user_of_a_session_may_come_with_either_event(self):
        connection, (user, _) = new_id(), self.user("ada")
        connect, disconnect = self.world.session(connection, 1, 2)
        self.send(self.client, [connect, {**disconnect, "user_id": user}])
        self.assertEqual(len(self.log(self.client, "username:ada", 1)), 1)

    def test_CL_05_agents_that_share_an_id_have_entries_of_their_own(self):
        connection, other = new_id(), World()
        events = [self.world.event(1, connection_id=connection), self.world.event(1, connection_id=connection, agent_name="second"),
                  other.event(1, connection_id=connection), self.world.event(1, connection_id=connection, organization_id=new_id())]
        self.send(self.client, events + events)
        self.assertEqual(len(self.log(self.client, f"connection_id:{connection}", 4)), 4)

    def test_CL_06_CL_07_CL_08_any_order_grouping_and_repeats_give_the_same_entry(self):
        first = self.world.session(new_id(), 30, 50, code=1, reason="first")
        events = first + self.world.session(first[0]["connection_id"], 20, 60, code=2, reason="last", ip="192.0.2.1")
        expected = None
        for n, order in enumerate(itertools.permutations(events)):
            connection = new_id()
            renamed = [{**event, "connection_id": connection} for event in order]
            if n % 3 == 0:
                self.send(self.client, renamed)
            else:
                for event in renamed + renamed[:n % 4]:
                    self.send(self.client, event)
            def entry():
                found = self.log(self.client, f"connection_id:{connection}", 1)[0]
                self.assertEqual((found["connect_time"], found["ssh_info"].get("disconnect_time")), (at(20), at(60)))
                return found
            found = eventually(entry, f"order {n}")
            found.pop("id")
            found["ssh_info"].pop("connection_id")
            expected = expected or found
            self.assertEqual(found, expected)
        self.assertEqual((expected["ssh_info"]["exit_code"], expected["ssh_info"]["disconnect_reason"], expected["ip"]), (2, "last", "192.0.2.1"))

    def test_a_connect_after_the_disconnect_is_ongoing_again(self):
        connection = new_id()
        self.send(self.client, self.world.session(connection, 10, 20, code=3))
        self.send(self.client, self.world.event(30, connection_id=connection))
        entry = self.log(self.client, "status:ongoing", 1)[0]
        self.assertEqual(entry["ssh_info"]["exit_code"], 3, "and nothing is lost")

    def test_CL_25_points_in_time_are_told_apart_by_their_id(self):
        id = new_id()
        point = self.world.event(10, type="workspace_app", id=id, user_agent="Mozilla", slug_or_port="code", code=200, user_id=new_id())
        for _ in range(3):
            self.send(self.client, [point, point])
        entry = self.log(self.client, count=1)[0]
        self.assertEqual(entry["id"], id)
        self.assertNotIn("ssh_info", entry)
        self.assertEqual(entry["web_info"], {"user_agent": "Mozilla", "user": {"id": point["user_id"], "username": None}, "slug_or_port": "code", "status_code": 200})
        del point["id"]
        self.send(self.client, [point, point])
        self.assertEqual(len(self.log(self.client, count=3)), 3, "without an id each is another")
        self.assertEqual(self.log(self.client, "status:ongoing"), [])
        self.assertEqual(self.log(self.client, "status:completed"), [])

    def test_a_key_counts_once_whatever_the_form_and_conflicts_are_told(self):
        point = self.world.event(10, type="port_forwarding", slug_or_port="8080")
        for _ in range(3):
            self.send(self.client, point, **{"Idempotency-Key": "a-key"})
        self.assertEqual(self.client.post(EVENTS, {**point, "code": 1}, headers={"Idempotency-Key": "a-key"}).status, 422)
        cloud_event = {"specversion": "1.0", "type": "tallyd.connection.v1", "source": "/proxy", "id": "1", "data": point}
        for _ in range(2):
            answer = self.client.post(EVENTS, json.dumps([cloud_event]).encode(), headers={"Content-Type": "application/cloudevents-batch+json"})
            self.assertEqual((answer.status, answer.json), (202, {"accepted": 1}), answer)
        binary = {"Content-Type": "application/json", "ce-specversion": "1.0", "ce-type": "tallyd.connection.v1", "ce-source": "/proxy", "ce-id": "2"}
        self.assertEqual(self.client.post(EVENTS, json.dumps(point).encode(), headers=binary).status, 202)
        self.assertEqual(len(self.log(self.client, count=3)), 3)

    def test_the_same_key_through_two_replicas_counts_once(self):
        other = self.replica(self.url, "b")
        point = self.world.event(10, type="port_forwarding")
        for daemon in (self.daemon, other):
            eventually(lambda: daemon.client(self.logger).post(EVENTS, point, headers={"Idempotency-Key": "k"}).status == 202, "taken")
        self.settled(self.ledger, 2)
        self.assertEqual(len(self.log(self.client)), 1)

    def test_lines_and_an_empty_body(self):
        answer = self.client.post(EVENTS, ndjson(self.world.session(new_id(), 1, 2)) + b"\n\n", headers={"Content-Type": "application/x-ndjson"})
        self.assertEqual(answer.json, {"accepted": 2})
        self.assertEqual(self.client.post(EVENTS, []).json, {"accepted": 0})
        self.assertEqual(self.client.post(EVENTS, b"", headers={"Content-Type": "application/json"}).status, 400)

    def test_a_request_is_all_or_nothing_and_says_what_is_wrong(self):
        good = self.world.event(1, connection_id=new_id())
        answer = self.client.post(EVENTS, [good, {**good, "workspace_id": "x", "code": 1.5}])
        self.assertEqual(answer.status, 422)
        self.assertEqual({error["pointer"] for error in answer.json["errors"]}, {"/1/workspace_id", "/1/code"})
        self.send(self.client, self.world.event(2, connection_id=new_id(), workspace_name="after"))
        self.assertEqual([entry["workspace_name"] for entry in self.log(self.client, count=1)], ["after"])

    def test_CL_24_a_field_of_two_mebibytes_is_cut_and_stops_no_page(self):
        self.send(self.client, [self.world.event(n, type="workspace_app", user_agent="\u20ac" * 350_000) for n in range(2)])
        entries = eventually(lambda: len(found := pages(self, self.client, limit=1)) == 2 and found, "both pages")
        self.assertLessEqual(len(entries[0]["web_info"]["user_agent"].encode()), 1024)

    def test_the_ledger_adds_up(self):
        self.send(self.client, self.world.session(new_id(), 1, 2) * 5)
        self.settled(self.ledger, 10)
        self.assertTrue(self.ledger.get(LEDGER).json["balanced"])

    def test_an_agent_reports_for_its_own_workspace_and_owner(self):
        agent = run_tallyd(
            "token", "create", "--agent", "--workspace", self.world.workspace, "--owner", self.world.owner, "--template", new_id(),
            "--version", new_id(), "--database-url", self.url).stdout.strip()
        client = self.daemon.client(agent)
        self.send(client, self.world.event(1, connection_id=new_id()))
        other = World()
        self.assertEqual(client.post(EVENTS, [self.world.event(1), other.event(1)]).status, 403)
        self.assertEqual(client.get(LOG).status, 403)

    def test_who_may_write_for_an_organization(self):
        _, admin = self.user("adm", f"organization-admin:{self.world.organization}")
        client, other = self.daemon.client(admin), World()
        self.send(client, [self.world.event(1, connection_id=new_id()), self.world.event(2, connection_id=new_id())])
        self.assertEqual(client.post(EVENTS, [self.world.event(3), other.event(3)]).status, 403)
        self.log(self.client, count=2)
        _, owner = self.user("own", "owner")
        self.send(self.daemon.client(owner), [self.world.event(4), other.event(4)])

    def test_who_may_not_write(self):
        _, auditor = self.user("aud", "auditor")
        self.assertEqual(self.daemon.client(auditor).post(EVENTS, self.world.event()).status, 403)
        self.assertEqual(self.daemon.client().post(EVENTS, self.world.event()).status, 401)


class ConnectionQueries(ConnectionCase):
    def setUp(self):
        super().setUp()
        self.daemon = self.replica(self.url)
        self.client = self.daemon.client(self.logger)

    def fill(self):
        """A hundred entries over everything that a filter can tell apart."""
        chosen = random.Random("fill")
        owners = [self.user(name)[0] for name in ("ada", "bob")]
        users = [self.user(name, email="shared@example.org" if name == "cid" else None)[0] for name in ("cid", "dot")]
        organizations = [self.organization(name) for name in ("acme", "Big Corp")] + [new_id()]
        workspaces = [new_id() for _ in range(3)]
        events = []
        for second in range(100):
            world = World()
            world.owner, world.organization, world.workspace = chosen.choice(owners), chosen.choice(organizations), chosen.choice(workspaces)
            type = chosen.choice(["ssh", "vscode", "cursor", "jetbrains", "workspace_app", "port_forwarding"])
            if type in ("workspace_app", "port_forwarding"):
                events.append(world.event(second, type=type, user_id=chosen.choice(users), id=new_id()))
            else:
                events += world.session(new_id(), second, chosen.choice([None, second + 5]), type=type)
        chosen.shuffle(events)
        self.send(self.client, events)
        return self.log(self.client, count=100), workspaces

    def test_every_filter_alone_and_in_pairs_finds_what_it_says(self):
        entries, workspaces = self.fill()
        one = next(entry for entry in entries if "ssh_info" in entry)["ssh_info"]["connection_id"]
        name = lambda entry: (entry["organization"]["name"] or "").lower()
        user = lambda entry: (entry.get("web_info") or {}).get("user", {}).get("username")
        filters = {
            "organization:acme": lambda e: name(e) == "acme",
            'organization:"big corp"': lambda e: name(e) == "big corp",
            f"organization:{entries[0]['organization']['id']}": lambda e: e["organization"] == entries[0]["organization"],
            "workspace_owner:ADA": lambda e: e["workspace_owner_username"] == "ada",
            "workspace_owner_email:bob@example.org": lambda e: e["workspace_owner_username"] == "bob",
            "type:ssh": lambda e: e["type"] == "ssh",
            "type:vscode": lambda e: e["type"] in ("vscode", "cursor"),
            "type:cursor": lambda e: e["type"] == "cursor",
            "username:dot": lambda e: user(e) == "dot",
            "user_email:shared@example.org": lambda e: user(e) == "cid",
            f"connected_after:{at(40)}": lambda e: e["connect_time"] >= at(40),
            f'connected_before:"{at(60)}"': lambda e: e["connect_time"] <= at(60),
            f"workspace_id:{workspaces[0].upper()}": lambda e: e["workspace_id"] == workspaces[0],
            f"connection_id:{one}": lambda e: (e.get("ssh_info") or {}).get("connection_id") == one,
            "status:ongoing": lambda e: e.get("status") == "ongoing",
            "status:completed": lambda e: e.get("status") == "completed",
            "workspace_owner:nobody": lambda e: False,
            "organization:nowhere": lambda e: False,
            "type:unheard_of": lambda e: False,
        }
        self.assertEqual(self.log(self.client, ""), entries)
        self.assertEqual([e["connect_time"] for e in entries], sorted((e["connect_time"] for e in entries), reverse=True), "newest first")
        keys = list(filters)
        for combination in [(key,) for key in keys] + list(itertools.combinations(keys, 2)):
            if len({key.split(":")[0] for key in combination}) < len(combination):
                continue
            expected = [entry for entry in entries if all(filters[key](entry) for key in combination)]
            answer = self.client.get(f"{LOG}?limit=1000&q={quote(' '.join(combination))}")
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.json["connection_logs"], expected, combination)
            self.assertEqual(answer.json["count"], len(expected), combination)

    def test_what_is_wrong_with_a_query_is_told(self):
        for q, told in {
                "nokey:1": "'nokey'", "bare": "'bare'", "type:": "'type'", ':x': "':x'",
                "status:open": "'status' is not ongoing or completed: 'open'", "type:SSH": "'SSH'", "connection_id:x": "'connection_id' is not a UUID: 'x'",
                "connected_after:yesterday": "'connected_after' is not an RFC 3339 time, as in 2026-01-31T12:00:00Z: 'yesterday'",
                "connected_before:2026-01-01": "'2026-01-01'", "workspace_id:7": "'workspace_id' is not a UUID: '7'",
                'workspace_owner:"ada': "'workspace_owner'", 'workspace_owner:"ada"x': "'workspace_owner'",
                "type:ssh type:vscode": "'type'", '"type:ssh"': "type", 'username:a"b': "'username'", 'username:""': "'username'"}.items():
            answer = self.client.get(f"{LOG}?q={quote(q)}")
            self.assertEqual((answer.status, answer.headers["Content-Type"]), (400, "application/problem+json"), q)
            self.assertIn(told, answer.json["detail"], q)
        for parameters in ("limit=0", "limit=1001", "limit=x", "offset=-1", "after=zzz", "after=" + "f" * 52, "nope=1", "offset=1&after=" + cursor(0),
                           "after=" + cursor(-8000 * 31_556_952_000_000), "after=" + cursor(1 << 62), "after=" + cursor(0) * 100, "q=%00", "count_cap=-1", "count_cap=100001", "count_cap=x"):
            self.assertEqual(self.client.get(f"{LOG}?{parameters}").status, 400, parameters)
        self.assertEqual(self.client.get(f"{LOG}?after={cursor(0)}").status, 200)
        self.assertEqual(self.client.get(f"{LOG}?q=").status, 200)
        self.assertEqual(self.client.get(f"{LOG}?q=%20%20").status, 200)

    def test_quotes_hold_spaces_and_quotes(self):
        self.world.organization = self.organization('the "best" \\ one')
        self.send(self.client, self.world.event(1, connection_id=new_id()))
        self.assertEqual(len(self.log(self.client, r'organization:"the \"best\" \\ one"', 1)), 1)

    def test_CL_23_paging_neither_skips_nor_repeats_while_entries_come_in(self):
        self.send(self.client, [self.world.event(second // 3, connection_id=new_id()) for second in range(300)])
        before = {entry["id"] for entry in self.log(self.client, count=300)}
        seen, place = [], ""
        while True:
            page = self.client.get(f"{LOG}?limit=17{place}").json
            seen += page["connection_logs"]
            if "next" not in page:
                break
            place = f"&after={page['next']}"
            # New ones at the head, ended ones in the middle.
            some = page["connection_logs"][3]["ssh_info"]["connection_id"]
            self.send(self.client, [self.world.event(1000 + len(seen), connection_id=new_id()),
                                    self.world.event(2000, "disconnected", connection_id=some)])
        ids = [entry["id"] for entry in seen]
        self.assertEqual(len(ids), len(set(ids)), "repeated")
        self.assertLessEqual(before, set(ids), "skipped")
        self.assertEqual([e["connect_time"] for e in seen], sorted((e["connect_time"] for e in seen), reverse=True))

    def test_CL_23_entries_that_move_are_shown_once_where_they_stood(self):
        connections = [new_id() for _ in range(60)]
        self.send(self.client, [self.world.event(1000 + 10 * n, "disconnected", connection_id=id) for n, id in enumerate(connections)])
        self.log(self.client, count=60)
        seen, place, late = [], "", iter(connections[5:60:7])
        while True:
            page = self.client.get(f"{LOG}?limit=4{place}").json
            seen += [entry["ssh_info"]["connection_id"] for entry in page["connection_logs"]]
            if "next" not in page:
                break
            place = f"&after={quote(page['next'])}"
            # One that was shown and one that was not: the first page of a new list has them elsewhere.
            moved = [id for id in (next(late, None), page["connection_logs"][0]["ssh_info"]["connection_id"]) if id]
            self.send(self.client, [self.world.event(self.random.randrange(2000), connection_id=id) for id in moved])
            eventually(lambda: all(self.log(self.client, f"connection_id:{id}")[0]["connect_time"] for id in moved), "they moved")
        self.assertEqual(seen, connections[::-1], "each once, in the order of the first page")
        times = [entry["connect_time"] for entry in self.log(self.client) if entry["connect_time"]]
        self.assertEqual(times, sorted(times, reverse=True))

    def test_offsets_and_the_ends_of_pages(self):
        self.send(self.client, [self.world.event(second, connection_id=new_id()) for second in range(25)])
        entries = self.log(self.client, count=25)
        self.assertEqual(pages(self, self.client, limit=10, by="offset"), entries)
        self.assertEqual(pages(self, self.client, limit=5), entries, "the last page is full and says that it is the last")
        page = self.client.get(f"{LOG}?limit=25").json
        self.assertNotIn("next", page)
        self.assertEqual(self.client.get(f"{LOG}?offset=25").json["connection_logs"], [])
        self.assertEqual(self.client.get(f"{LOG}?offset=3&limit=2").json["connection_logs"], entries[3:5])

    def test_an_export_streams_all_that_is_found(self):
        self.send(self.client, [self.world.event(second, type="workspace_app" if second % 2 else "ssh", connection_id=new_id()) for second in range(2500)])
        self.settled(self.daemon.client(self.token(self.url)), 2500)
        lines = lambda path: self.client.get(path, Accept="application/x-ndjson")
        answer = lines(LOG)
        self.assertEqual((answer.status, answer.headers["Content-Type"], answer.headers["Transfer-Encoding"]), (200, "application/x-ndjson", "chunked"))
        entries = [json.loads(line) for line in answer.body.splitlines()]
        self.assertEqual(entries, pages(self, self.client, limit=1000))
        self.assertEqual(len(lines(f"{LOG}?q=type:ssh").body.splitlines()), 1250)
        self.assertEqual(lines(f"{LOG}?q=type:none").body, b"")
        self.assertEqual(lines(f"{LOG}?q=nonsense").status, 400)
        self.assertEqual(self.client.request("HEAD", LOG, headers={"Accept": "application/x-ndjson"}).body, b"")
        self.assertEqual(self.client.get(LOG).status, 200, "the connection goes on")

    def test_CL_01_the_count_stops_at_its_cap(self):
        for half in range(2):
            self.send(self.client, [self.world.event(second, type="workspace_app") for second in range(half * 1050, half * 1050 + 1050)])
        page = eventually(lambda: (found := self.client.get(f"{LOG}?limit=1").json)["count"] >= 2000 and found, "2000 entries")
        self.assertEqual((page["count"], page["count_cap"], len(page["connection_logs"])), (2000, 2000, 1))
        for cap, count in ((0, 0), (1, 1), (2050, 2050), (100_000, 2100)):
            page = eventually(lambda: (found := self.client.get(f"{LOG}?limit=1&count_cap={cap}").json)["count"] == count and found, f"{count} counted")
            self.assertEqual((page["count_cap"], len(page["connection_logs"])), (cap, 1))

    def test_CL_22_renamed_and_deleted_users_and_organizations_lose_no_entry(self):
        owner, _ = self.user("ada")
        self.world.owner, self.world.organization = owner, self.organization("acme", self.world.organization)
        self.send(self.client, self.world.event(1, connection_id=new_id()))
        self.assertEqual(self.log(self.client, "workspace_owner:ada", 1)[0]["organization"]["name"], "acme")
        run_tallyd("user", "put", "--id", owner, "--username", "lovelace", "--database-url", self.url)
        self.assertEqual(self.log(self.client, "workspace_owner:lovelace", 1)[0]["workspace_owner_username"], "lovelace")
        self.assertEqual(self.log(self.client, "workspace_owner:ada"), [])
        run_tallyd("user", "delete", owner, "--database-url", self.url)
        self.sql("DELETE FROM tallyd.organizations")
        entry = self.log(self.client, "", 1)[0]
        self.assertEqual((entry["workspace_owner_id"], entry["workspace_owner_username"], entry["organization"]["name"]), (owner, None, None))

    def test_who_sees_what(self):
        organizations = [self.organization(f"org{n}") for n in range(60)]
        self.send(self.client, [self.world.event(n, connection_id=new_id(), organization_id=id) for n, id in enumerate(organizations)])
        self.log(self.client, count=60)
        readers = {
            "the owner": (("owner",), 60), "an auditor": (("auditor",), 60), "a member": ((), None),
            "a template admin": (("template-admin",), None), "a user admin": (("user-admin",), None),
            "an auditor of one organization": ((f"organization-auditor:{organizations[7]}",), 1),
            "an auditor of 50": (tuple(f"organization-auditor:{id}" for id in organizations[:50]), 50),
            "an admin of one": ((f"organization-admin:{organizations[3]}",), 1),
        }
        for n, (who, (roles, sees)) in enumerate(readers.items()):
            with self.subTest(who):
                client = self.daemon.client(self.user(f"reader{n}", *roles)[1])
                if sees is None:
                    self.assertEqual(client.get(LOG).status, 403)
                    self.assertEqual(client.get(f"{LOG}?q=nonsense").status, 403)
                    continue
                allowed = {role.split(":")[1] for role in roles if ":" in role} or set(organizations)
                entries = self.log(client)
                self.assertEqual({entry["organization"]["id"] for entry in entries}, allowed)
                self.assertEqual(len(entries), sees)
                self.assertEqual(client.get(LOG).json["count"], sees)
                self.assertEqual(len(pages(self, client, limit=7)), sees)
                self.assertEqual(len(self.log(client, "organization:org7")), 1 if organizations[7] in allowed else 0)
                self.assertEqual(len(self.log(client, f"organization:{organizations[3]}")), 1 if organizations[3] in allowed else 0)
                self.assertEqual(len(self.log(client, "type:ssh status:ongoing")), sees)


class ConnectionFailures(ConnectionCase):
    def test_CL_11_CL_12_killed_again_and_again_nothing_is_lost_or_doubled(self):
        daemons = self.replicas(self.url, 2, flush_interval="50ms")
        ledger = self.token(self.url)
        expected, lock, stop, errors = {}, threading.Lock(), threading.Event(), []

        def traffic(seed):
            chosen = random.Random(f"{self.seed}/{seed}")
            clients = [daemon.client(self.logger) for daemon in daemons]
            while not stop.is_set():
                connection, begin = new_id(), chosen.randrange(1000)
                events = self.world.session(connection, begin, begin + 10, code=chosen.randrange(3), reason=f"r{chosen.randrange(9)}")
                chosen.shuffle(events)
                for event in events:
                    # Sent until somebody took it, through whichever replica: repeats must not show.
                    while not stop.is_set():
                        try:
                            if chosen.choice(clients).post(EVENTS, event).status == 202:
                                break
                        except (NotSent, Unknown):
                            stop.wait(0.02)
                    else:
                        return
                with lock:
                    expected[connection] = (at(begin), at(begin + 10), events[0].get("code", events[1].get("code")))

        threads = [threading.Thread(target=traffic, args=(n,), daemon=True) for n in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(8):
            time.sleep(self.random.uniform(0.1, 0.4))
            victim = self.random.choice(daemons)
            victim.kill()
            victim.start()
        stop.set()
        for thread in threads:
            thread.join(60)
        client = daemons[0].client(self.logger)
        self.assertGreater(len(expected), 20)

        def complete():
            entries = pages(self, client, limit=1000)
            found = {e["ssh_info"]["connection_id"]: e for e in entries}
            self.assertEqual(len(found), len(entries), "an entry twice")
            for connection, (begin, end, code) in expected.items():
                entry = found[connection]
                self.assertEqual((entry["connect_time"], entry["ssh_info"]["disconnect_time"], entry["ssh_info"]["exit_code"]), (begin, end, code))
            return True
        eventually(complete, "every acknowledged session is there, whole", 30)
        figures = daemons[0].client(ledger).get(LEDGER).json
        self.assertTrue(figures["balanced"])

    def test_CL_11_what_was_acknowledged_while_the_database_was_away_comes_in(self):
        daemon = self.replica(self.url)
        client = daemon.client(self.logger)
        self.send(client, self.world.event(0, connection_id=new_id()))
        self.log(client, count=1)
        server = type(self).postgres
        server.stop()
        try:
            for second in range(1, 50):
                self.send(client, self.world.event(second, connection_id=new_id()))
            self.assertEqual(client.get(LOG).status, 503)
        finally:
            server.start()
        eventually(lambda: len(self.log(client)) == 50, "all of it", 60)

    def test_CL_26_what_cannot_be_taken_is_refused_and_counted(self):
        daemon = self.replica(self.url, journal_max_bytes="1MiB", flush_interval="1h", journal_retention="0s")
        client = daemon.client(self.logger)
        bodies = [ndjson([self.world.event(n, connection_id=new_id(), reason="x" * 900) for n in range(200)]) for _ in range(12)]
        answers = [client.post(EVENTS, body, headers={"Content-Type": "application/x-ndjson"}) for body in bodies]
        refused = [answer for answer in answers if answer.status == 503]
        self.assertTrue(refused, answers)
        self.assertTrue(all("Retry-After" in answer.headers for answer in refused))
        line = next(l for l in client.get("/metrics").body.decode().splitlines() if 'kind="connection",result="unavailable"' in l)
        self.assertEqual(float(line.split()[1]), 200 * len(refused))
        daemon.stop()
        other = self.replica(self.url, "other").client(self.logger)
        eventually(lambda: len(pages(self, other, limit=1000)) == 200 * (len(answers) - len(refused)), "what was taken, and no more", 30)

    def test_CL_12_a_stop_flushes_what_was_acknowledged(self):
        daemon = self.replica(self.url, flush_interval="1h")
        self.send(daemon.client(self.logger), [self.world.event(n, connection_id=new_id()) for n in range(20)])
        self.assertEqual(daemon.stop(), 0)
        other = self.replica(self.url, "other")
        self.assertEqual(len(self.log(other.client(self.logger), count=20)), 20)


class ConnectionUpkeep(ConnectionCase):
    def test_CL_14_a_session_that_fell_silent_is_lost_until_it_speaks_again(self):
        daemon = self.replica(self.url, connection_timeout="1s")
        client = daemon.client(self.logger)
        silent, web = new_id(), self.world.event(2, type="workspace_app")
        self.send(client, [self.world.event(1, connection_id=silent), web])
        entry = self.log(client, "status:completed", 1)[0]
        self.assertEqual(entry["ssh_info"]["disconnect_reason"], "lost")
        self.assertIn("disconnect_time", entry["ssh_info"])
        self.assertEqual(entry["connect_time"], at(1))
        # Another event opens it again, and a real goodbye always wins.
        self.send(client, self.world.event(5, connection_id=silent))
        self.log(client, "status:ongoing", 1)
        self.log(client, "status:completed", 1)
        self.send(client, self.world.event(9, "disconnected", connection_id=silent, code=0, reason="late but true"))
        def true_end():
            info = self.log(client, "status:completed")[0]["ssh_info"]
            return (info["disconnect_time"], info["disconnect_reason"], info["exit_code"]) == (at(9), "late but true", 0)
        eventually(true_end, "the real end")
        def lost():
            line = next(l for l in client.get("/metrics").body.decode().splitlines() if l.startswith("tallyd_connections_lost_total"))
            return float(line.split()[1])
        eventually(lambda: lost() == 2, lambda: f"it was lost twice, and counted {lost()} times")

    def test_CL_14_without_a_timeout_nothing_is_lost(self):
        client = self.replica(self.url).client(self.logger)
        self.send(client, self.world.event(1, connection_id=new_id()))
        self.log(client, "status:ongoing", 1)
        time.sleep(1.5)
        self.assertEqual(len(self.log(client, "status:ongoing")), 1)

    def test_CL_20_CL_21_the_retention_removes_what_is_over_and_no_headless_entry_comes_after(self):
        daemon = self.replica(self.url)
        client, silent = daemon.client(self.logger), new_id()
        later = self.sql("SELECT to_char((now() + interval '1 h') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")[0][0]
        old = self.world.session(silent, 0, time="2025-01-01T00:00:00Z")
        ended = self.world.session(new_id(), 0, 0, time="2025-01-01T00:00:00Z")
        points = [self.world.event(type="workspace_app", time="2025-01-02T00:00:00Z") for _ in range(1500)]
        self.send(client, old + ended + points + [self.world.event(connection_id=new_id(), time=later)])
        ledger = daemon.client(self.token(self.url))
        self.settled(ledger, 1504)
        daemon.stop()
        daemon.flags["retention_connection_log"] = "20s"
        daemon.start()
        client, ledger = daemon.client(self.logger), daemon.client(self.token(self.url))
        eventually(lambda: len(self.log(client)) == 1, "the old ones are gone", 30)
        self.send(client, [self.world.event(status="disconnected", connection_id=silent, time=later), ended[1]])
        self.settled(ledger, 1506)
        self.assertEqual(len(self.log(client)), 1)
        purged = next(line for line in client.get("/metrics").body.decode().splitlines() if line.startswith("tallyd_connection_log_purged_total"))
        self.assertEqual(float(purged.split()[1]), 1502)


class ConnectionSinks(ConnectionCase):
    def lines(self, daemon):
        return [entry for entry in daemon.entries() if entry.get("msg") == "connection_log"]

    def test_an_accepted_event_is_one_line_of_the_log_too(self):
        daemon = self.replica(self.url, connection_log_sink="postgres,log")
        client, connection = daemon.client(self.logger), new_id()
        self.send(client, self.world.session(connection, 1, 2, code=0, reason='a "bad"\nreason'))
        self.assertEqual(client.post(EVENTS, [{}]).status, 422)
        self.log(client, count=1)
        lines = eventually(lambda: len(found := self.lines(daemon)) == 2 and found, "two lines")
        self.assertEqual([line["status"] for line in lines], ["connected", "disconnected"])
        self.assertEqual((lines[1]["connection_id"], lines[1]["code"], lines[1]["reason"]), (connection, 0, 'a "bad"\nreason'))
        for absent in ("code", "reason", "ip", "user_id", "user_agent"):
            self.assertNotIn(absent, lines[0], "nobody said it")

    def test_the_log_alone(self):
        daemon = self.replica(self.url, connection_log_sink="log")
        client = daemon.client(self.logger)
        self.send(client, self.world.event(1))
        eventually(lambda: len(self.lines(daemon)) == 1, "a line")
        self.assertEqual(self.log(client), [])

    def test_the_database_alone_is_the_default(self):
        daemon = self.replica(self.url)
        client = daemon.client(self.logger)
        self.send(client, self.world.event(1))
        self.log(client, count=1)
        self.assertEqual(self.lines(daemon), [])


class ConnectionCommand(ConnectionCase):
    def setUp(self):
        super().setUp()
        self.daemon = self.replica(self.url)
        self.client = self.daemon.client(self.logger)
        self.organization("Big Corp", self.world.organization)
        self.world.owner, _ = self.user("ada")
        self.send(self.client, self.world.session(new_id(), 10, 70, code=1, reason='he said "no", and left', ip="192.0.2.7") +
                  [self.world.event(20, type="workspace_app", slug_or_port="code"), self.world.event(30, connection_id=new_id(), workspace_name="x\x1b[31m")])
        self.log(self.client, count=3)

    def connections(self, *arguments, check=True):
        return run_tallyd("connections", *arguments, "--database-url", self.url, check=check)

    def test_the_table_shows_names_and_nothing_that_moves_the_terminal(self):
        lines = self.connections().stdout.splitlines()
        self.assertTrue(lines[0].startswith("CONNECTED"))
        self.assertEqual(len(lines), 4)
        self.assertIn("ongoing", lines[1])
        self.assertNotIn("\x1b", lines[1])
        for word in ("2026-01-01 00:00:10Z", "2026-01-01 00:01:10Z", "Big Corp", "ada", "dev.main", "192.0.2.7", 'he said "no", and left'):
            self.assertIn(word, lines[3])

    def test_json_is_what_the_api_answers(self):
        shown = json.loads(self.connections("type:ssh", "status:completed", "--output", "json").stdout)
        self.assertEqual(shown["connection_logs"], self.log(self.client, "type:ssh status:completed"))

    def test_csv_quotes_what_it_must(self):
        rows = list(csv.DictReader(self.connections("--output", "csv", "--all", 'organization:"Big Corp"').stdout.splitlines()))
        self.assertEqual(len(rows), 3)
        self.assertEqual((rows[2]["reason"], rows[2]["code"], rows[2]["status"]), ('he said "no", and left', "1", "completed"))

    def test_the_limit_and_what_is_wrong_with_a_filter(self):
        self.assertEqual(len(self.connections("--limit", "1").stdout.splitlines()), 2)
        wrong = self.connections("nonsense:1", check=False)
        self.assertEqual((wrong.returncode, wrong.stdout), (2, ""))
        self.assertIn("unknown key 'nonsense'", wrong.stderr)
        self.assertEqual(self.connections("--output", "xml", check=False).returncode, 2)

    def test_following_shows_what_comes_in_and_what_ends(self):
        follower = subprocess.Popen([str(BINARY), "connections", "--follow", "--output", "json", "--database-url", self.url], stdout=subprocess.PIPE, text=True)
        try:
            first = [json.loads(follower.stdout.readline()) for _ in range(3)]
            self.assertEqual([entry["connect_time"] for entry in first], [at(10), at(20), at(30)])
            connection = new_id()
            self.send(self.client, self.world.event(100, connection_id=connection))
            self.assertEqual(json.loads(follower.stdout.readline())["status"], "ongoing")
            self.send(self.client, self.world.event(110, "disconnected", connection_id=connection, code=0))
            self.assertEqual(json.loads(follower.stdout.readline())["ssh_info"]["exit_code"], 0)
        finally:
            follower.send_signal(signal.SIGINT)
            follower.wait(20)
            follower.stdout.close()

    def test_following_skips_nothing_of_a_burst_and_sees_the_end_of_what_it_no_longer_reads(self):
        follower = subprocess.Popen([str(BINARY), "connections", "--follow", "--limit", "2", "--output", "json", "--database-url", self.url], stdout=subprocess.PIPE, text=True)
        line = lambda: json.loads(follower.stdout.readline())
        try:
            self.assertEqual([line()["connect_time"] for _ in range(2)], [at(20), at(30)])
            first = new_id()
            self.send(self.client, self.world.event(100, connection_id=first))
            self.assertEqual(line()["connect_time"], at(100))
            burst = {at(200 + n) for n in range(25)}
            self.send(self.client, [self.world.event(200 + n, type="workspace_app") for n in range(25)])
            self.assertEqual({line()["connect_time"] for _ in range(25)}, burst)
            self.send(self.client, self.world.event(110, "disconnected", connection_id=first, code=7))
            self.assertEqual(line()["ssh_info"]["exit_code"], 7)
        finally:
            follower.send_signal(signal.SIGINT)
            follower.wait(20)
            follower.stdout.close()
