"""Who may: nothing is open by default, and a token that cannot be looked up is not refused for good."""
import json
import uuid

from harness.books import EVENTS, REPORTS, SUMMARY, Increment
from harness.case import Case
from harness.daemon import run_tallyd
from harness.waiting import eventually

EVENT = {"workspace_id": str(uuid.UUID(int=1)), "owner_id": str(uuid.UUID(int=2)), "allowed": 1}
ROUTES = [
    ("POST", EVENTS, EVENT),
    ("GET", SUMMARY, None),
    ("GET", REPORTS, None),
    ("GET", f"{REPORTS}/1", None),
    ("POST", REPORTS, None),
]
UNKNOWN_TOKEN = "tly_0123456789_" + "A" * 43


class Tokens(Case):
    def setUp(self):
        super().setUp()
        self.url = self.database()
        self.daemon = self.replica(self.url)

    def statuses(self, headers):
        client = self.daemon.client()
        answers = [client.request(method, path, body, dict(headers)) for method, path, body in ROUTES]
        for answer in answers:
            if answer.status == 401:
                self.assertTrue(answer.headers["WWW-Authenticate"].startswith("Bearer"))
                self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        return {answer.status for answer in answers}

    def test_without_a_token_every_route_is_401(self):
        self.assertEqual(self.statuses({}), {401})

    def test_a_malformed_token_is_401(self):
        for header in ("Bearer", "Bearer ", "Bearer nonsense", "Basic dXNlcjpwYXNz", UNKNOWN_TOKEN, "Bearer tly_short_" + "A" * 43,
                       "Bearer tly_0123456789_" + "A" * 42, "Bearer tly_0123456789_" + "A" * 44, "Bearer tly_01234567-9_" + "A" * 43,
                       f"Bearer {UNKNOWN_TOKEN} {UNKNOWN_TOKEN}", "Bearer " + "A" * 3000):
            self.assertEqual(self.statuses({"Authorization": header}), {401}, header)

    def test_an_unknown_token_is_401(self):
        self.assertEqual(self.statuses({"Authorization": f"Bearer {UNKNOWN_TOKEN}"}), {401})

    def test_a_known_id_with_another_secret_is_401(self):
        token = self.token(self.url)
        self.assertEqual(self.daemon.client(token).get(SUMMARY).status, 200)
        forged = token[:-1] + ("A" if token[-1] != "A" else "B")
        self.assertEqual(self.statuses({"Authorization": f"Bearer {forged}"}), {401})

    def test_the_scheme_is_read_in_any_letter_case(self):
        token = self.token(self.url)
        self.assertEqual(self.daemon.client().get(SUMMARY, Authorization=f"bearer {token}").status, 200)

    def test_a_new_token_works_at_once_on_every_replica(self):
        other = self.replica(self.url, "other")
        for _ in range(3):
            token = self.token(self.url)
            for daemon in (self.daemon, other):
                self.assertEqual(daemon.client(token).post(EVENTS, EVENT).status, 202)

    def test_a_revoked_token_is_401_within_five_seconds_on_every_replica(self):
        other = self.replica(self.url, "other")
        token = self.token(self.url)
        clients = [self.daemon.client(token), other.client(token)]
        for client in clients:
            self.assertEqual(client.post(EVENTS, EVENT).status, 202)
        run_tallyd("token", "revoke", token.split("_")[1], "--database-url", self.url)
        for client in clients:
            eventually(lambda: client.post(EVENTS, EVENT).status == 401, "the revoked token is refused", 6)
        keeper = self.token(self.url)
        self.assertEqual(self.daemon.client(keeper).post(EVENTS, EVENT).status, 202, "others are not")

    def test_an_expired_token_is_401(self):
        token = self.token(self.url, "boundary-usage-tracker", "--expires", "2s")
        client = self.daemon.client(token)
        eventually(lambda: client.get(SUMMARY).status == 401, "it expires", 10)

    def test_operations_need_no_token(self):
        client = self.daemon.client()
        for path in ("/healthz", "/readyz", "/metrics", "/version"):
            self.assertEqual(client.get(path).status, 200, path)

    def test_unknown_routes_and_methods(self):
        client = self.daemon.client(self.token(self.url))
        self.assertEqual(client.get("/api/v1/nothing").status, 404)
        answer = client.request("PUT", EVENTS, b"{}")
        self.assertEqual(answer.status, 405)
        self.assertIn("POST", answer.headers["Allow"])

    def test_a_token_appears_in_no_log_metric_or_error(self):
        token = self.token(self.url)
        client = self.daemon.client(token)
        client.post(EVENTS, EVENT)
        client.post(EVENTS, b"not json", {"Content-Type": "application/json"})
        forged = token[:-1] + ("A" if token[-1] != "A" else "B")
        body = self.daemon.client(forged).get(SUMMARY).body
        secret = token.rsplit("_", 1)[1]
        self.assertNotIn(secret[:-1].encode(), body)
        self.assertNotIn(secret[:-1].encode(), client.get("/metrics").body)
        self.daemon.stop()
        self.assertNotIn(secret[:-1], self.daemon.log.read_text())
        for path in self.daemon.state_dir.rglob("*"):
            if path.is_file():
                self.assertNotIn(secret.encode(), path.read_bytes(), path)


def is_kept(daemon, token):
    """In the state directory, by its id: the secret is nowhere."""
    token_id = token.split("_")[1].encode()
    return any(token_id in path.read_bytes() for path in daemon.state_dir.iterdir() if path.is_file())


