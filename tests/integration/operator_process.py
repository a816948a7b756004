"""The operator as a process from source, with the rights of a kubeconfig. It watches one namespace."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from hack import kube
from tests.support.clock import eventually

STOP_TIMEOUT_S = 15
SERVER_IMAGE = "registry.k8s.io/pause:3.10.1"
"""Every node has it, and it serves nothing: its pods run and never become ready."""


class OperatorProcess:
    """`python -m chatscale`, with its log kept for the report."""

    def __init__(self, namespace: str, log: Path, kubeconfig: Path) -> None:
        self.namespace = namespace
        self.log = log
        self.kubeconfig = kubeconfig
        self.server_image = SERVER_IMAGE
        self.probes_port, self.metrics_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it watches."""
        settings = {
            "KUBE_CONTEXT": kube.CONTEXT,
            "NAMESPACES": self.namespace,
            "SERVER_IMAGE": self.server_image,
            "SIMULATED_SERVER_IMAGE": self.server_image,
            "ASSISTANT_IMAGE": self.server_image,
            "PROBES_PORT": str(self.probes_port),
            "METRICS_PORT": str(self.metrics_port),
        }
        env = os.environ | {f"CHATSCALE_OPERATOR_{name}": value for name, value in settings.items()}
        env["KUBECONFIG"] = str(self.kubeconfig)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "chatscale"], env=env, stderr=log)
        eventually(self._answers, within=30)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as when its node is lost."""
        self._end(signal.SIGKILL)

    def cpu_s(self) -> float:
        """CPU time that the process has used, in seconds."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def read_health(self) -> None:
        """Raise if the process has ended or does not answer its probe."""
        self._answers()

    def read(self, port: int, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def _answers(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, f"the operator ended: {self.log.read_text()}"
        try:
            self.read(self.probes_port, "/healthz")
        except OSError as error:
            raise AssertionError(f"no answer yet: {self.log.read_text()}") from error

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(STOP_TIMEOUT_S)


def free_port() -> int:
    """A TCP port of loopback that nobody listens on right now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
