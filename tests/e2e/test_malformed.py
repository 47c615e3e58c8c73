"""fault 21: hostile and broken input gets its status, counts nothing, and disturbs nobody else."""
import gzip
import json
import re
import uuid

from harness.books import EVENTS, Figures
from harness.case import Case
from harness.client import raw_exchange, status_of

W, U = str(uuid.UUID(int=11)), str(uuid.UUID(int=12))


def event(**changes):
    members = {"workspace_id": f'"{W}"', "owner_id": f'"{U}"', "allowed": "1", "denied": "1"}
    members.update(changes)
    return "{" + ",".join(f'"{name}":{value}' for name, value in members.items() if value is not None) + "}"


# Not JSON: 400.
NOT_JSON = {
    "empty body": b"",
    "only space": b"  \n",
    "truncated": event()[:-1].encode(),
    "trailing bytes": event().encode() + b"x",
    "two documents": (event() + event()).encode(),
    "trailing comma": event().replace('"denied":1', '"denied":1,').encode(),
    "single quotes": event().replace('"', "'").encode(),
    "a comment": b"/* */" + event().encode(),
    "NaN": event(allowed="NaN").encode(),
    "Infinity": event(allowed="Infinity").encode(),
    "leading zero": event(allowed="01").encode(),
    "plus sign": event(allowed="+1").encode(),
    "hex": event(allowed="0x1").encode(),
    "a lone minus": event(allowed="-").encode(),
    "unclosed string": b'{"workspace_id":"',
    "control character in a string": event(workspace_id=f'"{W[:-1]}\x01"').encode(),
    "overlong UTF-8": event(extra='"').encode()[:-1] + b'\xc0\xaf"}',
    "a lone continuation byte": event().encode()[:-1] + b',"x":"\x80"}',
    "an UTF-8 surrogate": event().encode()[:-1] + b',"x":"\xed\xa0\x80"}',
    "UTF-16": event().encode("utf-16"),
    "NUL after it": event().encode() + b"\0",
    "array not closed": f"[{event()}".encode(),
    "array with a hole": f"[{event()},,{event()}]".encode(),
    "bare word": b"hello",
    "a thousand brackets": b"[" * 1000,
}

# JSON, not an event: 422, with a pointer to what is wrong.
NOT_AN_EVENT = {
    "null": (b"null", None),
    "a string": (b'"event"', None),
    "a number": (b"1", None),
    "an empty object": (b"{}", None),
    "no workspace_id": (event(workspace_id=None), "/workspace_id"),
    "no owner_id": (event(owner_id=None), "/owner_id"),
    "no count at all": (event(allowed=None, denied=None), None),
    "null workspace_id": (event(workspace_id="null"), "/workspace_id"),
    "number as workspace_id": (event(workspace_id="7"), "/workspace_id"),
    "empty workspace_id": (event(workspace_id='""'), "/workspace_id"),
    "UUID without dashes": (event(workspace_id=f'"{W.replace("-", "")}"'), "/workspace_id"),
    "UUID in braces": (event(workspace_id=f'"{{{W}}}"'), "/workspace_id"),
    "UUID as URN": (event(workspace_id=f'"urn:uuid:{W}"'), "/workspace_id"),
    "UUID with a space": (event(workspace_id=f'" {W[1:]}"'), "/workspace_id"),
    "UUID one too long": (event(workspace_id=f'"{W}0"'), "/workspace_id"),
    "UUID with a g": (event(owner_id=f'"{U[:-1]}g"'), "/owner_id"),
    "UUID with a full-width digit": (event(owner_id=f'"{U[:-1]}１"'), "/owner_id"),
    "negative count": (event(allowed="-1"), "/allowed"),
    "fraction": (event(allowed="1.5"), "/allowed"),
    "2^53": (event(allowed=str(2**53)), "/allowed"),
    "2^63": (event(denied=str(2**63)), "/denied"),
    "2^64": (event(denied=str(2**64)), "/denied"),
    "2^200": (event(denied=str(2**200)), "/denied"),
    "1e400": (event(allowed="1e400"), "/allowed"),
    "string count": (event(allowed='"1"'), "/allowed"),
    "null count": (event(allowed="null"), "/allowed"),
    "true count": (event(allowed="true"), "/allowed"),
    "array count": (event(allowed="[1]"), "/allowed"),
    "duplicate allowed": (event()[:-1] + ',"allowed":1}', "/allowed"),
    "duplicate workspace_id": (event()[:-1] + f',"workspace_id":"{W}"}}', "/workspace_id"),
    "escaped duplicate": (event()[:-1] + ',"\\u0061llowed":1}', "/allowed"),
    "bad time": (event(time='"yesterday"'), "/time"),
    "time with month 13": (event(time='"2026-13-01T00:00:00Z"'), "/time"),
    "time as number": (event(time="1"), "/time"),
    "bad second of three": (f"[{event()},{event(allowed='-1')},{event()}]", "/1/allowed"),
    "a string among events": (f'[{event()},"x"]', "/1"),
    "array in array": (f"[[{event()}]]", "/0"),
}


