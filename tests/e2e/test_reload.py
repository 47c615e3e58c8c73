"""What SIGHUP changes while running, and TLS."""
import http.client
import signal
import socket
import ssl
import subprocess

from harness.books import EVENTS
from harness.case import Case
from harness.waiting import eventually


class Reloads(Case):
    def certificate(self, name):
        """A new self-signed certificate for localhost under `name`; answers it in DER."""
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", f"/CN={name}",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        return ssl.PEM_cert_to_DER_cert(certificate.read_text())

    def shown_certificate(self, daemon):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(daemon.address, 10) as plain, context.wrap_socket(plain) as secure:
            return secure.getpeercert(binary_form=True)

    def tls_files(self):
        return {"tls_cert": self.directory / "server.pem", "tls_key": self.directory / "server.key"}

    def logged(self, daemon, message):
        return [entry for entry in daemon.entries() if message in entry["msg"]]

    def test_serves_over_TLS_and_takes_a_new_certificate_without_a_restart(self):
        first = self.certificate("server")
        url = self.database()
        daemon = self.replica(url, **self.tls_files())
        token = self.token(url)
        connection = http.client.HTTPSConnection(
            "127.0.0.1", daemon.address[1], context=ssl.create_default_context(cafile=self.directory / "server.pem"), timeout=20)
        self.addCleanup(connection.close)

        def post():
            connection.request("POST", EVENTS, body="[]", headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            return answer.status

        eventually(lambda: post() == 202, "events are taken over TLS")
        self.assertEqual(self.shown_certificate(daemon), first)
        second = self.certificate("server")
        daemon.signal(signal.SIGHUP)
        eventually(lambda: self.shown_certificate(daemon) == second, "new connections see the new certificate")
        self.assertEqual(post(), 202, "the connection that was there goes on")

    def test_a_certificate_that_is_no_good_stops_a_start_and_not_a_running_daemon(self):
        first = self.certificate("server")
        daemon = self.replica(self.database(), **self.tls_files())
        (self.directory / "server.pem").write_text("not a certificate")
        daemon.signal(signal.SIGHUP)
        (said,) = eventually(lambda: self.logged(daemon, "the configuration was not re-read"), "it says so")
        self.assertIn("server.pem", said["error"])
        self.assertEqual(self.shown_certificate(daemon), first)
        daemon.stop()
        daemon.launch()
        self.assertEqual(daemon.process.wait(30), 2)
        self.assertIn("server.pem", daemon.log_tail(5))

    def test_says_nothing_in_plain_HTTP_on_a_TLS_port(self):
        self.certificate("server")
        daemon = self.replica(self.database(), **self.tls_files())
        with socket.create_connection(daemon.address, 10) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            plain.settimeout(10)
            try:
                self.assertNotIn(b"HTTP/1.1 200", plain.recv(4096))
            except ConnectionResetError:
                pass

    def test_a_changed_rate_limit_holds_from_the_next_request(self):
        settings = self.directory / "tallyd.toml"
        settings.write_text('rate-limit = 1\n')
        url = self.database()
        daemon = self.replica(url, config=settings)
        client = daemon.client(self.token(url))
        eventually(lambda: client.post(EVENTS, []).status in (202, 429), "the token is known")

        def refused():
            return any(client.post(EVENTS, []).status == 429 for _ in range(50))

        eventually(refused, "one a second is the limit")
        settings.write_text('rate-limit = "off"\n')
        daemon.signal(signal.SIGHUP)
        eventually(lambda: not refused(), "there is no limit any more")

    def test_a_changed_connection_limit_holds_from_the_next_connection(self):
        settings = self.directory / "tallyd.toml"
        settings.write_text("max-connections = 2\n")
        daemon = self.replica(self.database(), config=settings)

        def served(count):
            clients = [daemon.client() for _ in range(count)]
            try:
                return sum(self.healthy(client) for client in clients)
            finally:
                for client in clients:
                    client.close()

        eventually(lambda: served(4) == 2, "two are let in")
        settings.write_text("max-connections = 4\n")
        daemon.signal(signal.SIGHUP)
        eventually(lambda: served(4) == 4, "four are let in")

    def healthy(self, client):
        try:
            return client.get("/healthz").status == 200
        except Exception:
            return False
