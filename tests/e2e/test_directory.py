"""The directory, tokens and questions over HTTP: who may do what, what hostile bodies get, and how fast other replicas follow."""
import datetime
import json
import threading
import uuid

from harness.books import EVENTS
from harness.case import Case
from harness.daemon import run_tallyd
from harness.waiting import eventually

API = "/api/v1"


def new_id():
    return str(uuid.uuid4())


def a_user(username, roles=(), email=""):
    return {"username": username, "email": email, "roles": list(roles)}


def an_organization(name):
    return {"name": name, "display_name": ""}


class DirectoryCase(Case):
    """A replica, and Olga, who owns the site."""

    def setUp(self):
        super().setUp()
        self.url = self.database()
        self.daemon = self.replica(self.url)
        self.owner_id, self.owner = self.person("olga", "owner")

    def person(self, name, *roles, daemon=None):
        """A user made on the command line, and a client with a token of theirs."""
        user = new_id()
        words = ["user", "put", "--id", user, "--username", name, "--database-url", self.url]
        for role in roles:
            words += ["--role", role]
        run_tallyd(*words)
        token = run_tallyd("token", "create", "--user", user, "--database-url", self.url).stdout.strip()
        return user, (daemon or self.daemon).client(token)

    def put(self, client, path, body):
        return client.request("PUT", API + path, body)

    def get(self, client, path):
        return client.request("GET", API + path)

    def delete(self, client, path):
        return client.request("DELETE", API + path)

    def pages(self, path, member):
        """`member` of all rows, read three at a time; what no list takes is refused."""
        name = path.rsplit("/", 1)[-1]
        seen, query = [], "limit=3"
        while query:
            page = self.get(self.owner, f"{path}?{query}")
            self.assertEqual(page.status, 200, page)
            self.assertLessEqual(len(page.json[name]), 3)
            seen += [each[member] for each in page.json[name]]
            query = f"limit=3&after={page.json['next']}" if "next" in page.json else None
        for query in ("limit=0", "limit=1001", "limit=x", "limit=", "after=", "after=%20", "color=red", "limit=1&limit=2"):
            self.assert_problem(self.get(self.owner, f"{path}?{query}"), 400)
        return seen

    def may(self, client, resource_type, action, **where):
        answer = client.post(f"{API}/authz/check", {"checks": {"it": {"object": {"resource_type": resource_type, **where}, "action": action}}})
        self.assertEqual(answer.status, 200, answer)
        return answer.json["it"]

    def organization(self, name="acme"):
        org = new_id()
        answer = self.put(self.owner, f"/organizations/{org}", {"name": name, "display_name": name.title()})
        self.assertEqual(answer.status, 201, answer)
        return org

    def member(self, org, user, *roles):
        answer = self.put(self.owner, f"/organizations/{org}/members/{user}", {"roles": list(roles)})
        self.assertIn(answer.status, (200, 201), answer)

    def assert_problem(self, answer, status, pointer=None):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        problem = answer.json
        self.assertEqual(problem["status"], status)
        if pointer is not None:
            self.assertIn(pointer, [each["pointer"] for each in problem.get("errors", [])], problem)

    def audit(self):
        """Actions and their actors, oldest first."""
        return self.postgres.sql("SELECT action, actor FROM tallyd.audit_log ORDER BY id", self.database_name)


class Users(DirectoryCase):
    def test_are_put_read_listed_and_deleted(self):
        user = new_id()
        body = {"username": "ada", "email": "ada@example.org", "roles": ["auditor"]}
        answer = self.put(self.owner, f"/users/{user}", body)
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.json, {"id": user, **body})
        self.assertEqual(self.put(self.owner, f"/users/{user.upper()}", body).status, 200, "an upsert, ids in any letter case")
        self.assertEqual(self.get(self.owner, f"/users/{user}").json, {"id": user, **body})
        changed = self.put(self.owner, f"/users/{user}", a_user("ada l", ["auditor"], "ada@example.org"))
        self.assertEqual((changed.status, changed.json["roles"], changed.json["email"]), (200, ["auditor"], "ada@example.org"))
        listed = self.get(self.owner, "/users").json
        self.assertEqual({each["username"] for each in listed["users"]}, {"olga", "ada l"})
        self.assertEqual(self.delete(self.owner, f"/users/{user}").status, 204)
        self.assert_problem(self.get(self.owner, f"/users/{user}"), 404)
        self.assert_problem(self.delete(self.owner, f"/users/{user}"), 404)

    def test_lists_come_page_by_page(self):
        for number in range(7):
            self.assertEqual(self.put(self.owner, f"/users/{new_id()}", a_user(f"u{number}")).status, 201)
        self.assertEqual(sorted(self.pages("/users", "username")), sorted(["olga"] + [f"u{n}" for n in range(7)]))

    def test_that_lack_a_member_are_refused(self):
        path = f"/users/{new_id()}"
        for missing in ("username", "email", "roles"):
            body = a_user("x")
            del body[missing]
            self.assert_problem(self.put(self.owner, path, body), 422, f"/{missing}")
        self.assert_problem(self.get(self.owner, path), 404)

    def test_a_member_sees_itself_and_changes_nothing(self):
        user, member = self.person("max")
        self.assertEqual(self.get(member, f"/users/{user}").json["username"], "max")
        self.assertEqual([each["id"] for each in self.get(member, "/users").json["users"]], [user])
        self.assert_problem(self.get(member, f"/users/{self.owner_id}"), 403)
        self.assert_problem(self.get(member, f"/users/{new_id()}"), 403)
        self.assert_problem(self.put(member, f"/users/{user}", a_user("max", ["owner"])), 403)
        self.assert_problem(self.put(member, f"/users/{new_id()}", a_user("x")), 403)
        self.assert_problem(self.delete(member, f"/users/{user}"), 403)

    def test_an_auditor_reads_and_changes_nothing(self):
        _, auditor = self.person("audrey", "auditor")
        self.assertEqual(self.get(auditor, f"/users/{self.owner_id}").status, 200)
        self.assert_problem(self.put(auditor, f"/users/{new_id()}", a_user("x")), 403)

    def test_a_user_admin_makes_users_but_gives_no_role(self):
        _, admin = self.person("uma", "user-admin")
        user = new_id()
        self.assertEqual(self.put(admin, f"/users/{user}", a_user("new", [])).status, 201)
        self.assertEqual(self.put(admin, f"/users/{user}", a_user("newer", ["member"])).status, 200)
        for role in ("owner", "auditor", "user-admin", "template-admin"):
            self.assert_problem(self.put(admin, f"/users/{user}", a_user("new", [role])), 403)
        self.assert_problem(self.put(admin, f"/users/{self.owner_id}", a_user("olga", [])), 403)
        self.assertEqual(self.put(admin, f"/users/{self.owner_id}", a_user("olga b", ["owner"])).status, 200, "names are his to change")
        self.assert_problem(self.delete(admin, f"/users/{self.owner_id}"), 403)
        self.assertEqual(self.delete(admin, f"/users/{user}").status, 204)

    def test_roles_that_cannot_be_given_are_refused_by_name(self):
        user, org = new_id(), self.organization()
        for role in ("no-such-role", "organization-admin", f"organization-admin:{org}", "owner:nonsense", "Owner", "organization-member", ""):
            self.assert_problem(self.put(self.owner, f"/users/{user}", a_user("x", ["auditor", role])), 422, "/roles/1")
        self.assert_problem(self.get(self.owner, f"/users/{user}"), 404)

    def test_roles_are_kept_as_they_are_named(self):
        user, nil = new_id(), uuid.UUID(int=0)
        answer = self.put(self.owner, f"/users/{user}", a_user("x", [f"auditor:{nil}", "auditor", f"template-admin:{{{nil}}}"]))
        self.assertEqual((answer.status, answer.json["roles"]), (201, ["auditor", "template-admin"]))
        self.assertEqual(self.postgres.sql(f"SELECT roles FROM tallyd.users WHERE id = '{user}'", self.database_name), [["{auditor,template-admin}"]])

    def test_who_deletes_a_user_must_be_able_to_take_its_roles_in_every_organization(self):
        _, admin = self.person("uma", "user-admin")
        org, other = self.organization(), self.organization("other")
        user, _ = self.person("ada")
        self.put(self.owner, f"/organizations/{other}/roles/watcher", {"org_perms": []})
        for role in ("organization-admin", "watcher"):
            self.member(org, user)
            self.member(other, user, role)
            self.assert_problem(self.delete(admin, f"/organizations/{other}/members/{user}"), 403)
            refusal = self.delete(admin, f"/users/{user}")
            self.assert_problem(refusal, 403)
            self.assertIn(f"{role}:{other}", refusal.json["detail"])
            self.assertEqual(self.get(self.owner, f"/organizations/{org}/members/{user}").status, 200, "nothing is gone")
        self.member(other, user)
        self.assertEqual(self.delete(admin, f"/users/{user}").status, 204, "plain memberships are his to end")

    def test_two_users_cannot_have_one_name(self):
        self.assertEqual(self.put(self.owner, f"/users/{new_id()}", a_user("twin")).status, 201)
        self.assert_problem(self.put(self.owner, f"/users/{new_id()}", a_user("TWIN")), 409, "/username")

    def test_hostile_bodies_are_refused_with_a_pointer(self):
        path = f"/users/{new_id()}"
        for body, pointer in (
                ({}, "/username"), ([], ""), ({"username": 7}, "/username"), ({"username": None}, "/username"), ({"username": ""}, "/username"),
                ({"username": "  "}, "/username"), ({"username": "a\nb"}, "/username"), ({"username": "a\0b"}, "/username"),
                ({"username": "x" * 257}, "/username"), ({"username": "x", "roles": "owner"}, "/roles"), ({"username": "x", "roles": [1]}, "/roles/0"),
                ({"username": "x", "roles": ["member"] * 65}, "/roles"), ({"username": "x", "email": ["a"]}, "/email")):
            self.assert_problem(self.put(self.owner, path, body), 422, pointer)
        twice = b'{"username": "a", "username": "b"}'
        self.assert_problem(self.owner.request("PUT", API + path, twice, {"Content-Type": "application/json"}), 422, "/username")
        for body in (b"", b"{", b"{} {}", b'{"username": "\xff"}', b"nonsense"):
            self.assert_problem(self.owner.request("PUT", API + path, body, {"Content-Type": "application/json"}), 400)
        self.assert_problem(self.owner.request("PUT", API + path, b"{}", {"Content-Type": "text/plain"}), 415)
        for bad in ("nonsense", "%00", str(uuid.UUID(int=0)), "..%2f"):
            self.assertEqual(self.put(self.owner, f"/users/{bad}", a_user("x")).status, 404, bad)
        self.assertEqual(self.owner.request("POST", API + path, b"{}", {"Content-Type": "application/json"}).status, 405)

    def test_without_a_token_nothing_is_answered(self):
        stranger = self.daemon.client()
        org = new_id()
        for method, path in (("GET", "/users"), ("PUT", f"/users/{org}"), ("DELETE", f"/users/{org}"), ("GET", f"/organizations/{org}"),
                             ("PUT", f"/organizations/{org}/members/{org}"), ("PUT", f"/organizations/{org}/roles/x"), ("POST", "/tokens"),
                             ("GET", "/tokens"), ("POST", "/authz/check"), ("GET", "/authz/whoami"), ("GET", "/authz/catalog")):
            self.assert_problem(stranger.request(method, API + path, {} if method in ("PUT", "POST") else None), 401)

    def test_a_deleted_user_and_its_agents_are_out_at_once(self):
        user, client = self.person("gone")
        agent = run_tallyd(
            "token", "create", "--agent", "--workspace", new_id(), "--owner", user, "--template", new_id(), "--version", new_id(),
            "--database-url", self.url).stdout.strip()
        agent = self.daemon.client(agent)
        self.assertEqual(self.get(client, "/authz/whoami").status, 200)
        self.assertEqual(self.get(agent, "/authz/whoami").status, 200)
        self.assertEqual(self.delete(self.owner, f"/users/{user}").status, 204)
        self.assert_problem(self.get(client, "/authz/whoami"), 401)
        self.assert_problem(self.get(agent, "/authz/whoami"), 401)

    def test_every_change_leaves_a_line_in_the_log_and_in_the_table(self):
        user = new_id()
        before = len(self.audit())
        self.put(self.owner, f"/users/{user}", a_user("ada", ["auditor"]))
        self.put(self.owner, f"/users/{user}", a_user("ada", ["auditor"]))
        self.put(self.owner, f"/users/{user}", a_user("ada", []))
        self.delete(self.owner, f"/users/{user}")
        by = f"user:{self.owner_id}"
        self.assertEqual(self.audit()[before:], [["put_user", by], ["put_user", by], ["delete_user", by]], "what changes nothing leaves none")
        eventually(lambda: [(e["msg"], e["allowed_by"]) for e in self.daemon.entries() if e.get("audit")] == [
            ("user created", "site_role"), ("user changed", "site_role"), ("user deleted", "site_role")], "the log has them too, and why they were allowed")

    def test_a_denial_is_logged_with_its_reason_for_who_looks_for_it(self):
        replica = self.replica(self.url, "chatty", log_level="debug")
        user, member = self.person("max", daemon=replica)
        self.assert_problem(self.get(member, f"/users/{self.owner_id}"), 403)
        eventually(lambda: [(e["by"], e["action"], e["type"], e["reason"]) for e in replica.entries() if e["msg"] == "denied"] ==
                   [(f"user:{user}", "read", "user", "no_grant")], "the log says why")


