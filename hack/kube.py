"""kubectl, for the demo and the end-to-end tests: what a user would type, with deadlines and clear failures.

Not for the operator, which talks to the API server through `chatscale.cluster`.
"""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

CONTEXT = "kind-chatscale"
T = TypeVar("T")
Manifest = dict[str, Any]


class KubectlError(Exception):
    """kubectl exited with an error; the message is what it said."""


FAILURES = (KubectlError, subprocess.TimeoutExpired, OSError)
"""What a question to the cluster may end in: refused, without an answer in time, kubectl or the network away."""


def kubectl(*args: str, stdin: str | None = None, timeout_s: float = 60) -> str:
    """Run one command against the kind cluster and return what it printed."""
    command = ["kubectl", "--context", CONTEXT, *args]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode != 0:
        raise KubectlError(f"{' '.join(args[:6])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def apply(*manifests: Manifest) -> None:
    """`kubectl apply`, as a user re-applying a file from Git does it."""
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)}))


def get(kind: str, name: str, namespace: str) -> Manifest | None:
    """One object, or None if there is none."""
    out = kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
    found: Manifest | None = json.loads(out) if out.strip() else None
    return found


def list_items(kind: str, namespace: str, selector: str = "") -> list[Manifest]:
    """All objects of a kind in a namespace."""
    args = ["get", kind, "-n", namespace, "-o", "json", *(["-l", selector] if selector else [])]
    items: list[Manifest] = json.loads(kubectl(*args))["items"]
    return items


def delete_namespace(name: str) -> None:
    """Ask for it and do not wait: names are never used twice."""
    kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def wait_for(what: str, probe: Callable[[], T | None], within_s: float, every_s: float = 1.0) -> T:
    """Ask until the answer is neither None nor False; TimeoutError names what was waited for and what was last seen."""
    deadline = time.monotonic() + within_s
    last: object = None
    while True:
        try:
            answer = probe()
        except FAILURES as error:
            answer, last = None, error
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within_s:.0f} s" + (f" (last error: {last})" if last else ""))
        time.sleep(every_s)


def condition(chatmodel: Manifest | None, kind: str) -> Manifest:
    """A condition of a ChatModel; empty while it has none."""
    conditions = (chatmodel or {}).get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})


def node_port_service(name: str, namespace: str, selector: dict[str, str], port: int, node_port: int) -> Manifest:
    """A Service that lets this machine reach pods at 127.0.0.1:`node_port` (30080 to 30089)."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "NodePort",
            "selector": selector,
            "ports": [{"port": port, "targetPort": port, "nodePort": node_port}],
        },
    }


def free_node_port() -> int:
    """A port of the range that kind maps to this machine and no Service uses."""
    services = json.loads(kubectl("get", "services", "-A", "-o", "json"))["items"]
    used = {port.get("nodePort") for service in services for port in service["spec"].get("ports", [])}
    free = [port for port in range(30080, 30090) if port not in used]
    if not free:
        raise KubectlError("all node ports from 30080 to 30089 are taken by Services")
    return free[0]


def expose(chatmodel: str, namespace: str) -> str:
    """Make a ChatModel's replicas reachable from this machine, without the gateway; returns the base address."""
    from chatscale.names import pod_selector
    from chatscale_contract.server.endpoints import HTTP_PORT

    return _expose(f"{chatmodel}-nodeport", namespace, pod_selector(chatmodel), HTTP_PORT)


def expose_gateway(namespace: str, release: str) -> str:
    """Make the gateway of a release reachable from this machine; returns the base address."""
    from chatscale_contract.gateway.endpoints import API_PORT

    selector = {"app.kubernetes.io/name": "chatscale-gateway", "app.kubernetes.io/instance": release}
    return _expose("chatscale-gateway-nodeport", namespace, selector, API_PORT)


def _expose(service: str, namespace: str, selector: dict[str, str], port: int) -> str:
    """The base address, once it answers. An existing Service is used again.

    kube-proxy needs a moment for a new Service, and resets connections in that time. A gateway answers 401 here.
    """
    from chatscale_contract.server.endpoints import MODELS_PATH

    def allocate() -> int | None:
        if found := get("service", service, namespace):
            return int(found["spec"]["ports"][0]["nodePort"])
        node_port = free_node_port()
        try:
            apply(node_port_service(service, namespace, selector, port, node_port))
        except KubectlError as error:
            if "already allocated" in str(error):  # by somebody who looked at the same time
                return None
            raise
        return node_port

    node_port = wait_for("a node port from 30080 to 30089", allocate, within_s=60)
    base_url = f"http://127.0.0.1:{node_port}"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(base_url + MODELS_PATH, timeout=5) as response:
                return bool(response.status == HTTPStatus.OK)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code == HTTPStatus.UNAUTHORIZED

    wait_for(f"{base_url} answers", answers, within_s=30, every_s=0.2)
    return base_url
