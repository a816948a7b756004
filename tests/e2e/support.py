"""What every end-to-end test needs: a ChatModel to apply, and questions to ask the cluster about it."""

import asyncio
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from chatscale.names import API_VERSION, KIND, MODEL_LABEL
from hack import keys, kube
from hack.demo import __main__ as demo
from hack.demo_shop import world
from hack.helm import RELEASE
from hack.load import Fate, LoadReport, run_load

OPERATOR_NAMESPACE = "chatscale-system"
DEMO_NAMESPACES = (demo.NAMESPACE, world.NAMESPACE)
"""Of `make demo` and `make demo-shop`, which leave what they show."""
_KEY_NAME = f"e2e-{secrets.token_hex(4)}"

QUICK_BEHAVIOR = {
    "scaleDown": {"stabilizationWindowSeconds": 15, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 5}]}
}
"""Tests cannot wait for the default stabilization window of 630 s."""


def chatmodel(name: str, namespace: str, **spec: Any) -> kube.Manifest:
    """A ChatModel on the Simulated engine; `spec` entries replace the defaults here."""
    defaults: dict[str, Any] = {
        "model": {"uri": "hf://example/customer-service"},
        "server": {
            "engine": "Simulated",
            "simulated": {"profile": "8b-a10g", "startupSeconds": 2},
            "maxConcurrency": 4,
            "maxQueue": 32,
        },
        "device": "CPU",
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "drain": {"timeoutSeconds": 30, "preStopDelaySeconds": 8},
    }
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": defaults | spec,
    }


def autoscaling(mode: str = "Operator", **fields: Any) -> dict[str, Any]:
    """The default policy, with short windows, so that it scales down within seconds."""
    return {
        "mode": mode,
        "minReplicas": 1,
        "maxReplicas": 4,
        "windowSeconds": 10,
        "panicWindowSeconds": 4,
        "behavior": QUICK_BEHAVIOR,
    } | fields


@dataclass(slots=True)
class Model:
    """An applied ChatModel."""

    manifest: kube.Manifest
    base_url: str | None = None

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.manifest["metadata"]["namespace"])

    def apply(self) -> None:
        """What a user's `kubectl apply -f` does, the first time and every time."""
        kube.apply(self.manifest)

    def expose(self) -> str:
        """The replicas' address on this machine; they must be ready."""
        if self.base_url is None:
            self.base_url = kube.expose(self.name, self.namespace)
        return self.base_url

    def read(self) -> kube.Manifest:
        found = kube.get("chatmodel", self.name, self.namespace)
        assert found is not None, f"ChatModel {self.namespace}/{self.name} is gone"
        return found

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.read().get("status", {})
        return status

    def ready_replicas(self) -> int:
        return int(self.status().get("readyReplicas", 0))

    def deployment_replicas(self) -> int | None:
        deployment = kube.get("deployment", self.name, self.namespace)
        return None if deployment is None else int(deployment["spec"]["replicas"])

    def pods(self) -> list[kube.Manifest]:
        return kube.list_items("pods", self.namespace, f"{MODEL_LABEL}={self.name}")

    def events(self) -> list[tuple[str, str]]:
        """(reason, message) of the Events about this ChatModel."""
        found = kube.list_items("events", self.namespace)
        return [
            (event["reason"], event.get("message", ""))
            for event in found
            if event["involvedObject"]["kind"] == KIND and event["involvedObject"]["name"] == self.name
        ]

    def wait_event(self, reason: str, part: str, within_s: float = 20) -> None:
        """Wait for an Event about this ChatModel with this reason whose message has this part."""
        kube.wait_for(
            f"{self.namespace}/{self.name} Event {reason} with {part!r}",
            lambda: any(found == reason and part in message for found, message in self.events()),
            within_s,
        )

    def wait_ready(self, replicas: int, within_s: float = 90) -> None:
        """Wait until exactly this many replicas answer and the ChatModel says Ready."""
        kube.wait_for(
            f"{self.namespace}/{self.name} ready with {replicas} replicas",
            lambda: (
                self.ready_replicas() == replicas
                and self.deployment_replicas() == replicas
                and kube.condition(self.read(), "Ready").get("status") == "True"
            ),
            within_s,
        )

    def wait_condition(self, kind: str, status: str, reason: str | None = None, within_s: float = 60) -> str:
        """Wait for a condition, of any reason if none is given, and return its message."""

        def probe() -> str | None:
            found = kube.condition(self.read(), kind)
            wanted = found.get("status") == status and reason in {None, found.get("reason")}
            return found.get("message", "-") or "-" if wanted else None

        return kube.wait_for(f"{self.namespace}/{self.name} condition {kind}={status} ({reason})", probe, within_s)