class Organizations(DirectoryCase):
    def test_are_put_read_listed_and_deleted(self):
        org = self.organization()
        self.assertEqual(self.get(self.owner, f"/organizations/{org}").json, {"id": org, "name": "acme", "display_name": "Acme"})
        self.assertEqual(self.put(self.owner, f"/organizations/{org}", {"name": "acme", "display_name": "ACME"}).status, 200)
        self.assertEqual([each["id"] for each in self.get(self.owner, "/organizations").json["organizations"]], [org])
        self.assert_problem(self.put(self.owner, f"/organizations/{new_id()}", an_organization("Acme")), 409, "/name")
        self.assert_problem(self.put(self.owner, f"/organizations/{new_id()}", an_organization(1)), 422, "/name")
        self.assertEqual(self.delete(self.owner, f"/organizations/{org}").status, 204)
        self.assert_problem(self.delete(self.owner, f"/organizations/{org}"), 404)

    def test_that_lack_a_member_are_refused(self):
        for body, pointer in (({"name": "x"}, "/display_name"), ({"display_name": "X"}, "/name"), ({}, "/name"), ([], "")):
            self.assert_problem(self.put(self.owner, f"/organizations/{new_id()}", body), 422, pointer)

    def test_lists_come_page_by_page(self):
        orgs = [self.organization(f"org{number}") for number in range(7)]
        self.assertEqual(self.pages("/organizations", "id"), sorted(orgs))

    def test_lists_of_members_come_page_by_page(self):
        org, users = self.organization(), []
        for number in range(7):
            users.append(new_id())
            self.assertEqual(self.put(self.owner, f"/users/{users[-1]}", a_user(f"u{number}")).status, 201)
            self.member(org, users[-1])
        self.assertEqual(self.pages(f"/organizations/{org}/members", "user_id"), sorted(users))

    def test_their_admin_changes_them_and_makes_none(self):
        org, other = self.organization(), self.organization("other")
        user, admin = self.person("adam")
        self.member(org, user, "organization-admin")
        self.assertEqual(self.put(admin, f"/organizations/{org}", an_organization("renamed")).status, 200)
        self.assertEqual([each["id"] for each in self.get(admin, "/organizations").json["organizations"]], [org])
        for path in (f"/organizations/{other}", f"/organizations/{new_id()}"):
            self.assert_problem(self.put(admin, path, an_organization("mine")), 403)
            self.assert_problem(self.get(admin, path), 403)
            self.assert_problem(self.delete(admin, path), 403)
        _, member = self.person("max")
        self.assert_problem(self.get(member, "/organizations"), 403)

    def test_members_have_roles_in_their_organization_alone(self):
        org, other = self.organization(), self.organization("other")
        user, client = self.person("ada")
        self.assertFalse(self.may(client, "workspace", "create", organization_id=org, owner_id="me"))
        answer = self.put(self.owner, f"/organizations/{org}/members/{user}", {"roles": ["organization-auditor"]})
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.json, {"user_id": user, "organization_id": org, "username": "ada", "roles": ["organization-auditor"]})
        self.assertTrue(self.may(client, "workspace", "create", organization_id=org, owner_id="me"))
        self.assertTrue(self.may(client, "connection_log", "read", organization_id=org))
        self.assertFalse(self.may(client, "connection_log", "read", organization_id=other))
        self.assertEqual(self.get(self.owner, f"/organizations/{org}/members").json["members"], [answer.json])
        same = self.put(self.owner, f"/organizations/{org}/members/{user}", {"roles": [f"organization-auditor:{org}"]})
        self.assertEqual((same.status, same.json), (200, answer.json), "with or without the organization")
        self.assertEqual(self.delete(self.owner, f"/organizations/{org}/members/{user}").status, 204)
        self.assertFalse(self.may(client, "connection_log", "read", organization_id=org))
        self.assert_problem(self.delete(self.owner, f"/organizations/{org}/members/{user}"), 404)

    def test_who_may_give_which_role(self):
        org = self.organization()
        target, _ = self.person("target")
        path = f"/organizations/{org}/members/{target}"
        actors = {}
        for role in ("organization-admin", "organization-user-admin", "organization-template-admin", "organization-auditor"):
            user, actors[role] = self.person(role)
            self.member(org, user, role)
        _, actors["user-admin"] = self.person("uma", "user-admin")
        _, actors["auditor"] = self.person("audrey", "auditor")
        for name in ("organization-template-admin", "organization-auditor", "auditor"):
            self.assert_problem(self.put(actors[name], path, {"roles": []}), 403)
        for name in ("organization-user-admin", "user-admin", "organization-admin"):
            self.assertEqual(self.put(actors[name], path, {"roles": []}).status, 201, name)
            self.assert_problem(self.put(actors["auditor"], path, {"roles": []}), 403)
            self.assertEqual(self.delete(actors[name], path).status, 204, name)
        for name in ("organization-user-admin", "user-admin"):
            self.assert_problem(self.put(actors[name], path, {"roles": ["organization-auditor"]}), 403)
        self.assertEqual(self.put(actors["organization-admin"], path, {"roles": ["organization-admin"]}).status, 201)
        for name in ("organization-user-admin", "user-admin"):
            self.assert_problem(self.put(actors[name], path, {"roles": []}), 403)
            self.assert_problem(self.delete(actors[name], path), 403)

    def test_roles_of_elsewhere_and_of_nowhere_are_refused(self):
        org, other = self.organization(), self.organization("other")
        user, _ = self.person("ada")
        path = f"/organizations/{org}/members/{user}"
        for role in (f"organization-admin:{other}", "owner", "no-such-role", "member", f"owner:{org}", "a:b:c", ""):
            self.assert_problem(self.put(self.owner, path, {"roles": [role]}), 422, "/roles/0")
        self.assert_problem(self.put(self.owner, path, {}), 422, "/roles")
        self.assert_problem(self.put(self.owner, f"/organizations/{org}/members/{new_id()}", {"roles": []}), 404)
        self.assert_problem(self.put(self.owner, f"/organizations/{new_id()}/members/{user}", {"roles": []}), 404)

    def test_plain_members_see_each_other_and_strangers_see_nothing(self):
        org = self.organization()
        user, member = self.person("ada")
        self.member(org, user)
        self.assertEqual(self.get(member, f"/organizations/{org}/members").status, 200)
        _, stranger = self.person("max")
        for page in ("", f"?after={new_id()}"):
            self.assert_problem(self.get(stranger, f"/organizations/{org}/members{page}"), 403)
            self.assert_problem(self.get(stranger, f"/organizations/{new_id()}/members{page}"), 403)
            self.assert_problem(self.get(self.owner, f"/organizations/{new_id()}/members{page}"), 404)
        last = "ffffffff-ffff-4fff-bfff-ffffffffffff"
        self.assertEqual(self.get(member, f"/organizations/{org}/members?after={last}").json, {"members": []}, "behind the last one")