class TokensWhileTheDatabaseIsAway(Case):
    own_server = True

    def test_known_tokens_work_unknown_ones_get_503(self):
        url = self.database()
        daemon = self.replica(url)
        known, wrong = self.token(url), self.token(url, "usage-publisher")
        self.assertEqual(daemon.client(known).post(EVENTS, EVENT).status, 202)
        self.assertEqual(daemon.client(wrong).post(EVENTS, EVENT).status, 403)
        self.postgres.stop()
        self.assertEqual(daemon.client(known).post(EVENTS, EVENT).status, 202)
        self.assertEqual(daemon.client(wrong).post(EVENTS, EVENT).status, 403)
        answer = daemon.client(UNKNOWN_TOKEN).post(EVENTS, EVENT)
        self.assertEqual(answer.status, 503)
        self.assertTrue(answer.headers["Retry-After"])
        self.assertEqual(daemon.client("nonsense").post(EVENTS, EVENT).status, 401, "no database is needed to refuse it")
        daemon.kill()
        daemon.start()
        answer = daemon.client(known).post(EVENTS, EVENT)
        self.assertEqual(answer.status, 202, f"known from the state directory: {answer}")

    def test_a_token_is_kept_before_the_first_202_under_it(self):
        url = self.database()
        daemon = self.replica(url)
        first, second = self.token(url), self.token(url)
        for token in (first, second):
            self.assertEqual(daemon.client(token).post(EVENTS, EVENT).status, 202)
            self.assertTrue(is_kept(daemon, token), "whatever happens next")
        daemon.kill()
        self.postgres.stop()
        daemon.start()
        for token in (first, second):
            self.assertEqual(daemon.client(token).post(EVENTS, EVENT).status, 202)

    def test_the_kept_hashes_are_for_the_owner_of_the_directory_only(self):
        url = self.database()
        daemon = self.replica(url)
        daemon.client(self.token(url)).post(EVENTS, EVENT)
        daemon.stop()
        for path in [daemon.state_dir, *daemon.state_dir.rglob("*")]:
            self.assertEqual(path.stat().st_mode & 0o007, 0, f"{path} is open to others")


class BoundaryUsageRights(Case):
    """BU-28: only the system subject may; no user role may, the owner's neither."""

    def setUp(self):
        super().setUp()
        self.url = self.database()
        self.daemon = self.replica(self.url)

    def statuses(self, token):
        client = self.daemon.client(token)
        return [client.request(method, path, body).status for method, path, body in ROUTES]

    def test_BU_28_the_tracker_may_do_everything(self):
        self.assertEqual(self.statuses(self.token(self.url)), [202, 200, 200, 404, 201])

    def test_BU_28_other_system_subjects_may_nothing(self):
        for subject in ("connection-logger", "usage-publisher", "usage-collector"):
            self.assertEqual(self.statuses(self.token(self.url, subject)), [403] * 5, subject)

    def test_BU_28_no_user_role_may_the_owner_neither(self):
        for role in ("owner", "auditor", "user-admin", "template-admin", "member", None):
            user = str(uuid.uuid4())
            words = ["user", "put", "--id", user, "--username", f"u{user[:8]}", "--database-url", self.url]
            run_tallyd(*words, *(["--role", role] if role else []))
            token = run_tallyd("token", "create", "--user", user, "--database-url", self.url).stdout.strip()
            self.assertEqual(self.statuses(token), [403] * 5, role)

    def test_BU_28_scopes_narrow_and_never_widen(self):
        read_only = self.token(self.url, "boundary-usage-tracker", "--scope", "boundary_usage:read")
        self.assertEqual(self.statuses(read_only), [403, 200, 200, 404, 403])
        widened = self.token(self.url, "usage-publisher", "--scope", "boundary_usage:update")
        self.assertEqual(self.statuses(widened), [403] * 5)

    def test_BU_28_unauthenticated_may_nothing(self):
        self.assertEqual(self.statuses(None), [401] * 5)

    def test_an_agent_may_update_what_its_allow_list_admits_and_read_nothing(self):
        workspace, owner, template, version = (str(uuid.uuid4()) for _ in range(4))
        token = run_tallyd(
            "token", "create", "--agent", "--workspace", workspace, "--owner", owner, "--template", template, "--version", version,
            "--database-url", self.url).stdout.strip()
        client = self.daemon.client(token)
        own = Increment(workspace, owner, 1, 0).event()
        stranger = Increment(str(uuid.uuid4()), owner, 1, 0).event()
        other_owner = Increment(workspace, str(uuid.uuid4()), 1, 0).event()
        self.assertEqual(client.post(EVENTS, own).status, 202)
        self.assertEqual(client.post(EVENTS, stranger).status, 403)
        self.assertEqual(client.post(EVENTS, other_owner).status, 403)
        self.assertEqual(client.post(EVENTS, [own, stranger]).status, 403, "all or nothing")
        self.assertEqual(client.get(SUMMARY).status, 403)
        self.assertEqual(client.post(REPORTS).status, 403)
        tracker = self.daemon.client(self.token(self.url))
        eventually(lambda: self.summary(tracker)["allowed_requests"] == 1, "only the admitted one counts")
        self.settle(tracker)
        self.assertEqual(self.summary(tracker)["allowed_requests"], 1)

    def test_refusals_do_not_say_what_exists(self):
        token = self.token(self.url, "usage-publisher")
        tracker = self.daemon.client(self.token(self.url))
        period = self.close(tracker).json["period"]
        client = self.daemon.client(token)
        there, not_there = client.get(f"{REPORTS}/{period}"), client.get(f"{REPORTS}/{period + 99}")
        self.assertEqual((there.status, not_there.status), (403, 403))
        self.assertEqual({k: v for k, v in there.json.items() if k != "instance"}, {k: v for k, v in not_there.json.items() if k != "instance"})
        self.assertEqual(json.loads(there.body)["status"], 403)
