"""Faults on the node of the kind cluster: processes that stop to answer, an API server that is away, a node drain."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from hack import kube

NODE = "chatscale-control-plane"
"""The one node, and the Docker container that plays it."""

TASKS = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"
"""Where containerd keeps the state of running containers."""


def on_node(*command: str) -> str:
    """Run a command on the node and return what it printed. Raises subprocess.CalledProcessError."""
    done = subprocess.run(
        ["docker", "exec", NODE, *command], capture_output=True, text=True, timeout=30, check=True
    )  # fmt: skip
    return done.stdout


def pid_of(pod: kube.Manifest) -> int:
    """The first process of a pod's first container, as the node numbers it."""
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    return int(on_node("cat", f"{TASKS}/{container}/init.pid"))


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """The process keeps its connections, accepts new ones by its kernel, and answers nothing."""
    on_node("kill", "-STOP", str(pid))
    try:
        yield
    finally:
        # The kubelet may have killed it.
        subprocess.run(
            ["docker", "exec", NODE, "kill", "-CONT", str(pid)], capture_output=True, timeout=30, check=False
        )


@contextmanager
def without_api_server() -> Iterator[None]:
    """The API server answers nothing. Its liveness probe restarts it after about 80 s, so be shorter."""
    with paused(int(on_node("pidof", "kube-apiserver"))):
        yield
    kube.wait_for("the API server", lambda: kube.kubectl("get", "--raw", "/readyz", timeout_s=5) == "ok", within_s=60)


def drain(selector: str, timeout_s: int) -> None:
    """`kubectl drain`, of these pods only. As there is no other node, new pods may start on this one meanwhile."""
    drains = subprocess.Popen(
        ["kubectl", "--context", kube.CONTEXT, "drain", NODE, "--ignore-daemonsets", "--delete-emptydir-data",
         f"--pod-selector={selector}", f"--timeout={timeout_s}s"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        kube.wait_for(
            "the drain cordons the node", lambda: _is_cordoned() or drains.poll() is not None, 30, every_s=0.1
        )
        kube.kubectl("uncordon", NODE)
        printed, _ = drains.communicate(timeout=timeout_s + 10)
    finally:
        if drains.poll() is None:
            drains.kill()
        kube.kubectl("uncordon", NODE)
    assert drains.returncode == 0, printed


def _is_cordoned() -> bool:
    node = json.loads(kube.kubectl("get", "node", NODE, "-o", "json"))
    return bool(node["spec"].get("unschedulable"))