class MalformedEvents(Case):
    def setUp(self):
        super().setUp()
        url = self.database()
        self.daemon = self.replica(url)
        self.client = self.daemon.client(self.token(url))

    def tearDown(self):
        self.settle(self.client)
        self.assertEqual(Figures.of(self.summary(self.client)), Figures(), "nothing was counted")

    def post(self, body, content_type="application/json", **headers):
        if isinstance(body, str):
            body = body.encode()
        return self.client.post(EVENTS, body, {"Content-Type": content_type, **headers})

    def check_problem(self, answer, status, name):
        self.assertEqual(answer.status, status, f"{name}: {answer}")
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json", name)
        problem = answer.json
        self.assertEqual(problem["status"], status, name)
        self.assertTrue({"type", "title", "detail"} <= problem.keys(), f"{name}: {problem}")
        return problem

    def test_what_is_not_JSON_is_400(self):
        for name, body in NOT_JSON.items():
            with self.subTest(name):
                self.check_problem(self.post(body), 400, name)

    def test_what_is_not_an_event_is_422_and_says_where(self):
        for name, (body, pointer) in NOT_AN_EVENT.items():
            with self.subTest(name):
                problem = self.check_problem(self.post(body), 422, name)
                if pointer is not None:
                    self.assertIn(pointer, [error["pointer"] for error in problem["errors"]], name)

    def test_a_bad_line_of_NDJSON_is_named_by_its_number(self):
        body = "\n".join([event(), event(), event(allowed="-1"), event()])
        problem = self.check_problem(self.post(body, "application/x-ndjson"), 422, "line 2")
        self.assertEqual([error["pointer"] for error in problem["errors"]], ["/2/allowed"])
        self.check_problem(self.post(event() + "\n{", "application/x-ndjson"), 400, "a line that is not JSON")
        self.check_problem(self.post(event() + event(), "application/x-ndjson"), 400, "two on a line")
        self.check_problem(self.post("", "application/x-ndjson"), 400, "no line at all")

    def test_depth_is_limited(self):
        deep = event(extra="[" * 50 + "]" * 50)
        self.assertIn(self.post(deep).status, (400, 422))
        self.assertIn(self.post("[" * 100000 + "]" * 100000).status, (400, 422))

    def test_other_content_types_are_415(self):
        for content_type in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "application/json5", "json", ""):
            self.check_problem(self.post(event(), content_type), 415, content_type)
        self.check_problem(self.client.post(EVENTS, event().encode(), {}), 415, "none at all")

    def test_other_content_encodings_are_415(self):
        for encoding in ("br", "deflate", "zstd", "gzip, gzip"):
            self.check_problem(self.post(event(), **{"Content-Encoding": encoding}), 415, encoding)

    def test_a_body_over_the_limit_is_413_and_the_client_can_read_it(self):
        self.check_problem(self.post(b" " * (9 * 1024 * 1024)), 413, "9 MiB")

    def test_idempotency_keys_that_are_not_visible_ASCII_are_400(self):
        for key in ("x" * 129, "with space", "tab\there", "\xe9"):
            self.check_problem(self.post(event(), **{"Idempotency-Key": key}), 400, key)

    def test_broken_gzip_is_400_and_a_bomb_413(self):
        whole = gzip.compress(event().encode())
        for name, body in {"truncated": whole[:-4], "not gzip": event().encode(), "flipped": whole[:12] + b"\xff" + whole[13:], "empty": b""}.items():
            self.check_problem(self.post(body, **{"Content-Encoding": "gzip"}), 400, name)
        bomb = gzip.compress(b" " * (64 * 1024 * 1024))
        self.check_problem(self.post(bomb, **{"Content-Encoding": "gzip"}), 413, "64 MiB of spaces")


