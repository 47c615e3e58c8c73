"""script/collector as a process of its own: what it took, and what it does next."""
import json
import pathlib
import subprocess
import urllib.request

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "script/collector"


class Collector:
    def __init__(self, *arguments):
        self._arguments = arguments
        self.process = None
        self.url = None

    def start(self):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", str(SCRIPT), "--listen", "127.0.0.1:0", "--quiet", *map(str, self._arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True, start_new_session=True)
        self.url = self.process.stdout.readline().split()[-1]
        return self

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        if self.process is not None:
            self.process.stdout.close()

    @property
    def reports_url(self):
        return self.url + "/reports"

    @property
    def events_url(self):
        return self.url + "/usage-events"

    def control(self, path=None, **wish):
        """`next` and `then` for one path or for both; `reject` by event."""
        if path is not None:
            wish["path"] = path
        self._call("/control", json.dumps(wish).encode())

    def received(self):
        return json.loads(self._call("/received"))

    def _call(self, path, body=None):
        with urllib.request.urlopen(self.url + path, body, timeout=30) as answer:
            return answer.read()
