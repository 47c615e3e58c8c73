"""Connection events in every form that the contract has, and who may send and read them, over HTTP."""
import gzip
import json

from harness.connections import EVENTS, LOG, World, ndjson, new_id
from harness.daemon import run_tallyd
from harness.waiting import eventually
from test_connections import ConnectionCase

STRUCTURED, BATCH, LINES, JSON = "application/cloudevents+json", "application/cloudevents-batch+json", "application/x-ndjson", "application/json"
NIL = "00000000-0000-0000-0000-000000000000"


def cloud_event(data, id="1", source="/proxy", **changes):
    return {"specversion": "1.0", "type": "tallyd.connection.v1", "source": source, "id": id, "data": data, **changes}


class ConnectionForms(ConnectionCase):
    def setUp(self):
        super().setUp()
        self.daemon = self.replica(self.url)
        self.client = self.daemon.client(self.logger)
        self.point = self.world.event(10, type="workspace_app", slug_or_port="code")

    def post(self, body, type=JSON, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        # Keys are taken once the replica has met its database.
        return eventually(lambda: (answer := self.client.post(EVENTS, data, headers={"Content-Type": type, **headers})).status != 503 and answer, "an answer")

    def assert_taken(self, answer, events):
        self.assertEqual((answer.status, answer.json), (202, {"accepted": events}), answer)

    def assert_refused(self, answer, status, told=""):
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (status, "application/problem+json"), answer)
        self.assertIn(told, answer.body.decode())

    def test_structured_cloud_events_count_once_by_source_and_id(self):
        for _ in range(3):
            self.assert_taken(self.post(cloud_event(self.point), STRUCTURED), 1)
        self.assert_taken(self.post(cloud_event(self.point, source="/other"), STRUCTURED), 1)
        self.assert_refused(self.post(cloud_event({**self.point, "code": 1}), STRUCTURED), 422)
        self.assertEqual(len(self.log(self.client, count=2)), 2)

    def test_a_batch_of_cloud_events_counts_each_of_them_once(self):
        connection = new_id()
        connect, disconnect = self.world.session(connection, 20, 50, code=0)
        batch = [cloud_event(connect, "a"), cloud_event(disconnect, "b"), cloud_event(self.point, "c"), cloud_event(self.point, "c")]
        for _ in range(2):
            self.assert_taken(self.post(batch, BATCH), 4)
        entries = self.log(self.client, count=2)
        self.assertEqual(entries[0]["ssh_info"]["exit_code"], 0)
        self.assert_refused(self.post([cloud_event(connect, "d"), cloud_event({**disconnect, "time": 5}, "e")], BATCH), 422, "/1/data/time")
        self.assert_refused(self.post([cloud_event(connect, "d"), cloud_event({**connect, "type": "vscode"}, "d")], BATCH), 422, "/1/id")
        self.assert_refused(self.post(cloud_event(connect, "d", type="tallyd.usage.v1"), STRUCTURED), 422, "/type")
        self.assert_taken(self.post([], BATCH), 0)

    def test_a_thousand_cloud_events_are_a_batch_and_one_more_is_too_many(self):
        events = [cloud_event({**self.point, "code": n}, str(n)) for n in range(1001)]
        self.assert_refused(self.post(events, BATCH), 413, "1000")
        self.assert_taken(self.post(events[:1000], BATCH), 1000)
        self.log(self.client, count=1000)

    def test_gzip_is_taken_in_every_form(self):
        sessions = self.world.session(new_id(), 1, 2)
        for body, type, events in ((sessions, JSON, 2), (ndjson(sessions), LINES, 2), (cloud_event(self.point), STRUCTURED, 1), ([cloud_event(self.point)], BATCH, 1)):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.assert_taken(self.post(gzip.compress(data), type, **{"Content-Encoding": "gzip"}), events)
        self.log(self.client, count=2)
        self.assert_refused(self.post(gzip.compress(json.dumps(sessions).encode())[:-9], JSON, **{"Content-Encoding": "gzip"}), 400)
        self.assert_refused(self.post(gzip.compress(b" " * (9 << 20)), JSON, **{"Content-Encoding": "gzip"}), 413)

    def test_what_is_in_no_form_of_the_contract_is_refused(self):
        for type in ("text/plain", "application/xml", "application/cloudevents+xml", "application/json; charset=latin1", "nonsense"):
            self.assert_refused(self.post(self.point, type), 415)
        self.assert_refused(self.post(self.point, JSON, **{"Content-Encoding": "br"}), 415)

    def test_a_cloud_event_is_its_own_key(self):
        binary = {"ce-specversion": "1.0", "ce-type": "tallyd.connection.v1", "ce-source": "/proxy", "ce-id": "2", "Idempotency-Key": "k"}
        self.assert_refused(self.post(cloud_event(self.point), STRUCTURED, **{"Idempotency-Key": "k"}), 400, "Idempotency-Key")
        self.assert_refused(self.post([cloud_event(self.point)], BATCH, **{"Idempotency-Key": "k"}), 400, "Idempotency-Key")
        self.assert_refused(self.post(self.point, JSON, **binary), 400, "Idempotency-Key")
        for key in ("", "x" * 129, "a b"):
            self.assert_refused(self.post(self.point, JSON, **{"Idempotency-Key": key}), 400, "Idempotency-Key")

    def test_CL_25_the_nil_uuid_is_no_id_of_a_point(self):
        self.assert_refused(self.post([self.point, {**self.point, "id": NIL}]), 422, "/1/id")
        self.assert_taken(self.post(self.world.session(new_id(), 1, id=NIL)), 1)
        self.log(self.client, count=1)

    def test_names_may_be_empty_and_tell_agents_apart_all_the_same(self):
        connection = new_id()
        events = [self.world.event(1, connection_id=connection, workspace_name="", agent_name=""), self.world.event(2, connection_id=connection)]
        self.assert_taken(self.post(events + [{**events[0], "status": "disconnected", "code": 4}]), 3)
        entries = self.log(self.client, f"connection_id:{connection}", 2)
        self.assertEqual([(e["workspace_name"], e["agent_name"], e["ssh_info"].get("exit_code")) for e in entries], [("dev", "main", None), ("", "", 4)])

    def test_CL_16_the_requests_of_a_visit_are_one_entry_if_the_proxy_says_so_and_repeats_write_nothing(self):
        other, visit, user = self.replica(self.url, "b").client(self.logger), new_id(), new_id()
        requests = [self.world.event(10 + n, type="workspace_app", connection_id=visit, slug_or_port="code", user_id=user, code=200) for n in range(300)]
        for n in range(0, 300, 50):
            self.send((self.client, other)[n // 50 % 2], requests[n:n + 50])
        self.settled(self.daemon.client(self.token(self.url)), 300)
        self.send(other, {**requests[0], "status": "disconnected", "time": requests[-1]["time"]})
        entry = self.log(self.client, "status:completed", 1)[0]
        self.assertEqual((entry["connect_time"], entry["web_info"]["disconnect_time"]), (requests[0]["time"], requests[-1]["time"]))
        version = self.sql("SELECT xmin, ctid FROM tallyd.connection_logs")
        self.send(other, requests)
        self.settled(self.daemon.client(self.token(self.url)), 601)
        self.assertEqual(self.sql("SELECT xmin, ctid FROM tallyd.connection_logs"), version)
        self.send(self.client, [self.point, self.point])
        self.assertEqual(len(self.log(self.client, "type:workspace_app", 3)), 3, "a point is an entry of its own")


class ConnectionRights(ConnectionCase):
    def setUp(self):
        super().setUp()
        self.daemon = self.replica(self.url)
        self.client = self.daemon.client(self.logger)
        self.owner = self.daemon.client(self.user("olga", "owner")[1])
        self.worlds = []
        for name in ("acme", "beta", "gamma"):
            world = World()
            self.organization(name, world.organization)
            self.worlds.append(world)
        self.send(self.client, [world.event(n, connection_id=new_id()) for n, world in enumerate(self.worlds)])
        self.log(self.client, count=3)

    def sees(self, client):
        return [entry["organization"]["name"] for entry in self.log(client)]

    def test_a_custom_role_with_the_right_to_read_sees_its_organization(self):
        acme, beta = (world.organization for world in self.worlds[:2])
        id, token = self.user("ada")
        client = self.daemon.client(token)
        self.assertEqual(client.get(LOG).status, 403)
        role = f"/api/v1/organizations/{beta}/roles/watcher"
        made = self.owner.request("PUT", role, {"org_perms": [{"resource_type": "connection_log", "action": "read"}]})
        self.assertEqual(made.status, 201, made)
        for organization, roles in ((beta, ["watcher"]), (acme, [])):
            answer = self.owner.request("PUT", f"/api/v1/organizations/{organization}/members/{id}", {"roles": roles})
            self.assertIn(answer.status, (200, 201), answer)
        self.assertEqual(self.sees(client), ["beta"])
        self.assertEqual(self.sees(client), [e["organization"]["name"] for e in self.log(client, "organization:beta")])
        self.assertEqual(self.log(client, "organization:acme"), [])
        self.assertEqual(client.post(EVENTS, self.worlds[1].event(9)).status, 403, "reading is not writing")
        self.assertEqual(self.owner.request("PUT", role, {"org_perms": [{"resource_type": "workspace", "action": "read"}]}).status, 200)
        self.assertEqual(client.get(LOG).status, 403, "at once")

    def test_a_token_has_no_more_than_its_scope(self):
        id, _ = self.user("aud", "auditor")
        token = lambda *arguments: self.daemon.client(run_tallyd("token", "create", "--user", id, *arguments, "--database-url", self.url).stdout.strip())
        self.assertEqual(self.sees(token("--scope", "connection_log:read")), ["gamma", "beta", "acme"])
        self.assertEqual(token("--scope", "workspace:read").get(LOG).status, 403)
        self.assertEqual(token("--scope", "connection_log:update").get(LOG).status, 403)
        self.assertEqual(token("--scope", "connection_log:update").post(EVENTS, self.worlds[0].event(9)).status, 403, "an auditor may not write, whatever the scope")
        reads = self.daemon.client(self.token(self.url, "connection-logger", "--scope", "connection_log:read"))
        self.assertEqual(reads.post(EVENTS, self.worlds[0].event(9)).status, 403)

    def test_an_auditor_of_one_organization_and_admin_of_another_sees_both_and_writes_for_one(self):
        acme, beta, _ = (world.organization for world in self.worlds)
        _, token = self.user("mix", f"organization-auditor:{acme}", f"organization-admin:{beta}")
        client = self.daemon.client(token)
        self.assertEqual(self.sees(client), ["beta", "acme"])
        self.assertEqual((client.get(LOG).json["count"], self.log(client, "organization:gamma")), (2, []))
        self.assertEqual(client.post(EVENTS, self.worlds[0].event(9)).status, 403)
        self.assertEqual(client.post(EVENTS, [self.worlds[1].event(9), self.worlds[0].event(9)]).status, 403)
        self.send(client, self.worlds[1].event(9))
        self.assertEqual(len(self.log(client, "organization:beta", 2)), 2)