class MalformedHttp(Case):
    def setUp(self):
        super().setUp()
        url = self.database()
        self.daemon = self.replica(url)
        self.token_text = self.token(url)
        self.client = self.daemon.client(self.token_text)
        self.bystander = self.daemon.client(self.token_text)
        self.assertEqual(self.bystander.get("/healthz").status, 200)

    def tearDown(self):
        self.assertEqual(self.bystander.get("/healthz").status, 200, "another connection is left alone")
        self.settle(self.client)
        self.assertEqual(Figures.of(self.summary(self.client)), Figures(), "nothing was counted")

    def head(self, *lines, method="POST", target=EVENTS, version="HTTP/1.1", token=True):
        head = [f"{method} {target} {version}", "Host: x"]
        if token:
            head += [f"Authorization: Bearer {self.token_text}"]
        return "\r\n".join([*head, "Content-Type: application/json", *lines, "", ""]).encode("latin-1")

    def status(self, data, **how):
        return status_of(raw_exchange(self.daemon.address, data, **how))

    def check_refused(self, cases, statuses=(400,)):
        for name, data in cases.items():
            with self.subTest(name):
                received = raw_exchange(self.daemon.address, data, half_close=True)
                self.assertIn(status_of(received), statuses, f"{name}: {received[:200]!r}")
                self.assertEqual(len(re.findall(rb"HTTP/1\.1 \d", received)), 1, f"{name}: one answer, then closed: {received!r}")

    def test_bytes_that_are_not_HTTP_are_400(self):
        self.check_refused({
            "noise": b"\x00\xff\xfe noise\r\n\r\n",
            "TLS hello": bytes.fromhex("16030100a5010000a1030301020304") + b"\r\n\r\n",
            "no version": b"GET /healthz\r\n\r\n",
            "HTTP/3.7": self.head(version="HTTP/3.7"),
            "space in the target": self.head(target="/a b"),
            "space before the colon": self.head("Content-Length : 0"),
            "folded header": self.head("X-A: 1\r\n  2", "Content-Length: 0"),
            "NUL in a header": self.head("X-A: a\0b", "Content-Length: 0"),
            "header without a colon": self.head("nonsense", "Content-Length: 0"),
            "empty header name": self.head(": x", "Content-Length: 0"),
        })

    def test_shapes_that_two_servers_may_read_differently_are_400(self):
        body = event().encode()
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        length = f"Content-Length: {len(body)}"
        self.check_refused({
            "both lengths": self.head(length, "Transfer-Encoding: chunked") + chunked,
            "both, the other way round": self.head("Transfer-Encoding: chunked", length) + chunked,
            "two lengths": self.head(length, "Content-Length: 5") + body,
            "a list of lengths": self.head(f"Content-Length: {len(body)}, 5") + body,
            "negative length": self.head("Content-Length: -1") + body,
            "signed length": self.head(f"Content-Length: +{len(body)}") + body,
            "hex length": self.head(f"Content-Length: 0x{len(body):x}") + body,
            "length beyond 64 bits": self.head("Content-Length: 99999999999999999999999") + body,
            "unknown transfer coding": self.head("Transfer-Encoding: chunked, identity") + chunked,
            "chunked twice": self.head("Transfer-Encoding: chunked, chunked") + chunked,
            "obscured chunked": self.head("Transfer-Encoding: xchunked") + chunked,
            "bad chunk size": self.head("Transfer-Encoding: chunked") + b"zz\r\n" + body + b"\r\n0\r\n\r\n",
            "negative chunk size": self.head("Transfer-Encoding: chunked") + b"-1\r\n" + body + b"\r\n0\r\n\r\n",
            "huge chunk size": self.head("Transfer-Encoding: chunked") + b"fffffffffffffffff\r\n" + body,
        }, (400, 413, 501))

    def test_too_much_head_is_431(self):
        self.check_refused({
            "one long header": self.head("X-A: " + "a" * 20000, "Content-Length: 0"),
            "many headers": self.head(*[f"X-{n}: 1" for n in range(100)], "Content-Length: 0"),
        }, (431,))

    def test_a_long_request_line_is_refused(self):
        self.check_refused({"8 KiB of path": self.head(target="/" + "a" * 8192, method="GET")}, (414, 431, 400))

    def test_a_body_that_ends_early_counts_nothing(self):
        body = event().encode()
        data = self.head(f"Content-Length: {len(body) + 10}") + body
        received = raw_exchange(self.daemon.address, data, half_close=True)
        self.assertIn(status_of(received), (None, 400))

    def test_several_requests_in_one_packet_are_each_answered(self):
        one = self.head("Content-Length: 2", token=True) + b"{}"
        received = raw_exchange(self.daemon.address, one * 5 + self.head("Connection: close", method="GET", target="/healthz"), seconds=10)
        self.assertEqual(received.count(b"HTTP/1.1 422"), 5)
        self.assertEqual(received.count(b"HTTP/1.1 200"), 1)

    def test_without_a_token_a_large_body_is_refused_before_it_is_read(self):
        data = self.head("Content-Length: 8000000", token=False) + b"["
        received = raw_exchange(self.daemon.address, data, seconds=8)
        self.assertEqual(status_of(received), 401)

    def test_answers_are_parseable_problems(self):
        received = raw_exchange(self.daemon.address, b"nonsense\r\n\r\n", half_close=True)
        head, _, body = received.partition(b"\r\n\r\n")
        self.assertIn(b"application/problem+json", head)
        self.assertEqual(json.loads(body)["status"], 400)
