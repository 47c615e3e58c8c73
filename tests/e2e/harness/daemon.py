"""One replica: the real binary, a state directory, a log file."""
import json
import os
import pathlib
import signal
import subprocess

from .client import Client
from .waiting import eventually

BINARY = pathlib.Path(os.environ.get("TALLYD", pathlib.Path(__file__).resolve().parents[3] / "build/dev/bin/tallyd"))
# Under a sanitizer everything takes longer.
SLOWNESS = float(os.environ.get("TALLY_SLOWNESS", "1"))


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("TALLYD_")}


def run_tallyd(*arguments, check=True, stdin=None, seconds=60):
    """Runs a command of the binary to its end."""
    result = subprocess.run(
        [str(BINARY), *map(str, arguments)], capture_output=True, text=True, timeout=seconds * SLOWNESS, input=stdin, env=environment())
    if check and result.returncode != 0:
        raise AssertionError(f"tallyd {' '.join(map(str, arguments))}: exit {result.returncode}\n{result.stderr}")
    return result


class Daemon:
    """`flags` are flag names with `_` for `-`; a list repeats the flag, True stands alone, None leaves it out. `wrapper` is put before
    the command and must become it (taskset, prlimit, env, strace -D), so that the process here is tallyd itself."""

    def __init__(self, state_dir, database_url=None, log=None, wrapper=(), **flags):
        self.state_dir = pathlib.Path(state_dir)
        self.flags = {"listen": "127.0.0.1:0", "log_format": "json", "log_level": "info", "flush_interval": "100ms", "period": "0", "threads": "2"}
        self.flags.update(flags)
        if database_url is not None:
            self.flags["database_url"] = database_url
        self.log = pathlib.Path(log) if log else self.state_dir.with_name(self.state_dir.name + ".log")
        self.wrapper = list(wrapper)
        self.environment = {}
        self.inherited = ()  # descriptors
        self.process = None
        self.address = None
        self.starts = 0
        self._log_offset = 0

    def command(self):
        words = [*map(str, self.wrapper), str(BINARY), "serve", "--state-dir", str(self.state_dir)]
        for name, value in self.flags.items():
            for one in value if isinstance(value, list) else [value]:
                if one is None:
                    continue
                words.append("--" + name.replace("_", "-"))
                if one is not True:
                    words.append(str(one))
        return words

    def launch(self):
        """Starts the process without waiting for it."""
        assert not self.running, "already running"
        self.address = None
        self.log.touch()
        self._log_offset = self.log.stat().st_size
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment() | self.environment,
                pass_fds=self.inherited, start_new_session=True)
        self.starts += 1
        return self

    def start(self, seconds=30.0):
        """Starts the process and returns once it says where it listens."""
        self.launch()
        return self.wait_listening(seconds)

    def wait_listening(self, seconds=30.0):
        def listening():
            for entry in self.entries():
                if entry.get("msg") == "listening" and "address" in entry:
                    return entry["address"]
            if self.process.poll() is not None:
                raise RuntimeError(f"tallyd ended with {self.process.returncode} before it listened:\n{self.log_tail()}")
            return None

        address = eventually(listening, f"{self.state_dir.name} listens\n{self.log_tail()}", seconds * SLOWNESS)
        if address.startswith("unix:"):
            self.address = address
        else:
            host, port = address.rsplit(":", 1)
            self.address = (host.strip("[]"), int(port))
        return self

    def entries(self):
        """Log lines of this start that are complete JSON objects."""
        with open(self.log, "rb") as log:
            log.seek(self._log_offset)
            for line in log:
                if line.startswith(b"{") and line.endswith(b"\n"):
                    try:
                        yield json.loads(line)
                    except ValueError:
                        pass

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        """kill -9: nothing is told, nothing is flushed."""
        if self.running:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait(30)
        self.address = None

    def stop(self, seconds=40.0):
        """SIGTERM, and the exit code."""
        if self.running:
            os.kill(self.pid, signal.SIGTERM)
            self.process.wait(seconds * SLOWNESS)
        self.address = None
        return self.process.returncode if self.process else None

    def signal(self, number):
        os.kill(self.pid, number)

    def client(self, token=None, timeout=30.0):
        return Client(lambda: self.address, token, timeout)

    def metrics(self):
        """Samples of /metrics by full name with labels."""
        answer = self.client().get("/metrics")
        assert answer.status == 200, answer
        samples = {}
        for line in answer.body.decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                samples[name] = float(value)
        return samples

    def log_tail(self, lines=40):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""