class Groups(DirectoryCase):
    def setUp(self):
        super().setUp()
        self.org = self.organization()
        self.ada_id, self.ada = self.person("ada")
        self.max_id, self.max = self.person("max")
        self.member(self.org, self.ada_id)
        self.member(self.org, self.max_id)

    def test_are_put_read_listed_and_deleted(self):
        group = new_id()
        path = f"/organizations/{self.org}/groups/{group}"
        answer = self.put(self.owner, path, {"name": "ops", "members": [self.ada_id, self.ada_id]})
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.json, {"id": group, "organization_id": self.org, "name": "ops", "members": [self.ada_id]})
        self.assertEqual(self.get(self.ada, "/authz/whoami").json["groups"], [group], "at once")
        self.assertEqual(self.put(self.owner, path, {"name": "ops", "members": [self.ada_id]}).status, 200)
        self.assertEqual(self.get(self.owner, f"/organizations/{self.org}/groups").json["groups"], [answer.json])
        self.assertEqual(self.put(self.owner, path, {"name": "ops", "members": [self.max_id]}).status, 200)
        self.assertEqual(self.get(self.ada, "/authz/whoami").json["groups"], [])
        self.assertEqual(self.delete(self.owner, path).status, 204)
        self.assert_problem(self.get(self.owner, path), 404)
        self.assertEqual(self.get(self.max, "/authz/whoami").json["groups"], [])

    def test_only_members_of_the_organization_are_in_them(self):
        stranger, _ = self.person("eve")
        path = f"/organizations/{self.org}/groups/{new_id()}"
        self.assert_problem(self.put(self.owner, path, {"name": "g", "members": [self.ada_id, stranger, new_id()]}), 422, "/members/1")
        self.assert_problem(self.put(self.owner, path, {"name": "g", "members": ["x"]}), 422, "/members/0")
        self.assert_problem(self.put(self.owner, path, {"name": "g"}), 422, "/members")
        self.assert_problem(self.put(self.owner, f"/organizations/{new_id()}/groups/{new_id()}", {"name": "g", "members": []}), 404)

    def test_the_everyone_group_and_groups_of_others_are_left_alone(self):
        self.assert_problem(self.put(self.owner, f"/organizations/{self.org}/groups/{self.org}", {"name": "g", "members": []}), 409)
        other, group = self.organization("other"), new_id()
        self.assertEqual(self.put(self.owner, f"/organizations/{other}/groups/{group}", {"name": "g", "members": []}).status, 201)
        self.assert_problem(self.put(self.owner, f"/organizations/{self.org}/groups/{group}", {"name": "g", "members": []}), 409)
        self.assert_problem(self.delete(self.owner, f"/organizations/{self.org}/groups/{group}"), 404)

    def test_members_see_groups_and_only_themselves_in_them(self):
        path = f"/organizations/{self.org}/groups/{new_id()}"
        self.put(self.owner, path, {"name": "ops", "members": [self.ada_id, self.max_id]})
        self.assertEqual(self.get(self.ada, path).json["members"], [self.ada_id])
        self.assert_problem(self.put(self.ada, path, {"name": "mine", "members": []}), 403)
        self.assert_problem(self.delete(self.ada, path), 403)
        _, stranger = self.person("eve")
        self.assert_problem(self.get(stranger, path), 403)
        listed = self.get(self.ada, f"/organizations/{self.org}/groups").json["groups"]
        self.assertEqual([each["members"] for each in listed], [[self.ada_id]])
        for page in ("", f"?after={new_id()}"):
            self.assert_problem(self.get(stranger, f"/organizations/{self.org}/groups{page}"), 403)
            self.assert_problem(self.get(self.owner, f"/organizations/{new_id()}/groups{page}"), 404)

    def test_lists_come_page_by_page(self):
        groups = [new_id() for _ in range(7)]
        for number, group in enumerate(groups):
            self.put(self.owner, f"/organizations/{self.org}/groups/{group}", {"name": f"g{number}", "members": [self.ada_id]})
        self.assertEqual(self.pages(f"/organizations/{self.org}/groups", "id"), sorted(groups))

    def test_a_page_holds_no_more_members_than_anybody_can_use(self):
        """Six full groups: five go into a page, whatever limit was asked for."""
        self.postgres.sql(f"""
            INSERT INTO tallyd.users (id, username, version) SELECT gen_random_uuid(), 'crowd' || n, 1 FROM generate_series(1, 10000) n;
            INSERT INTO tallyd.organization_members (organization_id, user_id, version)
              SELECT '{self.org}', id, 1 FROM tallyd.users WHERE username LIKE 'crowd%';
            INSERT INTO tallyd.groups (id, organization_id, name, version)
              SELECT gen_random_uuid(), '{self.org}', 'g' || n, 1 FROM generate_series(1, 6) n;
            INSERT INTO tallyd.group_members (organization_id, group_id, user_id)
              SELECT '{self.org}', g.id, u.id FROM tallyd.groups g, tallyd.users u WHERE u.username LIKE 'crowd%'""", self.database_name)
        first = self.get(self.owner, f"/organizations/{self.org}/groups?limit=1000").json
        self.assertEqual([len(each["members"]) for each in first["groups"]], [10000] * 5)
        second = self.get(self.owner, f"/organizations/{self.org}/groups?limit=1000&after={first['next']}").json
        self.assertEqual([len(each["members"]) for each in second["groups"]], [10000])
        self.assertNotIn("next", second)
        self.assertEqual([len(each["members"]) for each in self.get(self.ada, f"/organizations/{self.org}/groups").json["groups"]], [0] * 6)


READ = {"resource_type": "workspace", "action": "read"}


