"""Starts the server as a process of its own, and reads what it reports: log, metrics, exit code."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from chatscale_contract.server.environment import Env

START_TIMEOUT_S: Final = 150.0
STOP_TIMEOUT_S: Final = 70.0
POLL_S: Final = 0.02
DRAIN_DELAY_S: Final = 1.0
QUEUE: Final = 1000


class ServerEndedError(Exception):
    """The server ended, or was not ready in time. The message has its exit code and its last output."""

    def __init__(self, message: str, code: int | None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Server:
    """A server process, ready unless `start` raised."""

    process: "subprocess.Popen[bytes]"
    output: IO[bytes]
    began_s: float
    port: int = 0
    ready_s: float = 0.0
    """From the start of the process to the first 200 of /readyz."""
    phases_s: dict[str, float] = field(default_factory=dict)

    def log(self) -> str:
        """All output so far."""
        size = os.fstat(self.output.fileno()).st_size
        return os.pread(self.output.fileno(), size, 0).decode(errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """The log lines in JSON."""
        found = []
        for line in self.log().splitlines():
            if line.startswith("{"):
                try:
                    found.append(json.loads(line))
                except ValueError:
                    continue
        return found

    def attention(self) -> str:
        """The attention path that the log names; empty if none."""
        return next((str(event["attention"]) for event in reversed(self.events()) if "attention" in event), "")

    def metrics(self) -> dict[str, float]:
        """Values of the exposition by name and labels, without the labels that never change."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=20) as response:
            return parse_metrics(response.read().decode())

    def until_ready(self) -> None:
        """Wait for /readyz. Raises ServerEndedError."""
        while time.monotonic() < self.began_s + START_TIMEOUT_S:
            if (code := self.process.poll()) is not None:
                raise ServerEndedError(f"ended with code {code} before it was ready: {self.exit_reason()}", code)
            if not self.port:
                self.port = next((event["port"] for event in self.events() if event.get("event") == "listening"), 0)
            if self.port and self._is_ready():
                self.ready_s = time.monotonic() - self.began_s
                ready = next((event for event in self.events() if event.get("event") == "ready"), {})
                self.phases_s = ready.get("phases_s", {})
                return
            time.sleep(POLL_S)
        raise ServerEndedError(f"not ready within {START_TIMEOUT_S:g} s: {self.exit_reason()}", None)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def exit_reason(self) -> str:
        """The reason in the last log line, or the end of the output."""
        reasons = [event["reason"] for event in self.events() if "exit_code" in event]
        return reasons[-1] if reasons else self.log()[-1500:]

    def terminate(self) -> int | None:
        """SIGTERM; the exit code, or None if the process had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self) -> None:
        """End all processes of the server, so that their memory is free at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def environment(folder: Path, device: str, dtype: str, **settings: object) -> dict[str, str]:
    """Settings of a server. settings: by member name of `Env`."""
    found: dict[str, object] = {
        "MODEL_URI": f"file://{folder}", "SERVED_NAME": "bench", "DEVICE": device, "DTYPE": dtype,
        "MAX_QUEUE": QUEUE, "MAX_WAITING_PROMPT_TOKENS": 10**8, "QUEUE_TIMEOUT_SECONDS": 120,
        "DRAIN_DELAY_SECONDS": DRAIN_DELAY_S, "DRAIN_TIMEOUT_SECONDS": 60, **settings,
    }  # fmt: skip
    return {str(Env[name]): str(value) for name, value in found.items()}


def start(settings: dict[str, str]) -> Server:
    """Start a server; call `until_ready`."""
    output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
    began_s = time.monotonic()
    command = [sys.executable, "-m", "chatscale_server", "--host", "127.0.0.1", "--port", "0",
               "--termination-message", "/dev/null"]  # fmt: skip
    process = subprocess.Popen(
        command, env={**os.environ, "HF_HUB_OFFLINE": "1", **settings}, stdout=output, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    return Server(process, output, began_s)


@contextmanager
def running(settings: dict[str, str]) -> Iterator[Server]:
    """A ready server, killed at the end if it still runs. Raises ServerEndedError."""
    server = start(settings)
    try:
        server.until_ready()
        yield server
    finally:
        server.kill()
        server.output.close()


_SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


def parse_metrics(text: str) -> dict[str, float]:
    """The exposition as {name{label="value"}: value}; the labels of model and ChatModel are left out."""
    found = {}
    for line in text.splitlines():
        if match := _SAMPLE.match(line):
            labels = [f"{name}={value}" for name, value in _LABEL.findall(match[2] or "")
                      if name not in {"model_name", "chatmodel", "engine"}]  # fmt: skip
            found[match[1] + (f"{{{','.join(labels)}}}" if labels else "")] = float(match[3])
    return found
