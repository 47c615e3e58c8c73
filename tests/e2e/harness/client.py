"""A small HTTP client that tells "not sent" from "nobody knows"."""
import http.client
import json
import socket


class NotSent(Exception):
    """The connection could not be made: nothing of the request left."""


class Unknown(Exception):
    """The request, or part of it, was sent and no complete answer came."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Client:
    """One keep-alive connection to wherever `address()` says, made anew when it was lost. Not for several threads."""

    def __init__(self, address, token=None, timeout=30.0):
        self._address, self._token, self._timeout = address, token, timeout
        self._connection = None
        self._connected_to = None

    def request(self, method, path, body=None, headers=None):
        address = self._address()
        if self._connection is None or self._connected_to != address:
            self.close()
            if address is None:
                raise NotSent("not running")
            connection = http.client.HTTPConnection(*address, timeout=self._timeout)
            try:
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                raise NotSent(str(error)) from error
            self._connection, self._connected_to = connection, address
        all_headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        all_headers.update(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            all_headers.setdefault("Content-Type", "application/json")
        try:
            self._connection.request(method, path, body=body, headers=all_headers)
            response = self._connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unknown(f"{type(error).__name__}: {error}") from error
        if response.will_close:
            self.close()
        return Answer(response.status, response.headers, data)

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def post(self, path, body=None, headers=None):
        return self.request("POST", path, body, headers)

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def raw_exchange(address, data, seconds=15.0, half_close=False):
    """Sends `data` as it is and reads until the other side closes or `seconds` pass without a byte."""
    received = bytearray()
    with socket.create_connection(address, timeout=seconds) as sock:
        try:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            while chunk := sock.recv(65536):
                received += chunk
        except OSError:
            pass
    return bytes(received)


def status_of(received):
    """Status of the first answer in raw bytes; None if there is none."""
    parts = received.split(b" ", 2)
    return int(parts[1]) if received.startswith(b"HTTP/1.") and len(parts) > 2 else None