class CustomRoles(DirectoryCase):
    def setUp(self):
        super().setUp()
        self.org = self.organization()
        self.admin_id, self.admin = self.person("adam")
        self.member(self.org, self.admin_id, "organization-admin")
        self.path = f"/organizations/{self.org}/roles/watcher"

    def test_are_put_given_changed_and_deleted(self):
        answer = self.put(self.admin, self.path, {"display_name": "Watcher", "org_perms": [READ]})
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.json, {
            "name": "watcher", "organization_id": self.org, "display_name": "Watcher", "is_system": False,
            "org_perms": [{**READ, "negate": False}], "member": []})
        self.assertEqual(self.get(self.admin, self.path).json, answer.json)
        user, client = self.person("ada")
        self.member(self.org, user, "watcher")
        self.assertTrue(self.may(client, "workspace", "read", organization_id=self.org))
        self.assertIn(f"watcher:{self.org}", self.get(client, "/authz/whoami").json["roles"])
        changed = self.put(self.admin, self.path, {"permissions": [{"resource_type": "task", "action": "read"}]})
        self.assertEqual(changed.status, 200, changed)
        self.assertFalse(self.may(client, "workspace", "read", organization_id=self.org), "at once")
        self.assertTrue(self.may(client, "task", "read", organization_id=self.org))
        self.assertEqual([each["name"] for each in self.get(self.admin, f"/organizations/{self.org}/roles").json["roles"]], ["watcher"])
        self.assertEqual(self.delete(self.admin, self.path).status, 204)
        self.assertFalse(self.may(client, "task", "read", organization_id=self.org))
        self.assert_problem(self.get(self.admin, self.path), 404)
        member = self.get(self.owner, f"/organizations/{self.org}/members/{user}").json
        self.assertEqual(member["roles"], [], "its holders have lost it")

    def test_escalation_is_refused(self):
        for permission in ({"resource_type": "workspace", "action": "ssh"}, {"resource_type": "user_secret", "action": "read"},
                           {"resource_type": "boundary_usage", "action": "read"}):
            answer = self.put(self.admin, self.path, {"org_perms": [READ, permission]})
            self.assert_problem(answer, 403, "/org_perms/1")
            self.assertIn("escalation", answer.json["detail"])
        other = self.organization("other")
        self.assert_problem(self.put(self.admin, f"/organizations/{other}/roles/watcher", {"org_perms": [READ]}), 403)
        narrow = run_tallyd("token", "create", "--user", self.admin_id, "--scope", "assign_org_role:*", "--database-url", self.url).stdout.strip()
        self.assert_problem(self.put(self.daemon.client(narrow), self.path, {"org_perms": [READ]}), 403, "/org_perms/0")
        self.assert_problem(self.get(self.owner, self.path), 404)

    def test_the_checks_run_in_their_order(self):
        member_id, member = self.person("max")
        self.member(self.org, member_id)
        everything_wrong = {"site": [READ], "member": [READ], "org_perms": [{"resource_type": "foobar", "action": "*", "negate": True}]}
        self.assert_problem(self.put(member, self.path, everything_wrong), 403)
        for change, word, pointer in (
                ({}, "mixed_levels", "/site/0"), ({"site": [], "user": [READ]}, "mixed_levels", "/user/0"),
                ({"user": []}, "member_permissions", "/member/0"), ({"member": []}, "invalid_resource", "/org_perms/0"),
                ({"org_perms": [{"resource_type": "workspace", "action": "juggle", "negate": True}]}, "invalid_action", "/org_perms/0"),
                ({"org_perms": [{"resource_type": "workspace", "action": "*", "negate": True}]}, "negative", "/org_perms/0"),
                ({"org_perms": [READ, {"resource_type": "workspace", "action": "*"}]}, "wildcard", "/org_perms/1")):
            everything_wrong.update(change)
            answer = self.put(self.admin, self.path, everything_wrong)
            self.assert_problem(answer, 422, pointer)
            self.assertTrue(answer.json["detail"].startswith(word), answer.json)

    def test_built_in_names_are_reserved_and_others_must_fit_into_a_role_string(self):
        for name in ("owner", "member", "organization-admin", "organization-member", "auditor"):
            answer = self.put(self.admin, f"/organizations/{self.org}/roles/{name}", {"org_perms": [READ]})
            self.assert_problem(answer, 422)
        for name in ("a%3Ab", "a%20b", "%C3%A4", "x" * 65, "a%00b"):
            self.assert_problem(self.put(self.admin, f"/organizations/{self.org}/roles/{name}", {"org_perms": [READ]}), 422)

    def test_are_listed_page_by_page(self):
        roles = f"/organizations/{self.org}/roles"
        names = ["B", "a", "a-b", "a.b", "a_b", "aB", "z1"]
        for name in reversed(names):
            self.assertEqual(self.put(self.admin, f"{roles}/{name}", {"org_perms": []}).status, 201)
        seen, path = [], f"{roles}?limit=3"
        while path:
            page = self.get(self.admin, path).json
            self.assertLessEqual(len(page["roles"]), 3)
            seen += [each["name"] for each in page["roles"]]
            path = f"{roles}?limit=3&after={page['next']}" if "next" in page else None
        self.assertEqual(seen, sorted(names))
        for query in ("limit=0", "limit=x", "color=red"):
            self.assert_problem(self.get(self.admin, f"{roles}?{query}"), 400)

    def test_names_that_the_rules_of_assignment_know_are_reserved(self):
        for name in ("system", "prebuilds-orchestrator", "custom-organization-role", "custom-site-role"):
            answer = self.put(self.owner, f"/organizations/{self.org}/roles/{name}", {"org_perms": []})
            self.assert_problem(answer, 422)
            self.assertIn("reserved_name", answer.json["detail"])

    def test_one_with_the_name_of_a_system_subject_helps_nobody_to_give_roles(self):
        target, _ = self.person("target")
        user, client = self.person("uma")
        self.assertEqual(self.put(self.owner, self.path, {"org_perms": []}).status, 201)
        self.member(self.org, user, "organization-user-admin", "watcher")
        # As it could be made before the name was reserved; the next change of the user brings it to the replica.
        self.postgres.sql("UPDATE tallyd.custom_roles SET name = 'system'", self.database_name)
        self.postgres.sql("UPDATE tallyd.organization_members SET roles = array_replace(roles, 'watcher', 'system')", self.database_name)
        self.assertEqual(self.put(self.owner, f"/users/{user}", a_user("uma b")).status, 200)
        self.assertIn(f"system:{self.org}", self.get(client, "/authz/whoami").json["roles"])
        path = f"/organizations/{self.org}/members/{target}"
        self.assert_problem(self.put(client, path, {"roles": ["organization-admin"]}), 403)
        self.assert_problem(self.put(client, f"/organizations/{self.org}/members/{user}", {"roles": ["organization-admin"]}), 403)
        self.assertEqual(self.put(client, path, {"roles": []}).status, 201, "what her own role gives")

    def test_one_that_has_vanished_is_taken_away_and_not_given(self):
        user, _ = self.person("ada")
        path = f"/organizations/{self.org}/members/{user}"
        for _ in range(2):
            self.member(self.org, user)
            self.postgres.sql(f"UPDATE tallyd.organization_members SET roles = '{{ghost,organization-auditor}}' WHERE user_id = '{user}'", self.database_name)
            self.assert_problem(self.put(self.admin, path, {"roles": ["ghost", "organization-auditor"]}), 422, "/roles/0")
            self.assert_problem(self.put(self.admin, path, {"roles": ["organization-auditor", "ghost"]}), 422, "/roles/1")
            self.assertEqual(self.put(self.admin, path, {"roles": ["organization-auditor"]}).json["roles"], ["organization-auditor"])
            self.postgres.sql(f"UPDATE tallyd.organization_members SET roles = '{{ghost}}' WHERE user_id = '{user}'", self.database_name)
            self.assertEqual(self.delete(self.admin, path).status, 204)
        self.member(self.org, user)
        self.postgres.sql(f"UPDATE tallyd.organization_members SET roles = '{{ghost}}' WHERE user_id = '{user}'", self.database_name)
        self.assertEqual(self.delete(self.owner, f"/users/{user}").status, 204)

    def test_given_while_they_are_deleted_they_stay_with_nobody(self):
        """One hand gives the role, the other deletes it and makes it anew: whoever holds it holds one that is there."""
        user, _ = self.person("ada")
        self.member(self.org, user)
        path, outcomes, done = f"/organizations/{self.org}/members/{user}", [], threading.Event()

        def give():
            while not done.is_set():
                for roles in (["watcher"], []):
                    outcomes.append(self.put(self.admin, path, {"roles": roles}).status)

        thread = threading.Thread(target=give)
        thread.start()
        owner = self.daemon.client(self.owner._token)
        try:
            for _ in range(15):
                self.assertEqual(owner.request("PUT", API + self.path, {"org_perms": [READ]}).status, 201)
                self.assertEqual(owner.request("DELETE", API + self.path).status, 204)
                held = self.postgres.sql(f"SELECT roles FROM tallyd.organization_members WHERE user_id = '{user}'", self.database_name)
                self.assertEqual(held, [["{}"]], "deleted, it is nobody's")
        finally:
            done.set()
            thread.join()
        self.assertLessEqual(set(outcomes), {200, 409, 422})

    def test_hostile_bodies_are_refused_with_a_pointer(self):
        for body, pointer in (
                ([], ""), ({"org_perms": {}}, "/org_perms"), ({"org_perms": ["workspace:read"]}, "/org_perms/0"),
                ({"org_perms": [{"action": "read"}]}, "/org_perms/0/resource_type"),
                ({"org_perms": [{"resource_type": "workspace", "action": "read", "negate": 1}]}, "/org_perms/0/negate"),
                ({"org_perms": [READ], "permissions": [READ]}, "/permissions"), ({"org_perms": [READ] * 1001}, "/org_perms")):
            self.assert_problem(self.put(self.admin, self.path, body), 422, pointer)

    def test_a_role_may_hold_nothing_at_all(self):
        """"may create org roles, nothing else | none | ok"."""
        for name, body in (("a", {}), ("b", {"display_name": "B"}), ("c", {"org_perms": []})):
            answer = self.put(self.admin, f"/organizations/{self.org}/roles/{name}", body)
            self.assertEqual((answer.status, answer.json.get("org_perms")), (201, []), answer)

    def test_permissions_are_kept_once(self):
        answer = self.put(self.admin, self.path, {"org_perms": [READ] * 1000})
        self.assertEqual((answer.status, answer.json["org_perms"]), (201, [{**READ, "negate": False}]))

    def test_lists_come_page_by_page(self):
        for number in range(7):
            self.assertEqual(self.put(self.admin, f"/organizations/{self.org}/roles/r{number}", {"org_perms": [READ]}).status, 201)
        self.assertEqual(self.pages(f"/organizations/{self.org}/roles", "name"), [f"r{number}" for number in range(7)])

    def test_an_organization_has_at_most_a_thousand(self):
        self.postgres.sql(
            f"INSERT INTO tallyd.custom_roles (organization_id, name, version) SELECT '{self.org}', 'r' || n, 1 FROM generate_series(1, 999) n", self.database_name)
        self.assertEqual(self.put(self.admin, self.path, {"org_perms": []}).status, 201)
        answer = self.put(self.admin, f"/organizations/{self.org}/roles/more", {"org_perms": []})
        self.assert_problem(answer, 409)
        self.assertIn("1000 custom roles", answer.json["detail"])
        self.assertEqual(self.put(self.admin, self.path, {"org_perms": [READ]}).status, 200, "those that are there can be changed")
        other = self.organization("other")
        self.assertEqual(self.put(self.owner, f"/organizations/{other}/roles/watcher", {"org_perms": []}).status, 201)

    def test_system_roles_take_the_right_on_the_system(self):
        body = {"is_system": True, "org_perms": [{"resource_type": "workspace", "action": "create", "negate": True}], "member": [READ]}
        path = f"/organizations/{self.org}/roles/frozen"
        # An organization's admin has every action on `system` in the organization, and none on the site's.
        self.assert_problem(self.put(self.admin, path, body), 403)
        self.assertEqual(self.put(self.owner, path, body).status, 201)
        self.assert_problem(self.put(self.admin, path, {"org_perms": [READ]}), 403)
        self.assertEqual(self.put(self.owner, path, {"org_perms": [READ]}).json["is_system"], True, "what it is never changes")

    def test_a_system_role_is_deleted_by_the_ordinary_right(self):
        """docs/decisions/0009: making one takes the system's right, deleting it the organization's."""
        body = {"is_system": True, "org_perms": [{"resource_type": "workspace", "action": "create", "negate": True}], "member": []}
        for name in ("frozen", "organization-member"):
            path = f"/organizations/{self.org}/roles/{name}"
            self.assertEqual(self.put(self.owner, path, body).status, 201)
            self.assert_problem(self.put(self.admin, path, {**body, "org_perms": []}), 403)
            before = len(self.audit())
            self.assertEqual(self.delete(self.admin, path).status, 204)
            self.assertEqual(self.audit()[before:], [["delete_role", f"user:{self.admin_id}"]])
            _, auditor = self.person(f"no admin of {name}", "auditor")
            self.assert_problem(self.delete(auditor, path), 403)

    def test_an_organizations_own_member_role_switches_sharing_off(self):
        user, client = self.person("ada")
        self.member(self.org, user)
        path = f"/organizations/{self.org}/roles/organization-member"
        usual = self.get(self.owner, "/authz/catalog").json["roles"]["organization-member"]
        unshared = {"is_system": True, "org_perms": [{"resource_type": "workspace", "action": "share", "negate": True}], "member": usual["member"]}
        where = {"organization_id": self.org, "owner_id": "me"}
        self.assertTrue(self.may(client, "workspace", "share", **where))
        self.assert_problem(self.put(self.admin, path, unshared), 403)
        self.assertEqual(self.put(self.owner, path, unshared).status, 201)
        self.assertFalse(self.may(client, "workspace", "share", **where))
        self.assertTrue(self.may(client, "workspace", "create", **where))
        self.assertEqual(self.delete(self.owner, path).status, 204)
        self.assertTrue(self.may(client, "workspace", "share", **where), "as every organization has it")
        self.assert_problem(self.put(self.owner, f"/organizations/{self.org}/roles/organization-admin", unshared), 422)