def never(what: str, probe: Callable[[], bool], for_s: float, every_s: float = 1.0) -> None:
    """Watch for `for_s` seconds that something does not happen."""
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        assert not probe(), what
        time.sleep(every_s)


@dataclass(slots=True)
class Timeline:
    """Replica counts of the Deployment, as often as kubectl answers."""

    counts: list[int] = field(default_factory=list)

    @property
    def changes(self) -> list[int]:
        """The counts without repetitions: [1, 3, 3, 1] reads [1, 3, 1]."""
        return [n for i, n in enumerate(self.counts) if i == 0 or n != self.counts[i - 1]]


@contextmanager
def watching(model: Model) -> Iterator[Timeline]:
    """Record the Deployment's wanted replicas in the background while the block runs."""
    timeline, stop = Timeline(), threading.Event()

    def record() -> None:
        while not stop.is_set():
            try:
                count = model.deployment_replicas()
            except kube.KubectlError:
                count = None
            if count is not None:
                timeline.counts.append(count)
            stop.wait(0.3)

    thread = threading.Thread(target=record, daemon=True)
    thread.start()
    try:
        yield timeline
    finally:
        stop.set()
        thread.join()


@dataclass(slots=True)
class RunningLoad:
    """A load that runs beside the test; its report once it was joined."""

    thread: threading.Thread
    began_s: float
    enough: threading.Event = field(default_factory=threading.Event)
    report: LoadReport = field(default_factory=LoadReport)

    def join(self) -> LoadReport:
        """After its whole duration."""
        self.thread.join()
        return self.report

    def finish(self) -> LoadReport:
        """Send no more; every request sent has met its fate on return."""
        self.enough.set()
        return self.join()


def gateway_url() -> str:
    """The address of the gateway on this machine."""
    return kube.expose_gateway(OPERATOR_NAMESPACE, RELEASE)


@cache
def gateway_key() -> str:
    """The API key of this process. It opens all ChatModels, because its Secret is in the gateway's namespace.

    `revoke_gateway_key` deletes it. If the process is killed, the key expires by itself.
    """
    key = keys.create_key(_KEY_NAME, OPERATOR_NAMESPACE, "--expires", "1d")
    keys.wait_until_accepted(gateway_url(), key)
    return key


def revoke_gateway_key() -> None:
    """Delete the key of this process, if there is one."""
    if gateway_key.cache_info().currsize:
        keys.revoke_key(_KEY_NAME, OPERATOR_NAMESPACE)
        gateway_key.cache_clear()


def start_load(
    model: Model,
    rate_per_s: float,
    duration_s: float,
    max_tokens: int = 48,
    seed: int = 1,
    *,
    through_gateway: bool = False,
    url: str | None = None,
    key: Callable[[], str] | None = None,
) -> RunningLoad:
    """Customers send requests at a constant mean rate during the test.

    url: saves a call of the API server. key: returns the API key of the next request (through the gateway: that of
    this process).
    """
    base_url = url or (gateway_url() if through_gateway else model.expose())
    key = key or (gateway_key if through_gateway else None)
    if key is not None:
        key()  # A new key is accepted before the load begins.
    asked_for = f"{model.namespace}/{model.name}" if through_gateway else model.name
    load = RunningLoad(threading.Thread(target=lambda: None), time.monotonic())

    def run() -> None:
        coroutine = run_load(
            base_url,
            asked_for,
            rate_per_s=lambda _at_s: rate_per_s,
            duration_s=duration_s,
            max_tokens=max_tokens,
            seed=seed,
            enough=load.enough.is_set,
            key=key,
        )
        load.report = asyncio.run(coroutine)

    load.thread = threading.Thread(target=run, daemon=True)
    load.thread.start()
    return load


def assert_served(report: LoadReport, at_least: int = 1) -> None:
    """So many customers were answered, and nobody's request was lost."""
    assert report.count(Fate.LOST) == 0, str(report)
    assert report.count(Fate.ANSWERED) >= at_least, str(report)


def operator_pod() -> kube.Manifest:
    """The operator's one running pod."""
    pods = kube.list_items("pods", OPERATOR_NAMESPACE, "app.kubernetes.io/name=chatscale-operator")
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    assert len(alive) == 1, f"expected one operator pod, found {[pod['metadata']['name'] for pod in alive]}"
    return alive[0]


def operator_restarts() -> int:
    return sum(status["restartCount"] for status in operator_pod()["status"].get("containerStatuses", []))


def with_spec(manifest: kube.Manifest, **spec: Any) -> kube.Manifest:
    """The same ChatModel with other spec entries."""
    copy: kube.Manifest = json.loads(json.dumps(manifest))
    copy["spec"] |= spec
    return copy
