"""Many ChatModels on a real API server, and what the operator costs there while nothing happens.

Shared by the integration test of the promise and by the benchmark that reports the numbers.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from hack import kube
from tests.integration.operator_process import OperatorProcess
from tests.support.builders import a_chatmodel
from tests.support.counting_proxy import CountingProxy

Manifest = dict[str, Any]
OPERATOR_MODE = {"mode": "Operator", "minReplicas": 1, "maxReplicas": 2, "source": {"intervalSeconds": 5}}
IMPOSSIBLE_GPU = {"limits": {"nvidia.com/mig-7g.80gb": 1}}
"""Pods that wait for it stay Pending, so that they need no capacity and change nothing."""
SETTLED_FOR_S = 20.0


@dataclass(frozen=True)
class Cost:
    """Of the operator process, per minute."""

    requests: Counter[str]
    minutes: float
    cpu_s: float

    @property
    def requests_per_minute(self) -> float:
        return self.requests.total() / self.minutes

    @property
    def cpu_s_per_minute(self) -> float:
        return self.cpu_s / self.minutes

    @override
    def __str__(self) -> str:
        parts = ", ".join(f"{what} {count}" for what, count in sorted(self.requests.items()))
        return (
            f"{self.requests_per_minute:.1f} requests and {self.cpu_s_per_minute:.2f} s of CPU time per minute "
            f"(in {self.minutes:g} min: {parts or 'no request'})"
        )


def many_chatmodels(namespace: str, count: int, in_mode_operator: int) -> list[Manifest]:
    """`count` ChatModels: some in mode Operator with a pod that stays Pending, the others Fixed at 0 replicas."""
    return [_chatmodel(namespace, index, scaled=index < in_mode_operator) for index in range(count)]


def kubeconfig_through(proxy: CountingProxy, kubeconfig: Path, folder: Path) -> Path:
    """A copy of the kubeconfig whose server is the proxy."""
    config = json.loads(kubeconfig.read_text())
    config["clusters"] = [{**entry, "cluster": {"server": proxy.url}} for entry in config["clusters"]]
    path = folder / "kubeconfig-through-proxy"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path


def upstream(kubeconfig: Path) -> dict[str, Any]:
    """The kubeconfig's entry of its API server."""
    cluster: dict[str, Any] = json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]
    return cluster


def wait_until_settled(namespace: str, count: int, proxy: CountingProxy, within_s: float) -> None:
    """Return once every ChatModel has a complete status and no write has passed the proxy for a while."""

    def all_reported() -> bool:
        found = kube.list_items("chatmodels", namespace)
        return len(found) == count and all("conditions" in (model.get("status") or {}) for model in found)

    kube.wait_for("every ChatModel has a status", all_reported, within_s=within_s)
    deadline = time.monotonic() + within_s
    wrote_at, seen = time.monotonic(), _writes(proxy.counts())
    while time.monotonic() - wrote_at < SETTLED_FOR_S:
        assert time.monotonic() < deadline, f"the operator still writes: {proxy.counts()}"
        time.sleep(1)
        if (now := _writes(proxy.counts())) != seen:
            wrote_at, seen = time.monotonic(), now


def measure(operator: OperatorProcess, proxy: CountingProxy, minutes: float) -> Cost:
    """Count for some minutes, without Lease renewals. Watches reconnect every 4 minutes: longer is steadier."""
    proxy.reset()
    cpu_before = operator.cpu_s()
    _wait(minutes * 60, operator.read_health)
    return Cost(_without_renewals(proxy.counts()), minutes, operator.cpu_s() - cpu_before)


def _wait(seconds: float, check: Callable[[], None]) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        check()
        time.sleep(min(left, 15))


def _writes(counts: Counter[str]) -> int:
    return sum(count for what, count in _without_renewals(counts).items() if not what.startswith(("GET", "WATCH")))


def _without_renewals(counts: Counter[str]) -> Counter[str]:
    """The Lease is renewed every 5 s, whatever the number of ChatModels."""
    return Counter({what: count for what, count in counts.items() if "leases" not in what})


def _chatmodel(namespace: str, index: int, *, scaled: bool) -> Manifest:
    builder = a_chatmodel().named(f"quiet-{index:03}", namespace)
    if scaled:
        builder = builder.with_spec(autoscaling=OPERATOR_MODE, device="GPU", resources=IMPOSSIBLE_GPU)
    manifest = (builder if scaled else builder.with_replicas(0)).manifest()
    manifest["metadata"] = {"name": builder.name, "namespace": namespace}
    del manifest["status"]
    return manifest