class TokensOverHttp(DirectoryCase):
    def make(self, client, **body):
        answer = client.post(f"{API}/tokens", body)
        self.assertEqual(answer.status, 201, answer)
        return answer.json

    def test_are_made_listed_and_revoked_by_their_owner(self):
        user, client = self.person("ada")
        made = self.make(client, name="laptop", scopes=["workspace:read", "user:read"])
        self.assertEqual((made["user_id"], made["scopes"], made["allow_list"]), (user, ["workspace:read", "user:read"], []))
        own = self.daemon.client(made["token"])
        self.assertEqual(self.get(own, f"/users/{user}").status, 200)
        self.assert_problem(self.get(own, "/tokens"), 403)
        listed = self.get(client, "/tokens").json["tokens"]
        self.assertEqual(listed[0]["id"], made["id"], "newest first")
        self.assertEqual(len(listed), 2)
        shown = self.get(client, f"/tokens/{made['id']}")
        secret = made["token"].rsplit("_", 1)[1]
        self.assertNotIn(secret, shown.body.decode() + json.dumps(listed), "the secret is shown once")
        self.assertEqual(self.delete(client, f"/tokens/{made['id']}").status, 204)
        self.assert_problem(self.get(own, f"/users/{user}"), 401)
        self.assertEqual(self.delete(client, f"/tokens/{made['id']}").status, 204, "again is no error")
        self.assertEqual(len(self.get(client, "/tokens").json["tokens"]), 1)

    def test_never_have_more_than_their_maker(self):
        user, client = self.person("ada")
        narrow = self.daemon.client(self.make(client, scopes=["api_key:*", "workspace:read"])["token"])
        self.assertEqual(narrow.post(f"{API}/tokens", {"scopes": ["workspace:read"]}).status, 201)
        for body in ({}, {"scopes": []}, {"scopes": ["coder:all"]}, {"scopes": ["all"]}, {"scopes": ["workspace:read", "workspace:update"]},
                     {"scopes": ["workspace:*"]}, {"scopes": ["*:*"]}):
            self.assert_problem(narrow.post(f"{API}/tokens", body), 403)
        workspace = new_id()
        listed = self.daemon.client(self.make(client, allow_list=[f"workspace:{workspace}", "api_key:*"])["token"])
        self.assertEqual(listed.post(f"{API}/tokens", {"allow_list": [f"workspace:{workspace.upper()}"]}).status, 201)
        for body in ({}, {"allow_list": ["*:*"]}, {"allow_list": ["workspace:*"]}, {"allow_list": [f"workspace:{new_id()}"]}):
            self.assert_problem(listed.post(f"{API}/tokens", body), 403)
        without = self.daemon.client(self.make(client, scopes=["workspace:read"])["token"])
        self.assert_problem(without.post(f"{API}/tokens", {"scopes": ["workspace:read"]}), 403)
        brief = self.daemon.client(self.make(client, expires_at="2099-01-01T00:00:00Z")["token"])
        self.assertTrue(self.make(brief)["expires_at"].startswith("2099-01-01T00:00:00"))
        self.assert_problem(brief.post(f"{API}/tokens", {"expires_at": "2099-01-01T00:00:01Z"}), 403, "/expires_at")
        self.assert_problem(client.post(f"{API}/tokens", {"user_id": self.owner_id}), 403, "/user_id")
        self.assert_problem(self.owner.post(f"{API}/tokens", {"user_id": user}), 403, "/user_id")
        self.assert_problem(self.owner.post(f"{API}/tokens", {"subject": "boundary-usage-tracker"}), 403, "/subject")
        self.assertEqual(client.post(f"{API}/tokens", {"user_id": user}).status, 201)
        self.assertEqual(client.post(f"{API}/tokens", {"user_id": "me"}).status, 201)

    def test_follow_their_owners_roles_down(self):
        user, client = self.person("ada", "auditor")
        token = self.daemon.client(self.make(client)["token"])
        self.assertTrue(self.may(token, "audit_log", "read"))
        self.assertEqual(self.put(self.owner, f"/users/{user}", a_user("ada", [])).status, 200)
        self.assertFalse(self.may(token, "audit_log", "read"))

    def test_are_of_no_concern_to_others(self):
        _, ada = self.person("ada")
        _, eve = self.person("eve")
        made = self.make(ada)
        for token_id in (made["id"], "0123456789", "nonsense", "x" * 300):
            self.assert_problem(self.get(eve, f"/tokens/{token_id}"), 403)
            self.assert_problem(self.delete(eve, f"/tokens/{token_id}"), 403)
        self.assertNotIn(made["id"], [each["id"] for each in self.get(eve, "/tokens").json["tokens"]])
        self.assertEqual(self.get(self.owner, f"/tokens/{made['id']}").status, 200)
        self.assert_problem(self.get(self.owner, "/tokens/0123456789"), 404)
        self.assertEqual(self.delete(self.owner, f"/tokens/{made['id']}").status, 204)
        self.assert_problem(self.get(self.daemon.client(made["token"]), "/authz/whoami"), 401)

    def test_are_made_by_no_agent_and_no_tracker(self):
        agent = run_tallyd(
            "token", "create", "--agent", "--workspace", new_id(), "--owner", self.owner_id, "--template", new_id(), "--version", new_id(),
            "--database-url", self.url).stdout.strip()
        for token in (agent, self.token(self.url)):
            self.assert_problem(self.daemon.client(token).post(f"{API}/tokens", {}), 403)

    def test_lists_come_page_by_page(self):
        ids = [self.make(self.owner, name=str(number))["id"] for number in range(6)]
        self.assertEqual(self.pages("/tokens", "id")[:6], ids[::-1])

    def test_are_at_most_a_thousand_for_one_owner(self):
        user, ada = self.person("ada")
        self.fill("kind, user_id", f"'user', '{user}'", 998)
        last = self.make(ada)
        self.assert_full(ada)
        self.assertEqual(self.owner.post(f"{API}/tokens", {}).status, 201, "others have their own thousand")
        self.assertEqual(self.delete(ada, f"/tokens/{last['id']}").status, 204)
        self.make(ada)
        self.assert_full(ada)

    def test_are_at_most_a_thousand_for_a_part_of_the_platform(self):
        system = self.daemon.client(self.token(self.url, "system-restricted"))
        self.fill("kind, system_subject", "'system', 'system_restricted'", 998)
        self.make(system)
        self.assert_full(system)

    def fill(self, columns, values, count):
        """Good tokens beside the one that the maker has."""
        self.postgres.sql(f"""
            INSERT INTO tallyd.api_tokens (id, secret_sha256, version, {columns})
              SELECT lpad(n::text, 10, '0'), sha256(n::text::bytea), 1, {values} FROM generate_series(1, {count}) n""", self.database_name)

    def assert_full(self, client):
        answer = client.post(f"{API}/tokens", {})
        self.assert_problem(answer, 409)
        self.assertIn("1000 tokens", answer.json["detail"])

    def test_expire(self):
        soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)).isoformat()
        client = self.daemon.client(self.make(self.owner, expires_at=soon)["token"])
        self.assertEqual(self.get(client, "/authz/whoami").status, 200)
        eventually(lambda: self.get(client, "/authz/whoami").status == 401, "it expires", 10)

    def test_show_when_they_were_last_used(self):
        made = self.make(self.owner)
        self.assertNotIn("last_used_at", self.get(self.owner, f"/tokens/{made['id']}").json)
        self.get(self.daemon.client(made["token"]), "/authz/whoami")
        eventually(lambda: "last_used_at" in self.get(self.owner, f"/tokens/{made['id']}").json, "its use is noted", 10)

    def test_show_their_use_once_the_database_takes_it(self):
        replica = self.replica(self.url, "chatty", log_level="debug")
        made = self.make(self.owner)
        self.postgres.sql(
            "CREATE FUNCTION tallyd.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not now'; END$$;"
            "CREATE TRIGGER refuse BEFORE UPDATE OF last_used_at ON tallyd.api_tokens FOR EACH ROW EXECUTE FUNCTION tallyd.refuse()",
            self.database_name)
        self.get(replica.client(made["token"]), "/authz/whoami")
        eventually(lambda: "the use of tokens was not noted" in [e["msg"] for e in replica.entries()], "it was tried", 10)
        self.postgres.sql("DROP TRIGGER refuse ON tallyd.api_tokens", self.database_name)
        eventually(lambda: "last_used_at" in self.get(self.owner, f"/tokens/{made['id']}").json, "its use is noted later", 20)

    def test_are_gone_from_the_database_some_time_after_their_end(self):
        sleeper = self.replica(self.url, "sleeper", retention_tokens="1s", dedup_window="1s")
        made = self.make(self.owner, name="phone")
        client = sleeper.client(made["token"])
        self.assertEqual(self.get(client, "/authz/whoami").json["token"]["name"], "phone")
        self.assertEqual(sleeper.stop(), 0)
        sleeper.start()
        self.assertEqual(self.get(client, "/authz/whoami").json["token"]["name"], "phone", "from its file, or from the database")
        self.assertEqual(sleeper.stop(), 0)
        self.assertEqual(self.delete(self.owner, f"/tokens/{made['id']}").status, 204)
        purger = self.replica(self.url, "purger", retention_tokens="1s", dedup_window="1s")
        eventually(lambda: self.postgres.sql(f"SELECT count(*) FROM tallyd.api_tokens WHERE id = '{made['id']}'", self.database_name) == [["0"]], "it is gone", 20)
        self.assertIn(["revoke_token", f"user:{self.owner_id}"], self.audit(), "its audit lines stay")
        self.assertEqual(self.get(purger.client(made["token"]), "/authz/whoami").status, 401)
        self.assertEqual(self.get(self.owner, "/authz/whoami").status, 200)
        # Nobody can tell the sleeper what it missed: it must find out by itself.
        sleeper.start()
        eventually(lambda: self.get(client, "/authz/whoami").status == 401, "it is refused by who slept through its end", 10)

    def test_hostile_bodies_are_refused_with_a_pointer(self):
        for body, pointer in (
                ({"scopes": "coder:all"}, "/scopes"), ({"scopes": ["nonsense"]}, "/scopes/0"), ({"scopes": ["coder:all", "workspace:juggle"]}, "/scopes/1"),
                ({"allow_list": ["nonsense"]}, "/allow_list/0"), ({"allow_list": []}, "/allow_list"), ({"allow_list": ["*:*"] * 129}, "/allow_list"),
                ({"expires_at": "tomorrow"}, "/expires_at"), ({"expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"), ({"expires_at": 5}, "/expires_at"),
                ({"name": "x" * 257}, "/name"), ({"name": "a\nb"}, "/name"), ([], "")):
            self.assert_problem(self.owner.post(f"{API}/tokens", body), 422, pointer)


class Questions(DirectoryCase):
    def test_are_answered_for_the_caller(self):
        org = self.organization()
        user, client = self.person("ada")
        self.member(org, user)
        checks = {
            "own": {"object": {"resource_type": "workspace", "owner_id": "me", "organization_id": org}, "action": "ssh"},
            "by id": {"object": {"resource_type": "workspace", "owner_id": user.upper(), "organization_id": org.upper()}, "action": "ssh"},
            "other's": {"object": {"resource_type": "workspace", "owner_id": self.owner_id, "organization_id": org}, "action": "ssh"},
            "anywhere": {"object": {"resource_type": "workspace", "owner_id": "me", "any_org": True}, "action": "create"},
            "unknown type": {"object": {"resource_type": "mystery"}, "action": "read"},
            "unknown action": {"object": {"resource_type": "workspace"}, "action": "juggle"},
            "secret": {"object": {"resource_type": "user_secret", "owner_id": "me", "resource_id": "1"}, "action": "read"},
        }
        answer = client.post(f"{API}/authz/check", {"checks": checks})
        self.assertEqual(answer.json, {
            "own": True, "by id": True, "other's": False, "anywhere": True, "unknown type": False, "unknown action": False, "secret": True})
        self.assertEqual(client.post(f"{API}/authz/check", {"checks": {}}).json, {})

    def test_a_prebuilt_workspace_is_asked_about_as_one_too(self):
        org, prebuilds = self.organization(), "c42fdf75-3097-471c-8c33-fb52454d81c0"
        _, client = self.person("tam", "template-admin")
        where = {"organization_id": org, "owner_id": prebuilds}
        for action, allowed in (("read", True), ("update", True), ("delete", True), ("start", False), ("ssh", False)):
            self.assertEqual(self.may(client, "workspace", action, **where), allowed, action)
        self.assertTrue(self.may(client, "workspace_dormant", "delete", **where))
        self.assertFalse(self.may(client, "workspace", "delete", organization_id=org, owner_id=self.owner_id), "somebody's")
        self.assertFalse(self.may(client, "task", "delete", **where), "no workspace")
        _, member = self.person("max")
        self.assertFalse(self.may(member, "workspace", "delete", **where))

    def test_of_an_agent_are_its_owners_narrowed_to_its_workspace(self):
        org, workspace, template = self.organization(), new_id(), new_id()
        user = new_id()
        where = {"organization_id": org, "owner_id": "me"}

        def agent(*flags):
            return self.daemon.client(run_tallyd(
                "token", "create", "--agent", "--workspace", workspace, "--owner", user, "--template", template, "--version", new_id(), *flags,
                "--database-url", self.url).stdout.strip())

        plain, blocked = agent(), agent("--no-user-data")
        event = {"workspace_id": workspace, "owner_id": user, "allowed": 1}
        for client in (plain, blocked):
            self.assertEqual(client.post(EVENTS, event).status, 202, "nobody in the directory owns it yet")
            self.assertFalse(self.may(client, "workspace", "read", resource_id=workspace, **where))
        self.assertEqual(self.put(self.owner, f"/users/{user}", a_user("ada", email="ada@x")).status, 201)
        self.member(org, user)
        for client in (plain, blocked):
            self.assertTrue(self.may(client, "workspace", "update", resource_id=workspace, **where))
            self.assertFalse(self.may(client, "workspace", "read", resource_id=new_id(), **where), "another one of the same owner")
            self.assertFalse(self.may(client, "workspace", "create", **where))
            self.assertFalse(self.may(client, "api_key", "create", owner_id="me"))
            self.assertEqual(client.post(EVENTS, event).status, 202)
            self.assertEqual(client.post(EVENTS, {**event, "workspace_id": new_id()}).status, 403)
            who = self.get(client, "/authz/whoami").json
            self.assertEqual((who["kind"], who["id"], who["workspace_id"], who["roles"]), ("agent", user, workspace, ["member", f"organization-member:{org}"]))
            self.assertNotIn("email", who)
            self.assert_problem(self.get(client, f"/users/{self.owner_id}"), 403)
        self.assertTrue(self.may(plain, "user", "read_personal", resource_id=user, owner_id="me"))
        self.assertFalse(self.may(blocked, "user", "read_personal", resource_id=user, owner_id="me"))
        self.assertEqual(self.get(plain, f"/users/{user}").json["email"], "ada@x")
        self.assert_problem(self.get(blocked, f"/users/{user}"), 403)
        self.assertEqual(self.put(self.owner, f"/users/{user}", a_user("ada", ["owner"])).status, 200)
        self.assertFalse(self.may(plain, "audit_log", "read"), "the owner of the site too lends it no more than the workspace")
        self.assert_problem(self.delete(plain, f"/users/{user}"), 403)
        self.assert_problem(self.put(plain, f"/users/{user}", a_user("ada")), 403)

    def test_that_cannot_be_read_are_refused_with_a_pointer(self):
        good = {"resource_type": "workspace"}
        for body, pointer in (
                ({}, "/checks"), ({"checks": []}, "/checks"), ({"checks": {"a/b~c": {"action": "read"}}}, "/checks/a~1b~0c/object"),
                ({"checks": {"x": {"object": good}}}, "/checks/x/action"), ({"checks": {"x": {"object": {}, "action": "read"}}}, "/checks/x/object/resource_type"),
                ({"checks": {"x": {"object": {**good, "owner_id": "you"}, "action": "read"}}}, "/checks/x/object/owner_id"),
                ({"checks": {"x": {"object": {**good, "organization_id": "*"}, "action": "read"}}}, "/checks/x/object/organization_id"),
                ({"checks": {"x": {"object": {**good, "any_org": 1}, "action": "read"}}}, "/checks/x/object/any_org"),
                ({"checks": {"x": {"object": {**good, "any_org": True, "organization_id": new_id()}, "action": "read"}}}, "/checks/x/object"),
                ({"checks": {str(n): {"object": good, "action": "read"} for n in range(1001)}}, "/checks")):
            self.assert_problem(self.owner.post(f"{API}/authz/check", body), 422, pointer)

    def test_who_am_i(self):
        who = self.get(self.owner, "/authz/whoami").json
        self.assertEqual((who["id"], who["kind"], who["username"], who["roles"]), (self.owner_id, "user", "olga", ["member", "owner"]))
        tracker = self.get(self.daemon.client(self.token(self.url)), "/authz/whoami").json
        self.assertEqual((tracker["kind"], tracker["roles"]), ("system", ["boundary-usage-tracker"]))

    def test_the_catalog_is_the_contracts(self):
        catalog = self.get(self.owner, "/authz/catalog").json
        self.assertEqual(len(catalog["resources"]), 43)
        self.assertEqual(sorted(catalog["resources"]["boundary_usage"]["actions"]), ["delete", "read", "update"])
        self.assertIn({"resource_type": "user", "action": "read", "negate": False}, catalog["roles"]["auditor"]["site"])
        self.assertEqual(catalog["scopes"]["coder:all"], [{"resource_type": "*", "action": "*", "negate": False}])
        self.assertIn("connection-logger", catalog["system_subjects"])


class Audit(DirectoryCase):
    """What the lines in the log and in the table say of a change: what is new, what is lost, and by which right."""

    SITE = {"reason": "site_role", "level": "site", "role": "owner"}

    def line(self, message, action):
        """The newest of each, which say the same; the detail without its reason, and the reason."""
        actor, text = self.postgres.sql(f"SELECT actor, detail FROM tallyd.audit_log WHERE action = '{action}' ORDER BY id DESC LIMIT 1", self.database_name)[0]
        detail = json.loads(text)

        def logged():
            lines = [entry for entry in self.daemon.entries() if entry.get("audit") and entry["msg"] == message]
            return lines and lines[-1]["detail"] == detail and lines[-1]

        entry = eventually(logged, f"{message} is in the log as in the table: {detail}")
        reason = detail.pop("allowed_by")
        self.assertEqual((entry["by"], entry["allowed_by"]), (actor, reason["reason"]))
        return detail, reason

    def test_of_users(self):
        user, org, group = new_id(), self.organization(), new_id()
        self.put(self.owner, f"/users/{user}", a_user("ada", ["auditor"]))
        detail, reason = self.line("user created", "put_user")
        self.assertEqual(detail, {"username": "ada", "username_before": None, "roles": ["auditor"], "roles_before": None})
        self.assertEqual(reason, {**self.SITE, "permission": "user:*"})
        self.put(self.owner, f"/users/{user}", a_user("eda"))
        detail, _ = self.line("user changed", "put_user")
        self.assertEqual(detail, {"username": "eda", "username_before": "ada", "roles": [], "roles_before": ["auditor"]})
        self.member(org, user, "organization-auditor")
        self.put(self.owner, f"/organizations/{org}/groups/{group}", {"name": "ops", "members": [user]})
        token = run_tallyd("token", "create", "--user", user, "--database-url", self.url).stdout[4:14]
        self.delete(self.owner, f"/users/{user}")
        detail, reason = self.line("user deleted", "delete_user")
        self.assertEqual(detail, {
            "username": "eda", "roles_before": [], "organizations": {org: ["organization-auditor"]}, "organization_count": 1, "groups": [group],
            "group_count": 1, "tokens": [token], "tokens_revoked": 1})
        self.assertEqual(reason, {**self.SITE, "permission": "user:*"})

    def test_of_organizations_members_and_groups(self):
        org, group = self.organization(), new_id()
        detail, reason = self.line("organization created", "put_organization")
        self.assertEqual(detail, {"name": "acme", "name_before": None, "display_name": "Acme", "display_name_before": None})
        self.assertEqual(reason, {**self.SITE, "permission": "organization:*"})
        ada_id, ada = self.person("ada")
        self.member(org, ada_id, "organization-admin")
        detail, reason = self.line("member added", "put_member")
        self.assertEqual(detail, {"organization": org, "roles": ["organization-admin"], "roles_before": None})
        bob, _ = self.person("bob")
        self.put(ada, f"/organizations/{org}/members/{bob}", {"roles": []})
        _, reason = self.line("member added", "put_member")
        self.assertEqual(reason, {
            "reason": "org_role", "level": "org", "role": f"organization-admin:{org}", "permission": "organization_member:*"})
        self.put(ada, f"/organizations/{org}/groups/{group}", {"name": "ops", "members": [ada_id, bob]})
        detail, _ = self.line("group created", "put_group")
        self.assertEqual((detail["added"], detail["removed"], detail["added_count"]), (sorted([ada_id, bob]), [], 2))
        self.put(ada, f"/organizations/{org}/groups/{group}", {"name": "dev", "members": [bob]})
        detail, _ = self.line("group changed", "put_group")
        self.assertEqual((detail["name_before"], detail["added"], detail["removed"]), ("ops", [], [ada_id]))
        self.delete(ada, f"/organizations/{org}/members/{bob}")
        detail, _ = self.line("member removed", "delete_member")
        self.assertEqual(detail, {"organization": org, "roles_before": [], "groups": [group], "group_count": 1})
        self.put(ada, f"/organizations/{org}/groups/{group}", {"name": "dev", "members": [ada_id]})
        self.delete(ada, f"/organizations/{org}/groups/{group}")
        detail, _ = self.line("group deleted", "delete_group")
        self.assertEqual((detail["name"], detail["removed"], detail["members"]), ("dev", [ada_id], 1))
        self.delete(self.owner, f"/organizations/{org}")
        detail, reason = self.line("organization deleted", "delete_organization")
        self.assertEqual((detail["members"], detail["member_roles"]), (1, {ada_id: ["organization-admin"]}))
        self.assertEqual(reason["role"], "owner")

    def test_of_custom_roles(self):
        org = self.organization()
        ada_id, ada = self.person("ada")
        self.put(self.owner, f"/organizations/{org}/roles/maker", {"org_perms": [
            {"resource_type": "assign_org_role", "action": action} for action in ("create", "update", "delete", "read")]})
        detail, _ = self.line("custom role created", "put_role")
        self.assertEqual((len(detail["org"]), detail["org_before"]), (4, None))
        self.member(org, ada_id, "maker")
        self.assertEqual(self.put(ada, f"/organizations/{org}/roles/empty", {}).status, 201)
        detail, reason = self.line("custom role created", "put_role")
        self.assertEqual(reason, {"reason": "org_role", "level": "org", "role": f"maker:{org}", "permission": "assign_org_role:create"}, "a custom role gave the right")
        self.delete(self.owner, f"/organizations/{org}/roles/maker")
        detail, _ = self.line("custom role deleted", "delete_role")
        self.assertEqual((detail["held_by"], detail["holder_count"], len(detail["org_before"])), ([ada_id], 1, 4))

    def test_of_tokens(self):
        ada_id, ada = self.person("ada")
        workspace = f"workspace:{new_id()}"
        made = ada.post(f"{API}/tokens", {"name": "n", "scopes": ["workspace:read"], "allow_list": [workspace], "expires_at": "2099-01-01T00:00:00Z"}).json
        detail, reason = self.line("token created", "create_token")
        self.assertEqual((detail["kind"], detail["user"], detail["scopes"], detail["allow_list"], detail["name"]), ("user", ada_id, ["workspace:read"], [workspace], "n"))
        self.assertTrue(detail["expires_at"].startswith("2099-01-01T00:00:00"))
        self.assertEqual((reason["reason"], reason["level"], reason["role"]), ("user_role", "user", "member"))
        self.assertNotIn(made["token"].rsplit("_", 1)[1], self.daemon.log.read_text())
        self.delete(ada, f"/tokens/{made['id']}")
        detail, reason = self.line("token revoked", "revoke_token")
        self.assertEqual((detail["user"], detail["scopes"], reason["level"]), (ada_id, ["workspace:read"], "user"))
        before = len(self.audit())
        self.delete(ada, f"/tokens/{made['id']}")
        self.assertEqual(len(self.audit()), before, "nothing changed")

    def test_of_the_command_line(self):
        user, database = new_id(), ["--database-url", self.url]
        put = run_tallyd("user", "put", "--id", user, "--username", "ada", "--role", "auditor", *database)
        token = run_tallyd("token", "create", "--user", user, "--scope", "workspace:read", *database)
        revoked = run_tallyd("token", "revoke", token.stdout[4:14], *database)
        deleted = run_tallyd("user", "delete", user, *database)
        rows = self.postgres.sql("SELECT action, actor, detail FROM tallyd.audit_log ORDER BY id DESC LIMIT 4", self.database_name)[::-1]
        for (action, actor, text), said, words in zip(rows, (put, token, revoked, deleted), ("user created", "token created", "token revoked", "user deleted")):
            self.assertTrue(actor.startswith("cli:"), actor)
            self.assertIn(f"audit {words}", said.stderr, action)
            self.assertIn(f"detail={text}", said.stderr, "the log has what the table has")
            self.assertIsNone(json.loads(text)["allowed_by"])


class Bodies(DirectoryCase):
    """What every body of the directory, of tokens and of questions is held to."""

    def routes(self):
        org, user = self.organization(f"org{new_id()}"), new_id()
        self.assertEqual(self.put(self.owner, f"/users/{user}", a_user(f"u{user}")).status, 201)
        return (
            ("PUT", f"/users/{user}", a_user(f"u{user}"), "username"), ("PUT", f"/organizations/{org}", an_organization(f"o{org}"), "name"),
            ("PUT", f"/organizations/{org}/members/{user}", {"roles": []}, "roles"),
            ("PUT", f"/organizations/{org}/groups/{new_id()}", {"name": "g", "members": []}, "name"),
            ("PUT", f"/organizations/{org}/roles/r", {"display_name": "r", "org_perms": []}, "display_name"), ("POST", "/tokens", {"name": "t"}, "name"),
            ("POST", "/authz/check", {"checks": {}}, "checks"))

    def send(self, method, path, body):
        return self.owner.request(method, API + path, body, {"Content-Type": "application/json"})

    def test_unknown_members_are_ignored_whatever_number_they_hold(self):
        for method, path, body, read in self.routes():
            for number in ("1e999", "-1e400", "123456789012345678901234567890", "18446744073709551616"):
                text = json.dumps(body)
                unknown = f'{text[:-1]}, "unknown": {number}, "list": [{number}, {{"a": {number}}}]}}'
                self.assertIn(self.send(method, path, unknown.encode()).status, (200, 201), (path, number))
                wrong = {**body, read: "NUMBER"}
                self.assert_problem(self.send(method, path, json.dumps(wrong).replace('"NUMBER"', number).encode()), 422, f"/{read}")
            self.assert_problem(self.send(method, path, json.dumps(body).encode()[:-1] + b', "unknown": 1e999x}'), 400)

    def test_are_neither_too_large_nor_too_deep(self):
        for method, path, body, _ in self.routes():
            text = json.dumps(body)[:-1]
            self.assertIn(self.send(method, path, f'{text}, "unknown": {"[" * 7}{"]" * 7}}}'.encode()).status, (200, 201), path)
            answer = self.send(method, path, f'{text}, "unknown": {"[" * 8}{"]" * 8}}}'.encode())
            self.assert_problem(answer, 400)
            self.assertIn("nested deeper than 8", answer.json["detail"])
            self.assert_problem(self.send(method, path, b"[" * 1_000_000), 400)
            self.assert_problem(self.send(method, path, f'{text}, "unknown": "{"x" * (8 << 20)}"}}'.encode()), 413)


class TwoReplicas(DirectoryCase):
    """What one replica takes, the other honours within five seconds."""

    def setUp(self):
        super().setUp()
        self.other = self.replica(self.url, "other")

    def on_other(self, client_token):
        return self.other.client(client_token)

    def sign_in(self, name, *roles):
        user, client = self.person(name, *roles)
        return user, client, self.on_other(client._token)

    def test_a_role_that_is_taken_away(self):
        user, here, there = self.sign_in("ada", "auditor")
        self.assertTrue(self.may(there, "audit_log", "read"))
        self.assertEqual(self.put(self.owner, f"/users/{user}", a_user("ada", [])).status, 200)
        self.assertFalse(self.may(here, "audit_log", "read"), "at once here")
        eventually(lambda: not self.may(there, "audit_log", "read"), "and there", 5)

    def test_a_membership_a_group_and_a_custom_role(self):
        org = self.organization()
        user, here, there = self.sign_in("ada")
        self.assertFalse(self.may(there, "workspace", "read", organization_id=org))
        self.assertEqual(self.put(self.owner, f"/organizations/{org}/roles/watcher", {"org_perms": [READ]}).status, 201)
        self.member(org, user, "watcher")
        eventually(lambda: self.may(there, "workspace", "read", organization_id=org), "the role is honoured there", 5)
        self.assertEqual(self.put(self.owner, f"/organizations/{org}/roles/watcher", {"org_perms": []}).status, 200)
        self.assertFalse(self.may(here, "workspace", "read", organization_id=org), "at once here")
        eventually(lambda: not self.may(there, "workspace", "read", organization_id=org), "changed there", 5)
        group = new_id()
        self.assertEqual(self.put(self.owner, f"/organizations/{org}/groups/{group}", {"name": "g", "members": [user]}).status, 201)
        eventually(lambda: self.get(there, "/authz/whoami").json["groups"] == [group], "in the group there", 5)
        self.assertEqual(self.delete(self.owner, f"/organizations/{org}").status, 204)
        eventually(lambda: self.get(there, "/authz/whoami").json["organizations"] == [], "out of it there", 5)

    def test_a_token_that_is_revoked_and_a_user_that_is_deleted(self):
        user, here, there = self.sign_in("ada")
        made = here.post(f"{API}/tokens", {}).json
        second = self.on_other(made["token"])
        self.assertEqual(self.get(second, "/authz/whoami").status, 200, "a new token works at once on every replica")
        self.assertEqual(self.delete(here, f"/tokens/{made['id']}").status, 204)
        eventually(lambda: self.get(second, "/authz/whoami").status == 401, "revoked there", 5)
        self.assertEqual(self.delete(self.owner, f"/users/{user}").status, 204)
        self.assertEqual(self.get(here, "/authz/whoami").status, 401)
        eventually(lambda: self.get(there, "/authz/whoami").status == 401, "deleted there", 5)

    def test_a_new_token_has_all_its_rights_at_once_everywhere(self):
        org = self.organization()
        self.assertEqual(self.put(self.owner, f"/organizations/{org}/roles/watcher", {"org_perms": [READ]}).status, 201)
        user = new_id()
        self.assertEqual(self.put(self.owner, f"/users/{user}", a_user("new")).status, 201)
        self.member(org, user, "watcher")
        token = run_tallyd("token", "create", "--user", user, "--database-url", self.url).stdout.strip()
        self.assertTrue(self.may(self.on_other(token), "workspace", "read", organization_id=org))

    def test_changes_at_once_on_both_lose_nothing(self):
        """Both replicas change the roles of one user again and again: each change is checked against what it replaces."""
        user, _, _ = self.sign_in("ada")
        owner_there = self.on_other(self.owner._token)
        outcomes = []

        def change(client, roles):
            for _ in range(10):
                outcomes.append(self.put(client, f"/users/{user}", a_user("ada", roles)).status)

        threads = [threading.Thread(target=change, args=pair) for pair in ((self.owner, ["auditor"]), (owner_there, ["template-admin"]))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLessEqual(set(outcomes), {200, 409})
        self.assertIn(self.get(self.owner, f"/users/{user}").json["roles"], (["auditor"], ["template-admin"]))

    def test_a_revocation_arrives_though_the_rest_cannot_be_read(self):
        _, here, there = self.sign_in("ada")
        made = here.post(f"{API}/tokens", {}).json
        second = self.on_other(made["token"])
        self.assertEqual(self.get(second, "/authz/whoami").status, 200)
        self.postgres.sql("ALTER TABLE tallyd.users RENAME TO users_away", self.database_name)
        run_tallyd("token", "revoke", made["id"], "--database-url", self.url)
        eventually(lambda: self.get(second, "/authz/whoami").status == 401, "revoked there", 5)
        self.assertEqual(self.get(there, "/authz/whoami").status, 200)

    def test_rights_are_honoured_from_the_state_directory_too(self):
        org = self.organization()
        user, _, there = self.sign_in("ada")
        self.assertEqual(self.put(self.owner, f"/organizations/{org}/roles/watcher", {"org_perms": [READ]}).status, 201)
        self.member(org, user, "watcher")
        eventually(lambda: self.may(there, "workspace", "read", organization_id=org), "known there", 5)
        self.other.stop()
        self.postgres.sql("ALTER TABLE tallyd.users RENAME TO users_away", self.database_name)
        self.other.start()
        self.assertTrue(self.may(there, "workspace", "read", organization_id=org), "the database could not be asked")


class Commands(DirectoryCase):
    def test_users_are_put_listed_and_deleted(self):
        user = new_id()
        database = ["--database-url", self.url]
        out = run_tallyd("user", "put", "--id", user, "--username", "ada", "--email", "a@x", "--role", "auditor", *database, "--output", "json")
        self.assertEqual(json.loads(out.stdout), {"id": user, "created": True})
        out = run_tallyd("user", "put", "--id", user, "--username", "ada l", *database, "--output", "json")
        self.assertEqual(json.loads(out.stdout), {"id": user, "created": False})
        users = json.loads(run_tallyd("user", "list", *database, "--output", "json").stdout)["users"]
        self.assertIn({"id": user, "username": "ada l", "email": "", "roles": []}, users)
        self.assertIn("ada l", run_tallyd("user", "list", *database).stdout)
        taken = run_tallyd("user", "put", "--id", new_id(), "--username", "ADA L", *database, check=False)
        self.assertEqual(taken.returncode, 1)
        self.assertIn("belongs to another user", taken.stderr)
        for words in (["--id", "x", "--username", "y"], ["--id", new_id(), "--username", ""], ["--id", new_id(), "--username", "y", "--role", "boss"]):
            self.assertEqual(run_tallyd("user", "put", *words, *database, check=False).returncode, 2, words)
        self.assertEqual(json.loads(run_tallyd("user", "delete", user, *database, "--output", "json").stdout), {"id": user, "deleted": True})
        gone = run_tallyd("user", "delete", user, *database, check=False)
        self.assertEqual(gone.returncode, 1)
        self.assertIn("there is no user", gone.stderr)

    def test_tokens_are_revoked(self):
        token = self.token(self.url)
        client = self.daemon.client(token)
        event = {"workspace_id": new_id(), "owner_id": new_id(), "allowed": 1}
        self.assertEqual(client.post(EVENTS, event).status, 202)
        out = run_tallyd("token", "revoke", token.split("_")[1], "--database-url", self.url)
        self.assertEqual(out.returncode, 0)
        eventually(lambda: client.post(EVENTS, event).status == 401, "it is refused", 5)
        listed = json.loads(run_tallyd("token", "list", "--all", "--database-url", self.url, "--output", "json").stdout)["tokens"]
        self.assertIn("revoked", [each["state"] for each in listed if each["id"] == token.split("_")[1]])
        unknown = run_tallyd("token", "revoke", "0123456789", "--database-url", self.url, check=False)
        self.assertEqual(unknown.returncode, 1)
